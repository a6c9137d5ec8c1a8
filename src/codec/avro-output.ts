import { SiderealError } from '../model/errors.ts'

const FIRST_CAPACITY = 64 * 1024
/** A buffer that one large record made grow beyond this is given back. */
const MAX_KEPT_CAPACITY = 4 * 1024 * 1024
/** Up to this length a loop over char codes is faster than the runtime's encoder. */
const LOOP_LENGTH = 24
/** A character of UTF-16 takes at most three bytes of UTF-8. */
const MAX_BYTES_A_CHARACTER = 3

const NANOS_PER_SECOND = 1_000_000_000
/** Half of what 63 bits hold: the year 2116. */
const MAX_SECONDS = 2 ** 62 / NANOS_PER_SECOND

const INT64_MIN = -(2n ** 63n)
const INT64_MAX = 2n ** 63n - 1n
const INT32_MIN = -(2 ** 31)
const INT32_MAX = 2 ** 31 - 1

/** Writes Avro's binary encoding into a buffer that grows. Every method that can refuse takes the name of the field, for the message. */
export class AvroOutput {
  /** Lone surrogates that were replaced by U+FFFD, in all records so far. */
  replacedSurrogates = 0
  #buffer = Buffer.allocUnsafeSlow(FIRST_CAPACITY)
  #position = 0
  #double = new Float64Array(1)
  #doubleBytes = new Uint8Array(this.#double.buffer)
  #long = new BigInt64Array(1)
  #longHalves = new Int32Array(this.#long.buffer)

