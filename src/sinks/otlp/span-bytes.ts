import { incompatible } from '../../codec/avro/plan.ts'
import { resource, scope } from '../../codec/model-readers.ts'
import { PartCache } from '../../codec/part-cache.ts'
import type { RecordType } from '../../codec/record-type.ts'
import { fieldDecoder, SchemaWalks } from '../../codec/schema-walks.ts'
import type { AnyValue, KeyValue } from '../../model/any-value.ts'
import type { ByObjectsObserver } from '../../model/by-objects.ts'
import type { FragmentRecord } from '../../model/fragment.ts'
import type { PayloadReference } from '../../model/payload-reference.ts'
import type { Resource, Scope } from '../../model/span.ts'
import { NO_DAY } from '../../model/time.ts'
import { holdsReference, plainValue, referenceAttribute } from './payload-attributes.ts'
import { ProtoOutput } from './proto-output.ts'
import { ProtoWriter } from './proto-writer.ts'
import {
  IDENTITY_KEYS,
  SPAN_BYTES_DECLARATIONS,
  SPAN_BYTES_PARAMETERS,
  spanBytesPlan,
} from './span-bytes-plan.ts'
import { writeKeyValue, writeResource, writeSchemaUrl, writeScope, writeValue } from './span-encoder.ts'

const MAX_LENGTH_BYTES = 5
/** Parts of a long-lived process would pile up; then they are made anew. */
const MAX_PARTS = 2_000

/** A resource or a scope as OTLP has it: the message, and its schema URL, which stands beside it. */
interface SharedPart {
  readonly message: Buffer
  readonly schemaUrl: Buffer
}

interface SpanWalk {
  feed(bytes: Buffer, start: number, end: number, sink: SpanBytes, output: ProtoOutput): void
  decodeResource(bytes: Buffer, start: number, end: number): Resource
  decodeScope(bytes: Buffer, start: number, end: number): Scope
}

function compileSpanWalk(type: RecordType): SpanWalk {
  const names = type.fieldNames
  const spans = names.indexOf('spans')
  if (IDENTITY_KEYS.some((key) => names.indexOf(key) > spans)) {
    throw incompatible('the spans stand before the identity of their record')
  }
  return {
    feed: type.compileWalk<SpanWalk['feed']>({
      plan: spanBytesPlan,
      parameters: SPAN_BYTES_PARAMETERS,
      declarations: SPAN_BYTES_DECLARATIONS,
    }),
    decodeResource: fieldDecoder(type, 'resource', resource),
    decodeScope: fieldDecoder(type, 'scope', scope),
  }
}

/**
 * Encodes records as `ResourceSpans` from their bytes, with no object in between. Takes records all of whose spans start on one day;
 * `span-encoder.ts` takes the others, and receivers see the same. The public members up to `encode` are for the walk.
 */
export class SpanBytes {
  /** Which of {@link IDENTITY_KEYS} the span has itself, a bit each. */
  ownKeys = 0
  /** Attributes of payloads, which are to follow those that are being written. */
  readonly references: KeyValue[] = []
  #statusReference: PayloadReference | undefined
  readonly #walks: SchemaWalks<SpanWalk>
  readonly #output = new ProtoOutput()
  readonly #nested = new ProtoWriter(1024)
  readonly #identity = IDENTITY_KEYS.map(() => new ProtoOutput(512))
  readonly #resources = new PartCache<SharedPart>(MAX_PARTS)
  readonly #scopes = new PartCache<SharedPart>(MAX_PARTS)
  #walk: SpanWalk | undefined
  #resource: SharedPart | undefined
  #scope: SharedPart | undefined
  /** Of the record that was encoded last: of its `ScopeSpans`, and of its `ResourceSpans`. */
  #scopeBytes = 0
  #allBytes = 0

  /**
   * @param recordTypes the compiled schema of a record that was consumed
   * @param observer hears once of each schema for which no walk can be made
   */
  constructor(recordTypes: (schemaId: number) => RecordType | undefined, observer?: ByObjectsObserver) {
    this.#walks = new SchemaWalks(recordTypes, compileSpanWalk, observer)
  }

  setIdentity(place: number, b: Buffer, at: number, length: number): void {
    const output = this.#identity[place]!
    output.clear()
    if (length === 0) return
    const mark = output.begin(0x4a, 1)
    const key = KEY_BYTES[place]!
    output.string(0x0a, key, 0, key.length)
    output.stringValue(b, at, length)
    output.end(mark, 1)
  }

