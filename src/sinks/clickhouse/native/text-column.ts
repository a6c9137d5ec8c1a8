import { isUtf8 } from 'node:buffer'
import { CHUNK_BYTES, type ChunkPool } from './chunk-pool.ts'
import { type Column, varint } from './column.ts'

/** Longer strings are copied by the runtime, shorter ones by a loop: a call costs more than forty bytes. */
const LOOP_CHARACTERS = 40
const LOOP_BYTES = 40
/** As {@link LOOP_BYTES}, for a call that makes no view of the bytes. */
const LOOP_COPY_BYTES = 64
/** Up to here a loop tells sooner than a call that bytes are ASCII. */
const ASCII_LOOP_BYTES = 400

const copyBytes = Buffer.prototype.copy
const HEX = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0')).join(''))

/** `String`: length and bytes, value after value. Takes JavaScript strings and UTF-8 bytes. */
export class TextColumn implements Column {
  rows = 0
  readonly #pool: ChunkPool
  readonly #full: { chunk: Buffer; length: number }[] = []
  #chunk: Buffer = Buffer.alloc(0)
  #position = 0

  constructor(pool: ChunkPool) {
    this.#pool = pool
  }

  pushEmpty(): void {
    this.rows++
    const at = this.#reserve(1)
    this.#chunk[at] = 0
    this.#position = at + 1
  }

  pushString(text: string): void {
    const length = text.length
    if (length > LOOP_CHARACTERS) {
      this.#pushLong(text)
      return
    }
    this.rows++
    // Three bytes a UTF-16 unit at most, so at most 120: one byte holds the length.
    const start = this.#reserve(1 + length * 3) + 1
    const chunk = this.#chunk
    for (let i = 0; i < length; i++) {
      const unit = text.charCodeAt(i)
      if (unit > 0x7f) {
        const bytes = chunk.write(text, start, 'utf8')
        chunk[start - 1] = bytes
        this.#position = start + bytes
        return
      }
      chunk[start + i] = unit
    }
    chunk[start - 1] = length
    this.#position = start + length
  }

  pushBytes(bytes: Uint8Array, start: number, end: number): void {
    const length = end - start
    this.rows++
    if (length >= 0x80 || length > LOOP_BYTES) {
      this.#pushLength(length)
      this.#append(bytes, start, end)
      return
    }
    let at = this.#reserve(1 + length)
    const chunk = this.#chunk
    chunk[at++] = length
    for (let i = start; i < end; i++) chunk[at++] = bytes[i]!
    this.#position = at
  }

  /** As {@link pushBytes}; what is not UTF-8 becomes U+FFFD. */
  pushUtf8(bytes: Buffer, start: number, end: number): void {
    const length = end - start
    if (length > LOOP_BYTES) {
      if (isAscii(bytes, start, end) || isUtf8(bytes.subarray(start, end))) this.pushBytes(bytes, start, end)
      else this.pushString(bytes.toString('utf8', start, end))
      return
    }
    let at = this.#reserve(1 + length)
    const chunk = this.#chunk
    chunk[at++] = length
    let bits = 0
    for (let i = start; i < end; i++) {
      const byte = bytes[i]!
      bits |= byte
      chunk[at++] = byte
    }
    if (bits > 0x7f && !isUtf8(bytes.subarray(start, end))) {
      this.pushString(bytes.toString('utf8', start, end))
      return
    }
    this.rows++
    this.#position = at
  }

  /** Adds the bytes as lower-case hex. At most 63 of them. */
  pushHex(bytes: Uint8Array, start: number, size: number): void {
    this.rows++
    let at = this.#reserve(1 + size * 2)
    const chunk = this.#chunk
    chunk[at++] = size * 2
    for (let i = start; i < start + size; i++) {
      const byte = bytes[i]! * 2
      chunk[at++] = HEX[byte]!
      chunk[at++] = HEX[byte + 1]!
    }
    this.#position = at
  }

  /** Adds a signed 64-bit integer, given as halves (upper signed, lower unsigned), in decimal digits. */
  pushInteger(high: number, low: number): void {
    if (high !== 0 || low > 999_999_999) {
      this.pushString(((BigInt(high) << 32n) | BigInt(low)).toString())
      return
    }
    this.rows++
    let digits = 1
    for (let bound = 10; low >= bound; bound *= 10) digits++
    let at = this.#reserve(1 + digits)
    const chunk = this.#chunk
    chunk[at] = digits
    at += digits
    this.#position = at + 1
    for (let rest = low, i = 0; i < digits; i++) {
      const next = (rest / 10) | 0
      chunk[at--] = 48 + rest - next * 10
      rest = next
    }
  }

