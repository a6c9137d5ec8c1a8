const VARINT = 0
const FIXED64 = 1
const LENGTH_DELIMITED = 2
const FIXED32 = 5

/** Below this, writing ASCII byte by byte beats the call into native code. */
const SHORT_TEXT = 24

/**
 * Writes a protobuf message from its end to its beginning. So the length of an inner message is known when its header is written:
 * no size pass, no moving of bytes. Callers write fields in reverse order.
 */
export class ProtoWriter {
  #buffer: Buffer
  #at: number

  constructor(initialBytes = 64 * 1024) {
    this.#buffer = Buffer.allocUnsafe(initialBytes)
    this.#at = initialBytes
  }

  /** Bytes written so far: a mark for {@link endMessage}. */
  get size(): number {
    return this.#buffer.length - this.#at
  }

  /** A copy of what was written; the writer is empty again. */
  take(): Buffer {
    const bytes = Buffer.from(this.#buffer.subarray(this.#at))
    this.#at = this.#buffer.length
    return bytes
  }

  /** Ends an inner message whose fields were written since `mark`. */
  endMessage(field: number, mark: number): void {
    this.#varint(this.size - mark)
    this.#tag(field, LENGTH_DELIMITED)
  }

  string(field: number, text: string): void {
    const mark = this.size
    this.#text(text)
    this.endMessage(field, mark)
  }

  bytes(field: number, bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#at -= bytes.length
    this.#buffer.set(bytes, this.#at)
    this.#varint(bytes.length)
    this.#tag(field, LENGTH_DELIMITED)
  }

  /** Bytes given as hex digits. */
  hex(field: number, digits: string): void {
    const length = digits.length / 2
    this.#reserve(length)
    this.#at -= length
    this.#buffer.write(digits, this.#at, length, 'hex')
    this.#varint(length)
    this.#tag(field, LENGTH_DELIMITED)
  }

  uint32(field: number, value: number): void {
    this.#varint(value >>> 0)
    this.#tag(field, VARINT)
  }

  /** An enum or int32: a negative one is extended to 64 bits, as protobuf has it. */
  int32(field: number, value: number): void {
    if (value >= 0) this.#varint(value)
    else this.#varint64(0xffffffff, value >>> 0)
    this.#tag(field, VARINT)
  }

  int64(field: number, value: bigint): void {
    const bits = BigInt.asUintN(64, value)
    this.#varint64(Number(bits >> 32n), Number(bits & 0xffffffffn))
    this.#tag(field, VARINT)
  }

  bool(field: number, value: boolean): void {
    this.#varint(value ? 1 : 0)
    this.#tag(field, VARINT)
  }

  double(field: number, value: number): void {
    this.#reserve(8)
    this.#at -= 8
    this.#buffer.writeDoubleLE(value, this.#at)
    this.#tag(field, FIXED64)
  }

  fixed32(field: number, value: number): void {
    this.#reserve(4)
    this.#at -= 4
    this.#buffer.writeUInt32LE(value >>> 0, this.#at)
    this.#tag(field, FIXED32)
  }

  fixed64(field: number, value: bigint): void {
    this.#reserve(8)
    this.#at -= 8
    this.#buffer.writeBigUInt64LE(value, this.#at)
    this.#tag(field, FIXED64)
  }

  #tag(field: number, wireType: number): void {
    this.#varint((field << 3) | wireType)
  }

  #text(text: string): void {
    const { length } = text
    if (length <= SHORT_TEXT && this.#ascii(text)) return
    const byteLength = Buffer.byteLength(text)
    this.#reserve(byteLength)
    this.#at -= byteLength
    this.#buffer.write(text, this.#at, byteLength, 'utf8')
  }

  #ascii(text: string): boolean {
    this.#reserve(text.length)
    const start = this.#at - text.length
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index)
      if (code > 0x7f) return false
      this.#buffer[start + index] = code
    }
    this.#at = start
    return true
  }

  /** Up to 2^32 − 1. */
  #varint(value: number): void {
    this.#reserve(5)
    let size = 1
    for (let rest = value >>> 7; rest !== 0; rest >>>= 7) size += 1
    this.#at -= size
    let at = this.#at
    let rest = value
    for (; size > 1; size -= 1) {
      this.#buffer[at++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    this.#buffer[at] = rest
  }

  #varint64(high: number, low: number): void {
    if (high === 0) {
      this.#varint(low)
      return
    }
    this.#reserve(10)
    const groups: number[] = []
    let h = high
    let l = low
    while (h !== 0 || l !== 0) {
      groups.push(l & 0x7f)
      l = ((l >>> 7) | (h << 25)) >>> 0
      h >>>= 7
    }
    this.#at -= groups.length
    for (const [place, group] of groups.entries()) {
      this.#buffer[this.#at + place] = place === groups.length - 1 ? group : group | 0x80
    }
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#at) return
    const size = this.size
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, size + bytes))
    this.#buffer.copy(larger, larger.length - size, this.#at)
    this.#buffer = larger
    this.#at = larger.length - size
  }
}
