import { type AnyValue, type KeyValue, KeyValueList } from '../model/any-value.ts'
import { type OffloadableString, PayloadReference } from '../model/payload-reference.ts'
import { MAX_VALUE_DEPTH } from './avro/walk.ts'
import { type AvroOutput, invalid } from './avro-output.ts'

// Branches of the value union, in the order of the schema.
const NULL = 0
const STRING = 1
const LONG = 2
const DOUBLE = 3
const BOOLEAN = 4
const BYTES = 5
const ARRAY_VALUE = 6
const KEY_VALUE_LIST = 7
const PAYLOAD_REFERENCE = 8

/** Writes attributes, and strings that may be payload references, in the newest bundled schemas. */
export class ValueWriter {
  readonly #out: AvroOutput

  constructor(out: AvroOutput) {
    this.#out = out
  }

  offloadable(value: OffloadableString): void {
    if (typeof value === 'string') {
      this.#out.branch(0)
      this.#out.string(value)
    } else {
      this.#out.branch(1)
      this.#reference(value)
    }
  }

  attributes(attributes: readonly KeyValue[]): void {
    this.#keyValues(attributes, 0)
  }

  #keyValues(entries: readonly KeyValue[], depth: number): void {
    const out = this.#out
    if (entries.length > 0) {
      out.count(entries.length)
      for (const { key, value } of entries) {
        out.string(key)
        this.value(value, key, depth)
      }
    }
    out.count(0)
  }

  /** @param key for messages */
  value(value: AnyValue, key: string, depth: number): void {
    const out = this.#out
    switch (typeof value) {
      case 'string':
        this.string(value)
        return
      case 'bigint':
        out.branch(LONG)
        out.bigint(value, `attribute "${key}"`)
        return
      case 'number':
        this.double(value)
        return
      case 'boolean':
        this.boolean(value)
        return
    }
    if (value === null) {
      out.branch(NULL)
    } else if (value instanceof Uint8Array) {
      out.branch(BYTES)
      out.bytes(value)
    } else if (value instanceof KeyValueList) {
      out.branch(KEY_VALUE_LIST)
      this.#keyValues(value.entries, deeper(depth, key))
    } else if (value instanceof PayloadReference) {
      out.branch(PAYLOAD_REFERENCE)
      this.#reference(value)
    } else if (Array.isArray(value)) {
      out.branch(ARRAY_VALUE)
      this.#values(value, key, deeper(depth, key))
    } else {
      throw invalid(`attribute "${key}"`, `a ${typeof value} is not a value of an attribute`)
    }
  }

  #values(values: readonly AnyValue[], key: string, depth: number): void {
    if (values.length > 0) {
      this.#out.count(values.length)
      for (const value of values) this.value(value, key, depth)
    }
    this.#out.count(0)
  }

  #reference(reference: PayloadReference): void {
    const out = this.#out
    out.branch(reference.key === null ? 0 : 1)
    if (reference.key !== null) out.string(reference.key)
    out.number(reference.offset, 'payload reference: offset')
    out.number(reference.length, 'payload reference: length')
    out.number(reference.size, 'payload reference: size')
    out.hex(reference.sha256, 32, 'payload reference: sha256')
    out.string(reference.encoding)
    out.string(reference.preview)
  }

  string(value: string): void {
    this.#out.branch(STRING)
    this.#out.string(value)
  }

  /** A safe integer as the union's long. */
  long(value: number, key: string): void {
    this.#out.branch(LONG)
    this.#out.number(value, key)
  }

  double(value: number): void {
    this.#out.branch(DOUBLE)
    this.#out.double(value)
  }

  boolean(value: boolean): void {
    this.#out.branch(BOOLEAN)
    this.#out.boolean(value)
  }
}

function deeper(depth: number, key: string): number {
  if (depth >= MAX_VALUE_DEPTH) {
    throw invalid(`attribute "${key}"`, `values are nested deeper than ${MAX_VALUE_DEPTH} levels`)
  }
  return depth + 1
}