  addIdentity(): void {
    for (let place = 0; place < IDENTITY_KEYS.length; place++) {
      const output = this.#identity[place]!
      if ((this.ownKeys & (1 << place)) === 0) this.#output.append(output)
    }
  }

  addNested(b: Buffer, keyAt: number, keyLength: number, value: AnyValue): void {
    const plain = holdsReference(value)
      ? plainValue(value, b.toString('utf8', keyAt, keyAt + keyLength), this.references)
      : value
    writeValue(this.#nested, 2, plain)
    this.#output.raw(this.#nested.take())
  }

  /** As the field of attributes whose tag this is. */
  addReferences(tag: number): void {
    for (const attribute of this.references) {
      writeKeyValue(this.#nested, tag >>> 3, attribute)
      this.#output.raw(this.#nested.take())
    }
    this.references.length = 0
  }

  /** Keeps the reference of a status message for {@link addStatusReference}; gives what stands in its place. */
  takeStatus(reference: PayloadReference): Buffer {
    this.#statusReference = reference
    return Buffer.from(reference.preview)
  }

  addStatusReference(tag: number): void {
    this.references.push(referenceAttribute('status_message', this.#statusReference!))
    this.addReferences(tag)
  }

  setShared(b: Buffer, resourceAt: number, resourceEnd: number, scopeAt: number, scopeEnd: number): void {
    const walk = this.#walk!
    this.#resource = this.#resources.find(b, resourceAt, resourceEnd)
    if (this.#resource === undefined) {
      const model = walk.decodeResource(b, resourceAt, resourceEnd)
      this.#resource = this.#part(model.schemaUrl, (writer) => writeResource(writer, model))
      this.#resources.add(b, resourceAt, resourceEnd, this.#resource)
    }
    this.#scope = this.#scopes.find(b, scopeAt, scopeEnd)
    if (this.#scope === undefined) {
      const model = walk.decodeScope(b, scopeAt, scopeEnd)
      this.#scope = this.#part(model.schemaUrl, (writer) => writeScope(writer, model))
      this.#scopes.add(b, scopeAt, scopeEnd, this.#scope)
    }
  }

  /**
   * Encodes all spans of the record as one `ResourceSpans` of a request (its field 1). Gives its length; undefined when the record has to go by
   * objects. {@link copyTo} has the bytes, until the next record is encoded.
   */
  encode(record: FragmentRecord): number | undefined {
    if (record.day === NO_DAY) return undefined
    const walk = this.#walks.get(record.schemaId)
    if (walk === undefined) return undefined
    this.#walk = walk
    for (let place = 0; place < IDENTITY_KEYS.length; place++) this.#identity[place]!.clear()
    const spans = this.#output
    spans.clear()
    this.references.length = 0
    walk.feed(record.memory, record.contentStart, record.contentEnd, this, spans)
    const resource = this.#resource!
    const scope = this.#scope!
    this.#scopeBytes = scope.message.length + spans.size + scope.schemaUrl.length
    this.#allBytes =
      resource.message.length +
      1 +
      lengthBytes(this.#scopeBytes) +
      this.#scopeBytes +
      resource.schemaUrl.length
    return 1 + lengthBytes(this.#allBytes) + this.#allBytes
  }

  /** Writes what {@link encode} made of the last record. The room is there. */
  copyTo(out: Buffer, start: number): void {
    const resource = this.#resource!
    const scope = this.#scope!
    let at = writeHeader(out, start, 0x0a, this.#allBytes)
    at += resource.message.copy(out, at)
    at = writeHeader(out, at, 0x12, this.#scopeBytes)
    at += scope.message.copy(out, at)
    at += this.#output.copyTo(out, at)
    at += scope.schemaUrl.copy(out, at)
    resource.schemaUrl.copy(out, at)
  }

  #part(schemaUrl: string, write: (writer: ProtoWriter) => void): SharedPart {
    const writer = this.#nested
    write(writer)
    const message = writer.take()
    writeSchemaUrl(writer, schemaUrl)
    return { message, schemaUrl: writer.take() }
  }
}

const KEY_BYTES = IDENTITY_KEYS.map((key) => Buffer.from(key))

function lengthBytes(length: number): number {
  let bytes = 1
  for (let rest = length >>> 7; rest !== 0 && bytes < MAX_LENGTH_BYTES; rest >>>= 7) bytes++
  return bytes
}

function writeHeader(out: Buffer, start: number, tag: number, length: number): number {
  let at = start
  out[at++] = tag
  let rest = length
  for (; rest > 0x7f; rest >>>= 7) out[at++] = (rest & 0x7f) | 0x80
  out[at++] = rest
  return at
}
