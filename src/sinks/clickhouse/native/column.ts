/**
 * A column of a block in ClickHouse's Native format, filled row by row and written once. What `write` hands out are views into the
 * column: they are valid until `reset`.
 */
export interface Column {
  /** Rows so far. */
  readonly rows: number
  /** Adds default values (0, empty) until there are `rows` rows. */
  pad(rows: number): void
  /** What stands before all data of a column: the version of each LowCardinality in it, in order. */
  writePrefix(out: Buffer[]): void
  writeData(out: Buffer[]): void
  /** Empties the column and gives its chunks back. */
  reset(): void
}

/** An unsigned LEB128 number as the format has for counts and lengths. */
export function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80)
    rest = Math.floor(rest / 0x80)
  }
  bytes.push(rest)
  return Buffer.from(bytes)
}

/** A string with its length before it. */
export function lengthPrefixed(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8')
  return Buffer.concat([varint(bytes.byteLength), bytes])
}

/** Up to so many rows, those of a record, a loop of the column's own fills them sooner than `fill`, which is a call into the runtime. */
export const LOOP_ROWS = 32

/** A power of two that holds `needed` entries. */
export function grownCapacity(capacity: number, needed: number): number {
  let grown = Math.max(capacity, 16)
  while (grown < needed) grown *= 2
  return grown
}
