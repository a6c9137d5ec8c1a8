import type { ChunkPool } from './chunk-pool.ts'
import { type Column, lengthPrefixed, varint } from './column.ts'
import { type ColumnOf, createColumn } from './column-types.ts'

/** The columns of a table: type by name, in order. */
export type ColumnTypes = Readonly<Record<string, string>>
export type BlockColumns<T extends ColumnTypes> = { readonly [Name in keyof T]: ColumnOf<T[Name]> }

/**
 * One block in ClickHouse's Native format: a builder a column. Feeders push to every column once a row and then call `endRow`. In the sparse
 * columns they leave out values that are 0 or empty: before they push to such a column, they pad it to `rows`.
 * `finish` gives the bytes; they are views into the builders, so `reset` waits until they are sent.
 */
export class Block<T extends ColumnTypes> {
  readonly types: T
  readonly columns: BlockColumns<T>
  readonly #list: { header: Buffer; column: Column; name: string }[]
  readonly #sparse: readonly Column[]
  #rows = 0

  constructor(types: T, pool: ChunkPool, sparse: readonly (keyof T)[] = []) {
    this.types = types
    const columns: Record<string, Column> = {}
    this.#list = Object.entries(types).map(([name, type]) => {
      const column: Column = createColumn(type, pool)
      columns[name] = column
      return { name, column, header: Buffer.concat([lengthPrefixed(name), lengthPrefixed(type)]) }
    })
    this.columns = columns as BlockColumns<T>
    this.#sparse = sparse.map((name) => columns[String(name)]!)
  }

  get rows(): number {
    return this.#rows
  }

  get columnNames(): readonly string[] {
    return this.#list.map(({ name }) => name)
  }

  endRow(): void {
    this.#rows++
  }

  endRows(count: number): void {
    this.#rows += count
  }

  /** The block as a list of pieces. A column that is out of step is a fault of the feeder and throws: nothing may be sent then. */
  finish(): Buffer[] {
    for (const column of this.#sparse) column.pad(this.#rows)
    const out: Buffer[] = [Buffer.concat([varint(this.#list.length), varint(this.#rows)])]
    for (const { name, column, header } of this.#list) {
      if (column.rows !== this.#rows) {
        throw new Error(`Column ${name} has ${column.rows} values in a block of ${this.#rows} rows`)
      }
      out.push(header)
      column.writePrefix(out)
      column.writeData(out)
    }
    return joinSmall(out)
  }

  reset(): void {
    this.#rows = 0
    for (const { column } of this.#list) column.reset()
  }
}

const SMALL_BYTES = 8_192

/** Joins neighbours that are small: a dictionary has a piece an entry, and each piece would be a write of its own. */
function joinSmall(pieces: readonly Buffer[]): Buffer[] {
  const out: Buffer[] = []
  let small: Buffer[] = []
  for (const piece of pieces) {
    if (piece.byteLength < SMALL_BYTES) {
      small.push(piece)
      continue
    }
    if (small.length > 0) out.push(Buffer.concat(small))
    small = []
    out.push(piece)
  }
  if (small.length > 0) out.push(Buffer.concat(small))
  return out
}
