import { createHash } from 'node:crypto'
import { KeyValueList } from '../model/any-value.ts'
import { PayloadReference } from '../model/payload-reference.ts'
import { parsePayloadReference } from '../model/payload-reference-text.ts'
import { type ExpectedKeyValue, type ExpectedText, type ExpectedValue, ValueDigest } from './expected.ts'
import { ParsedMap, type ParsedValue, parseTextForm, StoredText } from './text-forms.ts'

/** A payload that a row refers to, and what it has to hold. */
export interface PayloadCheck {
  readonly path: string
  readonly reference: PayloadReference
  readonly expected: ValueDigest
}

interface Entries {
  readonly keys: readonly string[]
  readonly values: readonly string[]
}

/** Compares one row with what was sent, field by field. Collects the names of what differs, never values. */
export class RowComparison {
  readonly differences: string[] = []
  /** What is left to do: fetch these and compare. */
  readonly payloads: PayloadCheck[] = []
  readonly #references = new Map<string, string[]>()

  /** @param references the row's column `payload_refs` */
  constructor(references: Entries) {
    references.keys.forEach((path, place) => {
      const text = references.values[place] ?? ''
      const known = this.#references.get(path)
      if (known === undefined) this.#references.set(path, [text])
      else known.push(text)
    })
  }

  /** `undefined` is not compared. */
  equal<Value extends string | number | bigint | boolean>(
    field: string,
    expected: Value | undefined,
    actual: Value,
  ): void {
    if (expected !== undefined && !Object.is(expected, actual)) this.differences.push(field)
  }

  /** A text that may have been moved to object storage. `path` is that of `payload_refs`. */
  text(path: string, expected: ExpectedText | undefined, actual: string): void {
    if (expected === undefined || expected === actual) return
    if (expected instanceof ValueDigest && isDigestOf(expected, actual)) return
    const stored = this.#references.get(path)?.shift()
    if (stored === undefined) {
      this.differences.push(path)
      return
    }
    const reference = parsePayloadReference(stored)
    const digest = digestOf(expected)
    const hasPreview = typeof expected !== 'string' || expected.startsWith(actual)
    if (reference.size !== digest.size || reference.sha256 !== digest.sha256 || !hasPreview)
      this.differences.push(path)
    else if (reference.key !== null) this.payloads.push({ path, reference, expected: digest })
    else if (!(expected instanceof PayloadReference && expected.key === null))
      this.differences.push(`${path} (cut)`)
  }

  /** Attributes: a map in the row, with one letter an entry that gives its type. */
  values(
    path: string,
    expected: readonly ExpectedKeyValue[] | undefined,
    actual: Entries,
    types: string,
  ): void {
    if (expected === undefined) return
    if (actual.keys.length !== expected.length || types.length !== expected.length) {
      this.differences.push(path)
      return
    }
    expected.forEach(({ key, value }, place) => {
      if (actual.keys[place] !== key) this.differences.push(`${path}[${place}]`)
      else this.#value(`${path}.${key}`, value, parseTextForm(types[place] ?? '', actual.values[place] ?? ''))
    })
  }

  #value(path: string, expected: ExpectedValue, actual: ParsedValue | undefined): void {
    if (
      typeof expected === 'string' ||
      expected instanceof ValueDigest ||
      expected instanceof PayloadReference
    ) {
      if (typeof actual === 'string') this.text(path, expected, actual)
      else if (actual instanceof StoredText) this.text(path, expected, actual.preview)
      else this.differences.push(path)
    } else if (expected instanceof KeyValueList) {
      const entries = actual instanceof ParsedMap ? actual.entries : undefined
      if (entries?.length !== expected.entries.length) this.differences.push(path)
      else if (entries.some(([key], place) => key !== expected.entries[place]?.key))
        this.differences.push(path)
      else
        for (const [place, entry] of expected.entries.entries())
          this.#value(`${path}.${entry.key}`, entry.value, entries[place]![1])
    } else if (expected instanceof Uint8Array) {
      if (!(actual instanceof Uint8Array) || Buffer.compare(expected, actual) !== 0)
        this.differences.push(path)
    } else if (typeof expected === 'object' && expected !== null) {
      const items = listOf(actual)
      if (items?.length !== expected.length) this.differences.push(path)
      else for (const [place, item] of expected.entries()) this.#value(`${path}.${place}`, item, items[place])
    } else if (!Object.is(expected, actual)) this.differences.push(path)
  }
}

function listOf(value: ParsedValue | undefined): readonly ParsedValue[] | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  return value instanceof Uint8Array || value instanceof ParsedMap || value instanceof StoredText
    ? undefined
    : value
}

function digestOf(expected: ExpectedText): ValueDigest {
  if (typeof expected !== 'string') return new ValueDigest(expected.size, expected.sha256)
  return new ValueDigest(
    Buffer.byteLength(expected),
    createHash('sha256').update(expected, 'utf8').digest('hex'),
  )
}

function isDigestOf(digest: ValueDigest, text: string): boolean {
  return Buffer.byteLength(text) === digest.size && digestOf(text).sha256 === digest.sha256
}
