import { isUtf8 } from 'node:buffer'
import { hashBytes } from '../../../codec/byte-hash.ts'
import { type Column, grownCapacity, LOOP_ROWS, varint } from './column.ts'

const EMPTY_ENTRY = Buffer.from([0])

/** Version 1 of the serialization, "shared dictionaries with additional keys". */
const KEY_VERSION = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0])
/** "Has additional keys" and "needs an update of the dictionary". */
const DICTIONARY_FLAGS = 0x600

/**
 * `LowCardinality(String)`: a dictionary and an index a row. The dictionary is that of one block; its entry 0 is the empty string, so that
 * rows without a value are zeros. A guess comes before a hash: senders emit values in a fixed order, so the entry that followed the last
 * one most often follows it again.
 */
export class LowCardinalityColumn implements Column {
  rows = 0
  #indexes = new Uint32Array(0)
  /** Entries: their bytes, and their string once one was asked for. */
  readonly #entries: Buffer[] = []
  readonly #strings: (string | undefined)[] = []
  readonly #byString = new Map<string, number>()
  /** Open addressing over the entries' bytes: index + 1, 0 = free. */
  #slots = new Uint32Array(64)
  /** Which entry followed an entry last; index + 1. The first place stands for the start of a block. */
  #following = new Uint32Array(64)
  #last = 0
  #free = 0

  constructor() {
    this.#addEmpty()
  }

  /** Entries of the dictionary so far: an index at or above an earlier size is new. */
  get size(): number {
    return this.#entries.length
  }

  /** The text of an entry. */
  textOf(index: number): string {
    const known = this.#strings[index]
    if (known !== undefined) return known
    const entry = this.#entries[index]
    if (entry === undefined) throw new RangeError(`The dictionary has no entry ${index}`)
    const text = entry.toString('utf8', lengthBytes(entry))
    this.#strings[index] = text
    return text
  }

