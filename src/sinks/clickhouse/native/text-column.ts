import { CHUNK_BYTES, type ChunkPool } from './chunk-pool.ts'
import { type Column, varint } from './column.ts'

/** Longer strings are copied by the runtime, shorter ones by a loop: a call costs more than forty bytes. */
const LOOP_CHARACTERS = 40
const LOOP_BYTES = 40

/** A place in a text column, to copy what follows it later. */
export interface TextMark {
  chunk: Buffer
  position: number
}

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

  /** Where the next value will stand. */
  mark(): TextMark {
    return { chunk: this.#chunk, position: this.#position }
  }

  /** The encoded values since a mark, or undefined when they do not lie in one chunk. */
  since(mark: TextMark): Uint8Array | undefined {
    return mark.chunk === this.#chunk ? mark.chunk.subarray(mark.position, this.#position) : undefined
  }

  /** Values in their encoded form. */
  pushRun(encoded: Uint8Array, count: number): void {
    this.rows += count
    this.#append(encoded, 0, encoded.byteLength)
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
    this.#chunk.set(start === 0 && end === bytes.byteLength ? bytes : bytes.subarray(start, end), at)
    this.#position = at + end - start
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
