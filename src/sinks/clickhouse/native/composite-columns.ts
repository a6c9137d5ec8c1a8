import type { Column } from './column.ts'
import { Int64Column } from './fixed-columns.ts'
import type { LowCardinalityColumn } from './low-cardinality-column.ts'
import type { TextColumn } from './text-column.ts'

/** `Array(T)`: push the elements to `items`, then end the row. */
export class ArrayColumn<T extends Column = Column> implements Column {
  readonly items: T
  readonly #offsets = new Int64Column()

  constructor(items: T) {
    this.items = items
  }

  get rows(): number {
    return this.#offsets.rows
  }

  endRow(): void {
    this.#offsets.pushHalves(0, this.items.rows)
  }

  pad(rows: number): void {
    padOffsets(this.#offsets, this.items.rows, rows)
  }

  writePrefix(out: Buffer[]): void {
    this.items.writePrefix(out)
  }

  writeData(out: Buffer[]): void {
    this.#offsets.writeData(out)
    this.items.writeData(out)
  }

  reset(): void {
    this.#offsets.reset()
    this.items.reset()
  }
}

/** The entries of one row of a map in their encoded form, for any number of rows of the block that made it. */
export interface EncodedMap {
  /** Entries of the dictionary of keys. */
  readonly keys: Uint32Array
  readonly values: Uint8Array
}

/** `Map(LowCardinality(String), String)`: push key and value of each entry, then end the row. Order and repeated keys stay. */
export class MapColumn implements Column {
  readonly keys: LowCardinalityColumn
  readonly values: TextColumn
  readonly #offsets = new Int64Column()

  constructor(keys: LowCardinalityColumn, values: TextColumn) {
    this.keys = keys
    this.values = values
  }

  get rows(): number {
    return this.#offsets.rows
  }

  endRow(): void {
    this.#offsets.pushHalves(0, this.keys.rows)
  }

  /** Adds the encoded entries to `count` rows. */
  pushTimes(encoded: EncodedMap, count: number): void {
    for (let i = 0; i < count; i++) {
      this.keys.pushIndexes(encoded.keys)
      this.values.pushEncoded(encoded.values, encoded.keys.length)
      this.endRow()
    }
  }

  pad(rows: number): void {
    padOffsets(this.#offsets, this.keys.rows, rows)
  }

  writePrefix(out: Buffer[]): void {
    this.keys.writePrefix(out)
  }

  writeData(out: Buffer[]): void {
    this.#offsets.writeData(out)
    this.keys.writeData(out)
    this.values.writeData(out)
  }

  reset(): void {
    this.#offsets.reset()
    this.keys.reset()
    this.values.reset()
  }
}

/** `Tuple(…)`: push to each part. */
export class TupleColumn implements Column {
  readonly parts: readonly Column[]

  constructor(parts: readonly Column[]) {
    this.parts = parts
  }

  get rows(): number {
    return this.parts[0]?.rows ?? 0
  }

  pad(rows: number): void {
    for (const part of this.parts) part.pad(rows)
  }

  writePrefix(out: Buffer[]): void {
    for (const part of this.parts) part.writePrefix(out)
  }

  writeData(out: Buffer[]): void {
    for (const part of this.parts) part.writeData(out)
  }

  reset(): void {
    for (const part of this.parts) part.reset()
  }
}

/** Empty rows end where the last one ended. */
function padOffsets(offsets: Int64Column, end: number, rows: number): void {
  if (rows > offsets.rows) offsets.pushTimes(BigInt(end), rows - offsets.rows)
}
