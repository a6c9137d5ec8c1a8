import { isUtf8 } from 'node:buffer'

const LOOP_BYTES = 128
/** Value, inside a KeyValue. */
const VALUE = 0x12

/**
 * Writes protobuf from a walk over Avro, from front to back. An inner message gets room for its length before it; where the length turns out
 * longer than that, the message moves. Tags are the bytes of the wire: field number × 8 + wire type.
 */
export class ProtoOutput {
  #buffer: Buffer
  #at = 0

  constructor(initialBytes = 256 * 1024) {
    this.#buffer = Buffer.allocUnsafe(initialBytes)
  }

  get size(): number {
    return this.#at
  }

  clear(): void {
    this.#at = 0
  }

  /** Copies what was written; gives its length. */
  copyTo(target: Buffer, at: number): number {
    return this.#buffer.copy(target, at, 0, this.#at)
  }

  /** Writes what another one holds. No view is made of it: this is called for every span. */
  append(other: ProtoOutput): void {
    const length = other.#at
    this.#reserve(length)
    const from = other.#buffer
    const to = this.#buffer
    const start = this.#at
    if (length > LOOP_BYTES) from.copy(to, start, 0, length)
    else for (let i = 0; i < length; i++) to[start + i] = from[i]!
    this.#at = start + length
  }

  /** Begins an inner message with `room` bytes for its length; gives the mark for {@link end}. */
  begin(tag: number, room: number): number {
    this.#reserve(1 + room)
    this.#buffer[this.#at] = tag
    this.#at += 1 + room
    return this.#at
  }

  end(mark: number, room: number): void {
    const length = this.#at - mark
    let needed = 1
    for (let rest = length >>> 7; rest !== 0; rest >>>= 7) needed++
    let at = mark - room
    if (needed > room) {
      const more = needed - room
      this.#reserve(more)
      this.#buffer.copyWithin(mark + more, mark, this.#at)
      this.#at += more
    }
    // A length may have more bytes than it needs: the further ones say 0.
    const size = Math.max(needed, room)
    const buffer = this.#buffer
    let rest = length
    for (let i = 1; i < size; i++) {
      buffer[at++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    buffer[at] = rest
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#buffer.set(bytes, this.#at)
    this.#at += bytes.length
  }

  /** A field of bytes of a known size, below 128. */
  id(tag: number, b: Uint8Array, start: number, size: number): void {
    this.#reserve(2 + size)
    const buffer = this.#buffer
    let at = this.#at
    buffer[at++] = tag
    buffer[at++] = size
    for (let i = start; i < start + size; i++) buffer[at++] = b[i]!
    this.#at = at
  }

  /** A field of text; none when it is empty, as proto3 has it. */
  text(tag: number, b: Buffer, start: number, length: number): void {
    if (length > 0) this.string(tag, b, start, length)
  }

  /** A field of text, also when it is empty. Receivers refuse what is not UTF-8, so such bytes become U+FFFD. */
  string(tag: number, b: Buffer, start: number, length: number): void {
    this.#reserve(6 + length)
    const begin = this.#at
    this.#buffer[this.#at++] = tag
    this.#varint(length)
    const buffer = this.#buffer
    let isAscii = false
    if (length > LOOP_BYTES) b.copy(buffer, this.#at, start, start + length)
    else {
      let bits = 0
      for (let i = 0, at = this.#at; i < length; i++) {
        const byte = b[start + i]!
        bits |= byte
        buffer[at++] = byte
      }
      isAscii = bits < 0x80
    }
    if (isAscii || isUtf8(b.subarray(start, start + length))) {
      this.#at += length
      return
    }
    const text = Buffer.from(b.toString('utf8', start, start + length), 'utf8')
    this.#at = begin
    this.string(tag, text, 0, text.length)
  }

  varint(tag: number, value: number): void {
    this.#reserve(6)
    this.#buffer[this.#at++] = tag
    this.#varint(value >>> 0)
  }

  /** A count: left out when it is 0, as proto3 has it. */
  count(tag: number, value: number): void {
    if (value !== 0) this.varint(tag, value)
  }

  /** An int64 or a negative enum, by its halves. */
  varint64(tag: number, high: number, low: number): void {
    this.#reserve(11)
    const buffer = this.#buffer
    buffer[this.#at++] = tag
    let h = high >>> 0
    let l = low >>> 0
    while (h !== 0) {
      buffer[this.#at++] = (l & 0x7f) | 0x80
      l = ((l >>> 7) | (h << 25)) >>> 0
      h >>>= 7
    }
    this.#varint(l)
  }

  /** An enum: left out when it is 0; a negative one has 64 bits. */
  enum(tag: number, value: number): void {
    if (value < 0) this.varint64(tag, -1, value)
    else this.count(tag, value)
  }

  /** A time in nanoseconds by its halves; one before 1970 becomes 0, unknown. */
  time(tag: number, high: number, low: number): void {
    this.#reserve(9)
    const buffer = this.#buffer
    const isUnknown = high < 0
    buffer[this.#at] = tag
    buffer.writeUInt32LE(isUnknown ? 0 : low, this.#at + 1)
    buffer.writeUInt32LE(isUnknown ? 0 : high, this.#at + 5)
    this.#at += 9
  }

  fixed32(value: number): void {
    this.#reserve(4)
    this.#buffer.writeUInt32LE(value >>> 0, this.#at)
    this.#at += 4
  }

  byte(value: number): void {
    this.#reserve(1)
    this.#buffer[this.#at++] = value
  }

  /** The value of a KeyValue, one method a member of the union; each is written also when it is 0 or empty. */
  nullValue(): void {
    this.#reserve(2)
    this.#buffer[this.#at++] = VALUE
    this.#buffer[this.#at++] = 0
  }

  stringValue(b: Buffer, start: number, length: number): void {
    const mark = this.begin(VALUE, 1)
    this.string(0x0a, b, start, length)
    this.end(mark, 1)
  }

  boolValue(value: boolean): void {
    this.#reserve(4)
    const buffer = this.#buffer
    buffer[this.#at++] = VALUE
    buffer[this.#at++] = 2
    buffer[this.#at++] = 0x10
    buffer[this.#at++] = value ? 1 : 0
  }

  intValue(high: number, low: number): void {
    const mark = this.begin(VALUE, 1)
    this.varint64(0x18, high, low)
    this.end(mark, 1)
  }

  /** @param start of the 8 bytes of the double, which are those of Avro */
  doubleValue(b: Uint8Array, start: number): void {
    this.#reserve(11)
    const buffer = this.#buffer
    let at = this.#at
    buffer[at++] = VALUE
    buffer[at++] = 9
    buffer[at++] = 0x21
    for (let i = start; i < start + 8; i++) buffer[at++] = b[i]!
    this.#at = at
  }

  bytesValue(b: Buffer, start: number, length: number): void {
    const mark = this.begin(VALUE, 1)
    this.#reserve(6 + length)
    this.#buffer[this.#at++] = 0x3a
    this.#varint(length)
    b.copy(this.#buffer, this.#at, start, start + length)
    this.#at += length
    this.end(mark, 1)
  }

  /** Up to 2^32 − 1; the room is there. */
  #varint(value: number): void {
    const buffer = this.#buffer
    let rest = value
    while (rest > 0x7f) {
      buffer[this.#at++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    buffer[this.#at++] = rest
  }

  #reserve(bytes: number): void {
    const end = this.#at + bytes
    if (end <= this.#buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, end))
    this.#buffer.copy(larger, 0, 0, this.#at)
    this.#buffer = larger
  }
}
