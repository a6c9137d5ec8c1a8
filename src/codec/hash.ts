/**
 * The 64-bit keys of `trace_fragments`: xxHash32 (seed 0) in the upper half, MurmurHash3 x86 32 (seed 0) in the lower. Equal to
 * ClickHouse's `bitOr(bitShiftLeft(toUInt64(xxHash32(x)), 32), toUInt64(murmurHash3_32(x)))`, so that SQL can build the same keys
 * from columns. Two 32-bit hashes because both are fast in JavaScript, where a 64-bit one needs BigInt at each step.
 */

const XX_PRIME_1 = 0x9e3779b1
const XX_PRIME_2 = 0x85ebca77
const XX_PRIME_3 = 0xc2b2ae3d
const XX_PRIME_4 = 0x27d4eb2f
const XX_PRIME_5 = 0x165667b1
const MURMUR_C1 = 0xcc9e2d51
const MURMUR_C2 = 0x1b873593

function readUint32(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
}

function rotateLeft(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits))
}

function xxLane(lane: number, word: number): number {
  return Math.imul(rotateLeft((lane + Math.imul(word, XX_PRIME_2)) | 0, 13), XX_PRIME_1)
}

function xxWord(hash: number, word: number): number {
  return Math.imul(rotateLeft((hash + Math.imul(word, XX_PRIME_3)) | 0, 17), XX_PRIME_4)
}

function xxFinish(hash: number): number {
  let h = Math.imul(hash ^ (hash >>> 15), XX_PRIME_2)
  h = Math.imul(h ^ (h >>> 13), XX_PRIME_3)
  return (h ^ (h >>> 16)) >>> 0
}

function murmurScramble(word: number): number {
  return Math.imul(rotateLeft(Math.imul(word, MURMUR_C1), 15), MURMUR_C2)
}

function murmurWord(hash: number, word: number): number {
  return (Math.imul(rotateLeft(hash ^ murmurScramble(word), 13), 5) + 0xe6546b64) | 0
}