  /** Adds a row; returns the index of its entry, which stays the same within the block. */
  pushString(text: string): number {
    const guess = this.#following[this.#last]!
    if (guess !== 0 && this.#strings[guess - 1] === text) return this.#push(guess - 1)
    const index = this.intern(text)
    this.#following[this.#last] = index + 1
    return this.#push(index)
  }

  /** As {@link pushString}, from UTF-8. Bytes that are not UTF-8 become U+FFFD. */
  pushBytes(bytes: Buffer, start: number, end: number): number {
    const guess = this.#following[this.#last]!
    if (guess !== 0 && isEqual(this.#entries[guess - 1]!, bytes, start, end)) return this.#push(guess - 1)
    const index = this.internBytes(bytes, start, end)
    this.#following[this.#last] = index + 1
    return this.#push(index)
  }

  /** The index of a text, for {@link pushTimes} and {@link pushIndexes}; adds no row. */
  intern(text: string): number {
    let index = this.#byString.get(text)
    if (index === undefined) {
      const bytes = Buffer.from(text, 'utf8')
      index = this.#findOrAdd(bytes, 0, bytes.byteLength)
      this.#byString.set(text, index)
      this.#strings[index] ??= text
    }
    return index
  }

  /** As {@link intern}, from UTF-8. */
  internBytes(bytes: Buffer, start: number, end: number): number {
    const found = this.#find(bytes, start, end)
    if (found >= 0) return found
    return isUtf8(bytes.subarray(start, end))
      ? this.#findOrAdd(bytes, start, end)
      : this.intern(bytes.toString('utf8', start, end))
  }

  /** Adds an entry to `count` rows. */
  pushTimes(index: number, count: number): void {
    const rows = this.rows + count
    if (rows > this.#indexes.length) this.#grow(rows)
    if (count > LOOP_ROWS) this.#indexes.fill(index, this.rows, rows)
    else for (let row = this.rows; row < rows; row++) this.#indexes[row] = index
    this.rows = rows
    this.#last = index + 1
  }

  /** Adds a row for each entry. */
  pushIndexes(indexes: Uint32Array): void {
    for (let i = 0; i < indexes.length; i++) this.#push(indexes[i]!)
  }

  pad(rows: number): void {
    if (rows > this.rows) this.pushTimes(0, rows - this.rows)
  }

  writePrefix(out: Buffer[]): void {
    out.push(KEY_VERSION)
  }

  writeData(out: Buffer[]): void {
    if (this.rows === 0) return
    const size = this.#entries.length
    const width = size <= 0x100 ? 0 : size <= 0x1_0000 ? 1 : 2
    const head = Buffer.alloc(16)
    head.writeBigUInt64LE(BigInt(DICTIONARY_FLAGS | width), 0)
    head.writeBigUInt64LE(BigInt(size), 8)
    out.push(head)
    for (const entry of this.#entries) out.push(entry)
    const count = Buffer.alloc(8)
    count.writeBigUInt64LE(BigInt(this.rows))
    out.push(count)
    const indexes = this.#indexes.subarray(0, this.rows)
    const narrow = width === 0 ? new Uint8Array(indexes) : width === 1 ? new Uint16Array(indexes) : indexes
    out.push(Buffer.from(narrow.buffer, narrow.byteOffset, narrow.byteLength))
  }

  reset(): void {
    this.rows = 0
    this.#entries.length = 0
    this.#strings.length = 0
    this.#byString.clear()
    this.#slots.fill(0)
    this.#following.fill(0)
    this.#last = 0
    this.#addEmpty()
  }

  #addEmpty(): void {
    this.#findOrAdd(EMPTY_ENTRY, 1, 1)
  }

  #grow(rows: number): void {
    const indexes = new Uint32Array(grownCapacity(this.#indexes.length, rows))
    indexes.set(this.#indexes)
    this.#indexes = indexes
  }

  #push(index: number): number {
    if (this.rows === this.#indexes.length) this.#grow(this.rows + 1)
    this.#indexes[this.rows++] = index
    this.#last = index + 1
    return index
  }

  /** Index of the entry, or −1; then `#free` is the slot where it belongs. */
  #find(bytes: Uint8Array, start: number, end: number): number {
    const mask = this.#slots.length - 1
    let slot = hashBytes(bytes, start, end) & mask
    for (;;) {
      const held = this.#slots[slot]!
      if (held === 0) break
      if (isEqual(this.#entries[held - 1]!, bytes, start, end)) return held - 1
      slot = (slot + 1) & mask
    }
    this.#free = slot
    return -1
  }

  #findOrAdd(bytes: Uint8Array, start: number, end: number): number {
    const found = this.#find(bytes, start, end)
    if (found >= 0) return found
    const slot = this.#free
    const index = this.#entries.length
    this.#entries.push(encodeEntry(bytes, start, end))
    this.#strings.push(undefined)
    this.#slots[slot] = index + 1
    if ((index + 1) * 2 > this.#slots.length) this.#growTables()
    return index
  }

  #growTables(): void {
    this.#slots = new Uint32Array(this.#slots.length * 2)
    const following = new Uint32Array(this.#slots.length)
    following.set(this.#following)
    this.#following = following
    const mask = this.#slots.length - 1
    this.#entries.forEach((entry, index) => {
      let slot = hashBytes(entry, lengthBytes(entry), entry.byteLength) & mask
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask
      this.#slots[slot] = index + 1
    })
  }
}

/** Entries are kept as they are written: with their length before them. */
function encodeEntry(bytes: Uint8Array, start: number, end: number): Buffer {
  return Buffer.concat([varint(end - start), bytes.subarray(start, end)])
}

function lengthBytes(entry: Uint8Array): number {
  let at = 0
  while (entry[at]! >= 0x80) at++
  return at + 1
}

function isEqual(entry: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  const prefix = entry.length < 0x81 ? 1 : lengthBytes(entry)
  const length = end - start
  if (entry.length - prefix !== length) return false
  for (let i = 0; i < length; i++) {
    if (entry[prefix + i] !== bytes[start + i]) return false
  }
  return true
}
