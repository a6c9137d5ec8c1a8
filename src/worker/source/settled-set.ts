/** Offsets of one chunk. 4,096 bits are 512 bytes: small for a sparse tail, large enough that a lookup per chunk is cheap. */
const CHUNK_BITS = 4_096
const CHUNK_WORDS = CHUNK_BITS / 32

interface Chunk {
  readonly words: Uint32Array
  settled: number
}

/** Stands for every chunk whose offsets are all settled; never written to. */
const FULL: Chunk = { words: new Uint32Array(CHUNK_WORDS).fill(0xffff_ffff), settled: CHUNK_BITS }

/**
 * The low watermark of one partition and the settled offsets above it.
 *
 * Every offset below `watermark` is settled, the watermark itself is not. Offsets settle in any order, one or many at a
 * time; the watermark moves over them by itself. A hole of a billion offsets (retention) costs nothing where it begins at the watermark, and a
 * few megabytes elsewhere, not one bit each.
 */
export class SettledSet {
  #watermark: number
  #end: number
  #above = 0
  readonly #chunks = new Map<number, Chunk>()

  constructor(watermark: number) {
    this.#watermark = watermark
    this.#end = watermark
  }

  /** The lowest unsettled offset: what is committed. */
  get watermark(): number {
    return this.#watermark
  }

  /** One past the highest settled offset; equal to the watermark when nothing above it is settled. */
  get end(): number {
    return this.#end
  }

  /** How many offsets above the watermark are settled. */
  get countAbove(): number {
    return this.#above
  }

  has(offset: number): boolean {
    if (offset < this.#watermark) return true
    if (offset >= this.#end) return false
    const chunk = this.#chunks.get(Math.floor(offset / CHUNK_BITS))
    if (chunk === undefined) return false
    const bit = offset % CHUNK_BITS
    return ((chunk.words[bit >>> 5]! >>> (bit & 31)) & 1) === 1
  }

  /** Settles offsets; those that are settled already count as done. Returns true when anything changed. */
  settle(offsets: readonly number[]): boolean {
    let isChanged = false
    for (const offset of offsets) {
      if (this.#set(offset)) isChanged = true
    }
    if (isChanged) this.#advance()
    return isChanged
  }

  /** Settles `[from, to)`. Returns how many of them had not been settled. */
  settleRange(from: number, to: number): number {
    if (from <= this.#watermark && to > this.#end) return this.#moveTo(to)
    let offset = Math.max(from, this.#watermark)
    let changed = 0
    while (offset < to) {
      const index = Math.floor(offset / CHUNK_BITS)
      const next = Math.min(to, (index + 1) * CHUNK_BITS)
      if (offset % CHUNK_BITS === 0 && next - offset === CHUNK_BITS) {
        const added = CHUNK_BITS - (this.#chunks.get(index)?.settled ?? 0)
        this.#chunks.set(index, FULL)
        this.#above += added
        changed += added
        if (next > this.#end) this.#end = next
      } else {
        for (let o = offset; o < next; o++) if (this.#set(o)) changed += 1
      }
      offset = next
    }
    if (changed > 0) this.#advance()
    return changed
  }

  /** The first unsettled offset at or above `from`. */
  nextUnsettled(from: number): number {
    let offset = Math.max(from, this.#watermark)
    while (offset < this.#end) {
      const index = Math.floor(offset / CHUNK_BITS)
      const chunk = this.#chunks.get(index)
      if (chunk === undefined) return offset
      if (chunk !== FULL) {
        const found = scan(chunk.words, offset % CHUNK_BITS, 0xffff_ffff)
        if (found < CHUNK_BITS) return index * CHUNK_BITS + found
      }
      offset = (index + 1) * CHUNK_BITS
    }
    return offset
  }

  /** The first settled offset at or above `from`, which must not be below the watermark; `end` when there is none. */
  nextSettled(from: number): number {
    let offset = from
    while (offset < this.#end) {
      const index = Math.floor(offset / CHUNK_BITS)
      const chunk = this.#chunks.get(index)
      if (chunk === FULL) return offset
      if (chunk !== undefined) {
        const found = scan(chunk.words, offset % CHUNK_BITS, 0)
        if (found < CHUNK_BITS) return index * CHUNK_BITS + found
      }
      offset = (index + 1) * CHUNK_BITS
    }
    return this.#end
  }

  /**
   * Copies the bits of `[from, to)` into bytes, lowest offset first; `from` must be a multiple of 32, at most 31 below the
   * watermark. Bits below the watermark and at or above `to` are 0.
   */
  copyBits(from: number, to: number): Uint8Array {
    const words = new Uint32Array(Math.ceil((to - from) / 32))
    for (let i = 0; i < words.length; ) {
      const offset = from + i * 32
      const start = (offset % CHUNK_BITS) >>> 5
      const count = Math.min(CHUNK_WORDS - start, words.length - i)
      const chunk = this.#chunks.get(Math.floor(offset / CHUNK_BITS))
      if (chunk !== undefined) words.set(chunk.words.subarray(start, start + count), i)
      i += count
    }
    if (from < this.#watermark) words[0]! &= ~(2 ** (this.#watermark - from) - 1)
    const tail = (to - from) % 32
    if (tail !== 0) words[words.length - 1]! &= 2 ** tail - 1
    return new Uint8Array(words.buffer, 0, Math.ceil((to - from) / 8))
  }

  /** Settles everything below `watermark`, which lies beyond all that was settled. */
  #moveTo(watermark: number): number {
    const changed = watermark - this.#watermark - this.#above
    this.#chunks.clear()
    this.#above = 0
    this.#watermark = watermark
    this.#end = watermark
    return changed
  }

  #set(offset: number): boolean {
    if (offset < this.#watermark) return false
    const index = Math.floor(offset / CHUNK_BITS)
    let chunk = this.#chunks.get(index)
    if (chunk === FULL) return false
    if (chunk === undefined) {
      chunk = { words: new Uint32Array(CHUNK_WORDS), settled: 0 }
      this.#chunks.set(index, chunk)
    }
    const bit = offset % CHUNK_BITS
    const mask = 1 << (bit & 31)
    if ((chunk.words[bit >>> 5]! & mask) !== 0) return false
    chunk.words[bit >>> 5]! |= mask
    chunk.settled += 1
    if (chunk.settled === CHUNK_BITS) this.#chunks.set(index, FULL)
    this.#above += 1
    if (offset >= this.#end) this.#end = offset + 1
    return true
  }

  #advance(): void {
    const next = this.nextUnsettled(this.#watermark)
    if (next === this.#watermark) return
    const last = Math.floor(next / CHUNK_BITS)
    for (let index = Math.floor(this.#watermark / CHUNK_BITS); index < last; index++)
      this.#chunks.delete(index)
    this.#above -= next - this.#watermark
    this.#watermark = next
  }
}

/** The first bit at or after `bit` that is 1 in `word ^ flip`; `CHUNK_BITS` when there is none. */
function scan(words: Uint32Array, bit: number, flip: number): number {
  let index = bit >>> 5
  let word = ((words[index]! ^ flip) >>> (bit & 31)) << (bit & 31)
  while (word === 0) {
    index += 1
    if (index === CHUNK_WORDS) return CHUNK_BITS
    word = words[index]! ^ flip
  }
  return index * 32 + 31 - Math.clz32(word & -word)
}
