import { KeyValueList } from '../model/any-value.ts'
import { PayloadReference } from '../model/payload-reference.ts'

const DECODE_CACHE_SIZE = 4096
/** Longer strings are rarely equal to an earlier one, and comparing them costs more than making them. */
const MAX_CACHED_LENGTH = 40

export type Refuse = (position: number, what: string) => never

/** What generated decoders call. One set a record type, since the caches belong to it. */
export interface DecodeRuntime {
  text: (b: Buffer, at: number, length: number) => string
  toHex: (b: Buffer, at: number, size: number) => string
  sameHex: (b: Buffer, at: number, size: number) => string
  toBigInt: (high: number, low: number) => bigint
  copyBytes: (b: Buffer, at: number, length: number) => Uint8Array
  encoding: (b: Buffer, at: number, length: number) => 'zstd' | 'identity'
  PayloadReference: typeof PayloadReference
  KeyValueList: typeof KeyValueList
}

export function createDecodeRuntime(bad: Refuse): DecodeRuntime {
  const text = createTextReader(DECODE_CACHE_SIZE)
  const long = new BigInt64Array(1)
  const longHalves = new Int32Array(long.buffer)
  const lastBytes = new Uint8Array(16)
  let lastHex = ''

  function toHex(b: Buffer, at: number, size: number): string {
    return b.toString('hex', at, at + size)
  }

  return {
    text,
    toHex,
    sameHex(b, at, size) {
      let i = lastHex === '' ? size : 0
      while (i < size && b[at + i] === lastBytes[i]) i++
      if (i === size && lastHex !== '') return lastHex
      for (let j = 0; j < size; j++) lastBytes[j] = b[at + j]!
      lastHex = toHex(b, at, size)
      return lastHex
    },
    toBigInt(high, low) {
      longHalves[0] = low
      longHalves[1] = high
      return long[0]!
    },
    copyBytes(b, at, length) {
      const copy = new Uint8Array(length)
      copy.set(b.subarray(at, at + length))
      return copy
    },
    encoding(b, at, length) {
      const name = text(b, at, length)
      if (name !== 'zstd' && name !== 'identity') bad(at, 'a payload reference has an unknown encoding')
      return name
    },
    PayloadReference,
    KeyValueList,
  }
}

/**
 * Reads UTF-8. Short ASCII strings are kept in a table by a hash of their length and three of their bytes, and compared byte by byte:
 * keys and the usual values repeat, and a call into the runtime plus a new string costs several times as much.
 * Bytes that are not UTF-8 become U+FFFD.
 * @param cacheSize a power of two
 */
export function createTextReader(cacheSize: number): (b: Buffer, at: number, length: number) => string {
  const cache: string[] = new Array<string>(cacheSize).fill('')
  return (b, at, length) => {
    if (length === 0) return ''
    if (length > MAX_CACHED_LENGTH) return b.toString('utf8', at, at + length)
    const end = at + length
    const spread =
      Math.imul(length, 0x9e3779b1) ^
      Math.imul(
        b[at]! | (b[end - 1]! << 8) | (b[at + (length >> 1)]! << 16) | (b[at + (length >> 2)]! << 24),
        0x85ebca6b,
      )
    const slot = (spread ^ (spread >>> 15)) & (cacheSize - 1)
    const cached = cache[slot]!
    if (cached.length === length) {
      let i = 0
      while (i < length && cached.charCodeAt(i) === b[at + i]) i++
      if (i === length) return cached
    }
    for (let i = at; i < end; i++) {
      if (b[i]! > 127) return b.toString('utf8', at, end)
    }
    const made = b.toString('latin1', at, end)
    cache[slot] = made
    return made
  }
}
