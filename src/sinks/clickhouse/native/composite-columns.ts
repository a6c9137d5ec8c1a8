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

/** The entries of one row of a map in their encoded form, to be appended to further rows of the same block. */
export interface MapRun {
  keyStart: number
  keyEnd: number
  values: Uint8Array
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

  /** Writes one row and keeps it as a run; undefined when it cannot be kept, and has to be written again. */
  record(write: () => void): MapRun | undefined {
    const keyStart = this.keys.rows
    const mark = this.values.mark()
    write()
    const values = this.values.since(mark)
    // A copy: the chunk may be given back before the run is forgotten.
    return values === undefined
      ? undefined
      : { keyStart, keyEnd: this.keys.rows, values: Uint8Array.prototype.slice.call(values) }
  }

  /** Adds a row with the entries of an earlier row of this block. */
  pushRun(run: MapRun): void {
    this.keys.repeatRows(run.keyStart, run.keyEnd)
    this.values.pushRun(run.values, run.keyEnd - run.keyStart)
    this.endRow()
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