  /** Starts anew with room for `reserved` bytes in front. */
  begin(reserved: number): void {
    if (this.#buffer.length > MAX_KEPT_CAPACITY) this.#buffer = Buffer.allocUnsafeSlow(FIRST_CAPACITY)
    this.#position = reserved
  }

  /** A copy of what was written, reserved bytes included. */
  take(): Buffer {
    const copy = Buffer.allocUnsafe(this.#position)
    this.#buffer.copy(copy, 0, 0, this.#position)
    return copy
  }

  /** Bytes written, reserved ones included. */
  get position(): number {
    return this.#position
  }

  /** Takes back what was written from there on. */
  rewind(position: number): void {
    this.#position = position
  }

  /** The memory that is written to, to read from before the next call of any method. */
  get memory(): Buffer {
    return this.#buffer
  }

  /** Bytes that are encoded already. */
  raw(source: Buffer, start: number, end: number): void {
    this.#need(end - start)
    source.copy(this.#buffer, this.#position, start, end)
    this.#position += end - start
  }

  zeros(count: number): void {
    this.#need(count)
    this.#buffer.fill(0, this.#position, this.#position + count)
    this.#position += count
  }

  boolean(value: boolean): void {
    this.#need(1)
    this.#buffer[this.#position++] = value ? 1 : 0
  }

  /** Index of a union's branch, below 64. */
  branch(index: number): void {
    this.#need(1)
    this.#buffer[this.#position++] = index * 2
  }

  int(value: number, field: string): void {
    if (!Number.isInteger(value) || value < INT32_MIN || value > INT32_MAX) {
      throw invalid(field, `${value} is not a 32-bit integer`)
    }
    this.#varint(value)
  }

  /** A long that is a safe integer. */
  number(value: number, field: string): void {
    if (!Number.isSafeInteger(value)) throw invalid(field, `${value} is not an integer within ±(2^53 − 1)`)
    this.#varint(value)
  }

  /** Count of an array's items, or the length of bytes. */
  count(value: number): void {
    this.#varint(value)
  }

  bigint(value: bigint, field: string): void {
    if (value < INT64_MIN || value > INT64_MAX) throw invalid(field, 'the value is beyond 64 bits')
    this.#long[0] = value
    const low = this.#longHalves[0]!
    const high = this.#longHalves[1]!
    const sign = high >> 31
    this.#varintHalves(((high << 1) | (low >>> 31)) ^ sign, (low << 1) ^ sign)
  }

  /** The 64-bit nanoseconds of a time in seconds and nanoseconds, both whole: without a bigint where it can be. */
  nanoseconds(seconds: number, nanos: number, field: string): void {
    if (!(seconds >= 0 && seconds <= MAX_SECONDS && nanos >= 0 && nanos < NANOS_PER_SECOND)) {
      this.bigint(BigInt(seconds) * BigInt(NANOS_PER_SECOND) + BigInt(nanos), field)
      return
    }
    // seconds = upper · 2^16 + lower: each product stays below 2^53.
    const upper = Math.floor(seconds / 65_536) * NANOS_PER_SECOND
    const lower = (upper % 65_536) * 65_536 + (seconds % 65_536) * NANOS_PER_SECOND + nanos
    const high = Math.floor(upper / 65_536) + Math.floor(lower / 4_294_967_296)
    const low = lower >>> 0
    this.#varintHalves((high << 1) | (low >>> 31), low << 1)
  }

  double(value: number): void {
    this.#need(8)
    this.#double[0] = value
    for (let i = 0; i < 8; i++) this.#buffer[this.#position++] = this.#doubleBytes[i]!
  }

  bytes(value: Uint8Array): void {
    this.#varint(value.length)
    this.#need(value.length)
    this.#buffer.set(value, this.#position)
    this.#position += value.length
  }

  string(value: string): void {
    if (value.length <= LOOP_LENGTH && this.#shortAscii(value)) return
    const text = value.isWellFormed() ? value : this.#replaceSurrogates(value)
    const room = text.length * MAX_BYTES_A_CHARACTER
    const length = room < 64 ? -1 : Buffer.byteLength(text)
    if (length >= 0) {
      this.#varint(length)
      this.#need(length)
      this.#position += this.#buffer.write(text, this.#position)
      return
    }
    // The length is below 64, so it takes one byte, which is filled in afterwards.
    this.#need(room + 1)
    const written = this.#buffer.write(text, this.#position + 1)
    this.#buffer[this.#position] = written * 2
    this.#position += written + 1
  }

  /** A fixed value from hex digits. */
  hex(value: string, size: number, field: string): void {
    this.#need(size)
    if (value.length !== size * 2 || this.#buffer.write(value, this.#position, size, 'hex') !== size) {
      throw invalid(field, `"${value.slice(0, 64)}" is not ${size * 2} hex digits`)
    }
    this.#position += size
  }

  #shortAscii(value: string): boolean {
    const length = value.length
    this.#need(length + 1)
    const buffer = this.#buffer
    let at = this.#position
    buffer[at++] = length * 2
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i)
      if (code > 127) return false
      buffer[at++] = code
    }
    this.#position = at
    return true
  }

  #replaceSurrogates(value: string): string {
    const text = value.toWellFormed()
    for (let i = 0; i < text.length; i++) {
      if (text.charCodeAt(i) !== value.charCodeAt(i)) this.replacedSurrogates++
    }
    return text
  }

  #varint(value: number): void {
    if (value >= -0x40000000 && value < 0x40000000) {
      this.#need(5)
      let rest = ((value << 1) ^ (value >> 31)) >>> 0
      while (rest > 127) {
        this.#buffer[this.#position++] = (rest & 127) | 128
        rest >>>= 7
      }
      this.#buffer[this.#position++] = rest
      return
    }
    const high = Math.floor(value / 4294967296)
    const low = value | 0
    const sign = high >> 31
    this.#varintHalves(((high << 1) | (low >>> 31)) ^ sign, (low << 1) ^ sign)
  }

  /** @param high and `low`: halves of the zigzag form */
  #varintHalves(high: number, low: number): void {
    this.#need(10)
    const buffer = this.#buffer
    let restHigh = high >>> 0
    let restLow = low >>> 0
    let at = this.#position
    while (restHigh !== 0 || restLow > 127) {
      buffer[at++] = (restLow & 127) | 128
      restLow = ((restLow >>> 7) | (restHigh << 25)) >>> 0
      restHigh >>>= 7
    }
    buffer[at++] = restLow
    this.#position = at
  }

  #need(bytes: number): void {
    const needed = this.#position + bytes
    if (needed <= this.#buffer.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(larger, 0, 0, this.#position)
    this.#buffer = larger
  }
}

export function invalid(field: string, what: string): SiderealError {
  return new SiderealError('SIDEREAL_RECORD_INVALID', `${field}: ${what}`)
}
