import { endianness } from 'node:os'
import { type Column, grownCapacity, LOOP_ROWS } from './column.ts'

if (endianness() !== 'LE') throw new Error('The ClickHouse sink needs a little-endian machine.')

/** Shared by the columns whose values have a fixed width: an array that doubles, and whose bytes are the format. */
abstract class FixedColumn implements Column {
  rows = 0
  protected capacity = 0

  protected abstract view(): Buffer
  protected abstract resize(capacity: number): void
  protected abstract zero(from: number, to: number): void

  protected grow(rows = this.rows + 1): void {
    this.capacity = grownCapacity(this.capacity, rows)
    this.resize(this.capacity)
  }

  pad(rows: number): void {
    if (rows <= this.rows) return
    if (rows > this.capacity) this.grow(rows)
    this.zero(this.rows, rows)
    this.rows = rows
  }

  writePrefix(): void {
    // A fixed width needs none.
  }

  writeData(out: Buffer[]): void {
    if (this.rows > 0) out.push(this.view())
  }

  reset(): void {
    this.rows = 0
  }
}

export class UInt8Column extends FixedColumn {
  #values = new Uint8Array(0)

  push(value: number): void {
    if (this.rows === this.capacity) this.grow()
    this.#values[this.rows++] = value
  }

  pushBool(value: boolean): void {
    this.push(value ? 1 : 0)
  }

  protected override zero(from: number, to: number): void {
    this.#values.fill(0, from, to)
  }

  protected override resize(capacity: number): void {
    const values = new Uint8Array(capacity)
    values.set(this.#values)
    this.#values = values
  }

  protected override view(): Buffer {
    return Buffer.from(this.#values.buffer, 0, this.rows)
  }
}

/** UInt16. */
export class UInt16Column extends FixedColumn {
  #values = new Uint16Array(0)

  push(value: number): void {
    if (this.rows === this.capacity) this.grow()
    this.#values[this.rows++] = value
  }

  protected override zero(from: number, to: number): void {
    this.#values.fill(0, from, to)
  }

  protected override resize(capacity: number): void {
    const values = new Uint16Array(capacity)
    values.set(this.#values)
    this.#values = values
  }

  protected override view(): Buffer {
    return Buffer.from(this.#values.buffer, 0, this.rows * 2)
  }
}

/** Int32 and UInt32: the same bits. */
export class Int32Column extends FixedColumn {
  #values = new Int32Array(0)

  push(value: number): void {
    if (this.rows === this.capacity) this.grow()
    this.#values[this.rows++] = value
  }

  /** Adds the value to `count` rows. */
  pushTimes(value: number, count: number): void {
    const rows = this.rows + count
    if (rows > this.capacity) this.grow(rows)
    if (count > LOOP_ROWS) this.#values.fill(value, this.rows, rows)
    else for (let row = this.rows; row < rows; row++) this.#values[row] = value
    this.rows = rows
  }

  protected override zero(from: number, to: number): void {
    this.#values.fill(0, from, to)
  }

  protected override resize(capacity: number): void {
    const values = new Int32Array(capacity)
    values.set(this.#values)
    this.#values = values
  }

  protected override view(): Buffer {
    return Buffer.from(this.#values.buffer, 0, this.rows * 4)
  }
}

/** Int64, UInt64 and DateTime64: the same bits, from a bigint, from two halves, or from a safe integer. */
export class Int64Column extends FixedColumn {
  #values = new BigInt64Array(0)
  #unsigned = new BigUint64Array(0)
  #halves = new Int32Array(0)

  /** The low 64 bits. */
  push(value: bigint): void {
    if (this.rows === this.capacity) this.grow()
    this.#values[this.rows++] = value
  }

  pushHalves(high: number, low: number): void {
    if (this.rows === this.capacity) this.grow()
    const at = this.rows++ * 2
    this.#halves[at] = low
    this.#halves[at + 1] = high
  }

  /** A whole number within ±2^53. */
  pushNumber(value: number): void {
    this.pushHalves(Math.floor(value / 0x1_0000_0000), value | 0)
    // `| 0` takes the low 32 bits of any whole number below 2^53, negative ones in two's complement.
  }

  /** Adds a row for each value. */
  pushAll(values: BigUint64Array): void {
    if (values.length === 0) return
    const rows = this.rows + values.length
    if (rows > this.capacity) this.grow(rows)
    this.#unsigned.set(values, this.rows)
    this.rows = rows
  }

  /** Adds the low 64 bits to `count` rows. */
  pushTimes(value: bigint, count: number): void {
    const rows = this.rows + count
    if (rows > this.capacity) this.grow(rows)
    if (count > LOOP_ROWS) this.#values.fill(value, this.rows, rows)
    else for (let row = this.rows; row < rows; row++) this.#values[row] = value
    this.rows = rows
  }

  protected override zero(from: number, to: number): void {
    this.#values.fill(0n, from, to)
  }

  protected override resize(capacity: number): void {
    const values = new BigInt64Array(capacity)
    values.set(this.#values)
    this.#values = values
    this.#unsigned = new BigUint64Array(values.buffer)
    this.#halves = new Int32Array(values.buffer)
  }

  protected override view(): Buffer {
    return Buffer.from(this.#values.buffer, 0, this.rows * 8)
  }
}

export class Float64Column extends FixedColumn {
  #values = new Float64Array(0)

  push(value: number): void {
    if (this.rows === this.capacity) this.grow()
    this.#values[this.rows++] = value
  }

  protected override zero(from: number, to: number): void {
    this.#values.fill(0, from, to)
  }

  protected override resize(capacity: number): void {
    const values = new Float64Array(capacity)
    values.set(this.#values)
    this.#values = values
  }

  protected override view(): Buffer {
    return Buffer.from(this.#values.buffer, 0, this.rows * 8)
  }
}
