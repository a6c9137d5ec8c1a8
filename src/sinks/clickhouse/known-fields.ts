import type { AnyValue } from '../../model/any-value.ts'
import { valueText } from './any-value-text.ts'
import type { Int64Column, UInt16Column } from './native/fixed-columns.ts'
import type { LowCardinalityColumn } from './native/low-cardinality-column.ts'

/** A column that is filled from attributes, and the keys that fill it, the best first. */
export interface KnownField {
  readonly column: LowCardinalityColumn | Int64Column | UInt16Column
  readonly type: 'text' | 'int64' | 'uint16'
  readonly keys: readonly string[]
}

/** Key of an attribute without a column of its own. */
const NOT_KNOWN = -1
const MAX_NAMES = 16

const UNSET = 0
const VALUE = 1
const TEXT = 2
const INTEGER = 3

/**
 * The attributes of a row that have a column of their own. A key is looked up once a block, by its index in the dictionary; after that an
 * attribute costs one array read. Of several keys for one column the best wins, of a repeated key the first.
 */
export class KnownFields {
  readonly #fields: readonly KnownField[]
  readonly #keys: LowCardinalityColumn
  readonly #roles: ReadonlyMap<string, number>
  readonly #byIndex: number[] = []
  readonly #kinds: Uint8Array
  readonly #ranks: Uint8Array
  readonly #values: AnyValue[]
  /** Position and length of a text in the record, or the halves of an integer. */
  readonly #first: Int32Array
  readonly #second: Uint32Array
  readonly #touched: Uint8Array
  #touchedCount = 0

  /** @param keys the dictionary that indexes of keys belong to */
  constructor(fields: readonly KnownField[], keys: LowCardinalityColumn) {
    this.#fields = fields
    this.#keys = keys
    this.#roles = new Map(
      fields.flatMap((field, slot) =>
        field.keys.map((key, rank): [string, number] => [key, slot * MAX_NAMES + rank]),
      ),
    )
    this.#kinds = new Uint8Array(fields.length)
    this.#ranks = new Uint8Array(fields.length)
    this.#values = fields.map(() => null)
    this.#first = new Int32Array(fields.length)
    this.#second = new Uint32Array(fields.length)
    this.#touched = new Uint8Array(fields.length)
  }

  /** What {@link set} and its kin take for a key; negative when no column is filled from it. */
  roleOf(keyIndex: number): number {
    return this.#byIndex[keyIndex] ?? this.#lookUp(keyIndex)
  }

  set(role: number, value: AnyValue): void {
    const slot = this.#claim(role)
    if (slot < 0) return
    this.#kinds[slot] = VALUE
    this.#values[slot] = value
  }

  /** A text by its place in the record. */
  setText(role: number, at: number, length: number): void {
    const slot = this.#claim(role)
    if (slot < 0) return
    this.#kinds[slot] = TEXT
    this.#first[slot] = at
    this.#second[slot] = length
  }

  /** An integer by its halves: upper signed, lower unsigned. */
  setInteger(role: number, high: number, low: number): void {
    const slot = this.#claim(role)
    if (slot < 0) return
    this.#kinds[slot] = INTEGER
    this.#first[slot] = high
    this.#second[slot] = low
  }

  /** Fills a field by its place with a text, unless an attribute has filled it with something. */
  fillText(slot: number, text: string): void {
    if (text === '') return
    const kind = this.#kinds[slot]
    if (kind === UNSET) this.#touched[this.#touchedCount++] = slot
    else if (kind === INTEGER || (kind === TEXT && this.#second[slot] !== 0)) return
    else if (kind === VALUE && valueText(this.#values[slot] ?? null) !== '') return
    this.#kinds[slot] = VALUE
    this.#values[slot] = text
  }

  /** Adds the row's values to their columns, each padded to `row` first, and begins the next row. `bytes` is the record of the row. */
  pushRow(row: number, bytes?: Buffer): void {
    for (let i = 0; i < this.#touchedCount; i++) {
      const slot = this.#touched[i]!
      const { column, type } = this.#fields[slot]!
      column.pad(row)
      if (type === 'text') this.#pushText(column as LowCardinalityColumn, slot, bytes)
      else if (type === 'int64') this.#pushInteger(column as Int64Column, slot, bytes)
      else (column as UInt16Column).push(this.#uint16(slot, bytes))
      this.#kinds[slot] = UNSET
    }
    this.#touchedCount = 0
  }

  /** Forgets the dictionary: its block was reset. */
  endBlock(): void {
    this.#byIndex.length = 0
  }

  /** The slot when the role is better than what the row has there, else −1. */
  #claim(role: number): number {
    const slot = Math.floor(role / MAX_NAMES)
    const rank = role % MAX_NAMES
    if (this.#kinds[slot] === UNSET) this.#touched[this.#touchedCount++] = slot
    else if (rank >= this.#ranks[slot]!) return -1
    this.#ranks[slot] = rank
    return slot
  }

  #lookUp(keyIndex: number): number {
    const role = this.#roles.get(this.#keys.textOf(keyIndex)) ?? NOT_KNOWN
    this.#byIndex[keyIndex] = role
    return role
  }

  #pushText(column: LowCardinalityColumn, slot: number, bytes: Buffer | undefined): void {
    if (this.#kinds[slot] === TEXT && bytes !== undefined) {
      const at = this.#first[slot]!
      column.pushBytes(bytes, at, at + this.#second[slot]!)
      return
    }
    const value = this.#valueOf(slot, bytes)
    column.pushString(typeof value === 'string' ? value : valueText(value))
  }

  #pushInteger(column: Int64Column, slot: number, bytes: Buffer | undefined): void {
    if (this.#kinds[slot] === INTEGER) column.pushHalves(this.#first[slot]!, this.#second[slot]!)
    else column.push(wholeNumber(this.#valueOf(slot, bytes)))
  }

  #uint16(slot: number, bytes: Buffer | undefined): number {
    if (this.#kinds[slot] === INTEGER) return this.#first[slot] === 0 ? asUint16(this.#second[slot]!) : 0
    return asUint16(Number(wholeNumber(this.#valueOf(slot, bytes))))
  }

  #valueOf(slot: number, bytes: Buffer | undefined): AnyValue {
    const first = this.#first[slot]!
    const second = this.#second[slot]!
    if (this.#kinds[slot] === INTEGER) return (BigInt(first) << 32n) | BigInt(second)
    if (this.#kinds[slot] === TEXT) return bytes?.toString('utf8', first, first + second) ?? ''
    return this.#values[slot] ?? null
  }
}

/** 0 for what is out of range. */
function asUint16(value: number): number {
  return value > 0 && value < 0x1_0000 ? value : 0
}

/** A whole number from an int, a double or a text of digits; 0n for everything else. */
export function wholeNumber(value: AnyValue): bigint {
  if (typeof value === 'bigint') return value
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : 0n
  if (typeof value === 'string' && /^-?\d{1,15}$/.test(value)) return BigInt(value)
  return 0n
}