  pushUtf8Times(bytes: Buffer, start: number, end: number, count: number): void {
    if (count === 0) return
    const chunk = this.#chunk
    const at = this.#position
    this.pushUtf8(bytes, start, end)
    if (chunk === this.#chunk) this.#repeat(at, count - 1)
    else for (let i = 1; i < count; i++) this.pushUtf8(bytes, start, end)
  }

  pushHexTimes(bytes: Uint8Array, start: number, size: number, count: number): void {
    if (count === 0) return
    const chunk = this.#chunk
    const at = this.#position
    this.pushHex(bytes, start, size)
    if (chunk === this.#chunk) this.#repeat(at, count - 1)
    else for (let i = 1; i < count; i++) this.pushHex(bytes, start, size)
  }

  /** Values in their encoded form. */
  pushEncoded(encoded: Uint8Array, count: number): void {
    this.rows += count
    if (encoded.byteLength > 0) this.#append(encoded, 0, encoded.byteLength)
  }

  /** A copy of all values in their encoded form. */
  encoded(): Uint8Array {
    const out: Buffer[] = []
    this.writeData(out)
    return Buffer.concat(out)
  }

  pad(rows: number): void {
    while (this.rows < rows) {
      const count = Math.min(rows - this.rows, CHUNK_BYTES)
      const at = this.#reserve(count)
      this.#chunk.fill(0, at, at + count)
      this.#position = at + count
      this.rows += count
    }
  }

  writePrefix(): void {
    // Plain strings need none.
  }

  writeData(out: Buffer[]): void {
    for (const { chunk, length } of this.#full) out.push(chunk.subarray(0, length))
    if (this.#position > 0) out.push(this.#chunk.subarray(0, this.#position))
  }

  reset(): void {
    for (const { chunk } of this.#full) this.#pool.give(chunk)
    if (this.#chunk.byteLength > 0) this.#pool.give(this.#chunk)
    this.#full.length = 0
    this.#chunk = Buffer.alloc(0)
    this.#position = 0
    this.rows = 0
  }

  /** Adds the last value `count` times more: it begins at `start` of the chunk at hand, which may change meanwhile. */
  #repeat(start: number, count: number): void {
    const source = this.#chunk
    const end = this.#position
    const size = end - start
    for (let i = 0; i < count; i++) {
      let at = this.#reserve(size)
      const chunk = this.#chunk
      if (size > LOOP_COPY_BYTES) at += source.copy(chunk, at, start, end)
      else for (let from = start; from < end; from++) chunk[at++] = source[from]!
      this.#position = at
    }
    this.rows += count
  }

  #pushLong(text: string): void {
    this.rows++
    const bytes = Buffer.byteLength(text, 'utf8')
    this.#pushLength(bytes)
    const at = this.#reserve(bytes)
    this.#position = at + this.#chunk.write(text, at, bytes, 'utf8')
  }

  #pushLength(length: number): void {
    let at = this.#reserve(8)
    if (length < 0x4000) {
      const chunk = this.#chunk
      if (length < 0x80) chunk[at++] = length
      else {
        chunk[at++] = (length & 0x7f) | 0x80
        chunk[at++] = length >> 7
      }
      this.#position = at
      return
    }
    const encoded = varint(length)
    this.#chunk.set(encoded, at)
    this.#position = at + encoded.byteLength
  }

  #append(bytes: Uint8Array, start: number, end: number): void {
    const at = this.#reserve(end - start)
    // Not `set`: it wants a view of the bytes, which costs more than the copy.
    this.#position = at + copyBytes.call(bytes, this.#chunk, at, start, end)
  }

  /** Room for `bytes` in one piece; a value larger than a chunk gets a chunk of its own. Returns where it starts. */
  #reserve(bytes: number): number {
    if (this.#position + bytes <= this.#chunk.byteLength) return this.#position
    if (this.#chunk.byteLength > 0) this.#full.push({ chunk: this.#chunk, length: this.#position })
    this.#chunk = bytes <= CHUNK_BYTES ? this.#pool.take() : Buffer.allocUnsafeSlow(bytes)
    this.#position = 0
    return 0
  }
}

function isAscii(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start > ASCII_LOOP_BYTES) return false
  let bits = 0
  for (let i = start; i < end; i++) bits |= bytes[i]!
  return bits < 0x80
}