function murmurFinish(hash: number, length: number): number {
  let h = hash ^ length
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** xxHash32 with seed 0 of `bytes[start, end)`, unsigned. */
export function xxHash32(bytes: Uint8Array, start = 0, end = bytes.length): number {
  let at = start
  let hash = XX_PRIME_5 | 0
  if (end - start >= 16) {
    let a = (XX_PRIME_1 + XX_PRIME_2) | 0
    let b = XX_PRIME_2 | 0
    let c = 0
    let d = -XX_PRIME_1 | 0
    for (; at + 16 <= end; at += 16) {
      a = xxLane(a, readUint32(bytes, at))
      b = xxLane(b, readUint32(bytes, at + 4))
      c = xxLane(c, readUint32(bytes, at + 8))
      d = xxLane(d, readUint32(bytes, at + 12))
    }
    hash = (rotateLeft(a, 1) + rotateLeft(b, 7) + rotateLeft(c, 12) + rotateLeft(d, 18)) | 0
  }
  hash = (hash + end - start) | 0
  for (; at + 4 <= end; at += 4) hash = xxWord(hash, readUint32(bytes, at))
  for (; at < end; at++) {
    hash = Math.imul(rotateLeft((hash + Math.imul(bytes[at]!, XX_PRIME_5)) | 0, 11), XX_PRIME_1)
  }
  return xxFinish(hash)
}

/** MurmurHash3 x86 32 with seed 0 of `bytes[start, end)`, unsigned. */
export function murmurHash3x32(bytes: Uint8Array, start = 0, end = bytes.length): number {
  let at = start
  let hash = 0
  for (; at + 4 <= end; at += 4) hash = murmurWord(hash, readUint32(bytes, at))
  let tail = 0
  for (let i = end - 1; i >= at; i--) tail = (tail << 8) | bytes[i]!
  if (at < end) hash ^= murmurScramble(tail)
  return murmurFinish(hash, end - start)
}

/**
 * Builds keys without an allocation: each method leaves the key in `high` and `low` (unsigned 32-bit halves).
 * The state of the last trace id is kept, since most spans of a record share it.
 */
export class KeyHasher {
  high = 0
  low = 0
  #scratch = Buffer.alloc(64)
  #word0 = 0
  #word1 = 0
  #word2 = 0
  #word3 = 0
  #xxTrace = 0
  #murmurTrace = 0
  #hasTrace = false

  /** Key of any bytes. */
  bytes(bytes: Uint8Array, start: number, end: number): void {
    this.high = xxHash32(bytes, start, end)
    this.low = murmurHash3x32(bytes, start, end)
  }

  /** Sets the trace id (16 bytes at `at`) that {@link span} goes on from. True when it is another one than before. */
  setTrace(bytes: Uint8Array, at: number): boolean {
    const word0 = readUint32(bytes, at)
    const word1 = readUint32(bytes, at + 4)
    const word2 = readUint32(bytes, at + 8)
    const word3 = readUint32(bytes, at + 12)
    if (
      this.#hasTrace &&
      word0 === this.#word0 &&
      word1 === this.#word1 &&
      word2 === this.#word2 &&
      word3 === this.#word3
    ) {
      return false
    }
    this.#hasTrace = true
    this.#word0 = word0
    this.#word1 = word1
    this.#word2 = word2
    this.#word3 = word3
    const a = xxLane((XX_PRIME_1 + XX_PRIME_2) | 0, word0)
    const b = xxLane(XX_PRIME_2 | 0, word1)
    const c = xxLane(0, word2)
    const d = xxLane(-XX_PRIME_1 | 0, word3)
    this.#xxTrace = (rotateLeft(a, 1) + rotateLeft(b, 7) + rotateLeft(c, 12) + rotateLeft(d, 18)) | 0
    this.#murmurTrace = murmurWord(murmurWord(murmurWord(murmurWord(0, word0), word1), word2), word3)
    return true
  }

  /** Key of the trace id that was set. */
  trace(): void {
    this.high = xxFinish((this.#xxTrace + 16) | 0)
    this.low = murmurFinish(this.#murmurTrace, 16)
  }

  /** Key of the trace id that was set with the span id (8 bytes) at `at`. */
  span(bytes: Uint8Array, at: number): void {
    const word0 = readUint32(bytes, at)
    const word1 = readUint32(bytes, at + 4)
    this.high = xxFinish(xxWord(xxWord((this.#xxTrace + 24) | 0, word0), word1))
    this.low = murmurFinish(murmurWord(murmurWord(this.#murmurTrace, word0), word1), 24)
  }

  /** Key of a node: log id (16 bytes at `logAt`) and place in `trace[]` as uint32 little endian. */
  node(bytes: Uint8Array, logAt: number, place: number): void {
    const scratch = this.#room(20)
    copy(bytes, logAt, logAt + 16, scratch, 0)
    scratch.writeUInt32LE(place, 16)
    this.bytes(scratch, 0, 20)
  }

  /** Key of a node id within a log: log id (16 bytes at `logAt`) and the UTF-8 bytes `[start, end)` of the id. */
  nodeId(bytes: Uint8Array, logAt: number, start: number, end: number): void {
    const length = 16 + end - start
    const scratch = this.#room(length)
    copy(bytes, logAt, logAt + 16, scratch, 0)
    copy(bytes, start, end, scratch, 16)
    this.bytes(scratch, 0, length)
  }

  #room(length: number): Buffer {
    if (length > this.#scratch.length) this.#scratch = Buffer.alloc(length * 2)
    return this.#scratch
  }
}

function copy(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): void {
  for (let i = start, j = at; i < end; i++, j++) to[j] = from[i]!
}

function keyOf(bytes: Uint8Array): bigint {
  return (BigInt(xxHash32(bytes)) << 32n) | BigInt(murmurHash3x32(bytes))
}

/** Key of a span: trace id and span id in hex. For edges and tests; the hot path uses {@link KeyHasher}. */
export function spanKey(traceId: string, spanId: string): bigint {
  return keyOf(Buffer.from(traceId + spanId, 'hex'))
}

/** Key of a trace id in hex. */
export function traceKey(traceId: string): bigint {
  return keyOf(Buffer.from(traceId, 'hex'))
}

/** Key of a log id in hex. */
export function logKey(logId: string): bigint {
  return keyOf(Buffer.from(logId, 'hex'))
}

/** Key of a node: log id in hex and place in `trace[]`. */
export function nodeKey(logId: string, place: number): bigint {
  const bytes = Buffer.alloc(20)
  bytes.write(logId, 'hex')
  bytes.writeUInt32LE(place, 16)
  return keyOf(bytes)
}

/** Key of a node's `id` or `node_id`, or of one that `next_log_ids` announces, within a log. */
export function nodeIdKey(logId: string, id: string): bigint {
  return keyOf(Buffer.concat([Buffer.from(logId, 'hex'), Buffer.from(id, 'utf8')]))
}
