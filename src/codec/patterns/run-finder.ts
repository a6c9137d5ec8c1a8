import { BYTE_FREQUENCIES, type ByteRun, bitsOf, frequencyOf } from './byte-run.ts'

/** From here on a search by the runtime for one rare byte is faster than a loop. */
const MIN_NATIVE_BYTES = 256
/** A byte is rare below this part of a text. */
const RARE = 1 / 1024
/** What a place that has the part by chance costs, in steps of the search: all of the text is decoded then, and searched in vain. */
const MISS_COST = 2_000

/**
 * Looks for a run of bytes, by Horspool's way: the byte at the last place says how far the run may lie at least, so most bytes are never looked at.
 * Of the run that is given only a part is looked for: the one that is cheapest to find and still keeps most texts out.
 */
export class RunFinder {
  readonly #length: number
  /** A bit for each place where the byte may stand. */
  readonly #places = new Int32Array(256)
  readonly #shifts = new Uint8Array(256)
  readonly #rareByte: number
  readonly #rarePlace: number

  constructor(run: ByteRun) {
    const part = cheapestPart(run)
    this.#length = part.length
    part.forEach((bytes, place) => {
      bytes.forEach((has, byte) => {
        if (has === 1) this.#places[byte]! |= 1 << place
      })
    })
    this.#shifts.set(shiftsOf(part))
    this.#rarePlace = part.findIndex((bytes) => countOf(bytes) === 1 && frequencyOf(bytes) < RARE)
    this.#rareByte = this.#rarePlace < 0 ? -1 : part[this.#rarePlace]!.indexOf(1)
  }

  /** Whether the run is in `[start, end)`. */
  isIn(bytes: Buffer, start: number, end: number): boolean {
    if (this.#rareByte >= 0) {
      return end - start < MIN_NATIVE_BYTES
        ? this.#isAtRareByte(bytes, start, end)
        : this.#isAtRareByteOfMany(bytes.subarray(start, end))
    }
    const places = this.#places
    const shifts = this.#shifts
    const last = this.#length - 1
    const lastBit = 1 << last
    for (let at = start + last; at < end; ) {
      const byte = bytes[at]!
      if ((places[byte]! & lastBit) !== 0 && this.#isBefore(bytes, at, last)) return true
      at += shifts[byte]!
    }
    return false
  }

  /** Whether the places before the last one, which lies at `at`, have their bytes. */
  #isBefore(bytes: Buffer, at: number, last: number): boolean {
    for (let back = 1; back <= last; back++) {
      if ((this.#places[bytes[at - back]!]! & (1 << (last - back))) === 0) return false
    }
    return true
  }

  #isAtRareByte(bytes: Buffer, start: number, end: number): boolean {
    const byte = this.#rareByte
    for (let at = start; at < end; at++) {
      if (bytes[at] === byte && this.#isAround(bytes, at, start, end)) return true
    }
    return false
  }

  #isAtRareByteOfMany(bytes: Buffer): boolean {
    for (let at = bytes.indexOf(this.#rareByte); at >= 0; at = bytes.indexOf(this.#rareByte, at + 1)) {
      if (this.#isAround(bytes, at, 0, bytes.length)) return true
    }
    return false
  }

  #isAround(bytes: Buffer, at: number, start: number, end: number): boolean {
    const last = this.#length - 1
    const lastAt = at - this.#rarePlace + last
    if (lastAt - last < start || lastAt >= end) return false
    return (this.#places[bytes[lastAt]!]! & (1 << last)) !== 0 && this.#isBefore(bytes, lastAt, last)
  }
}

/** By steps for each byte of a text, and what the texts cost that have the part by chance. */
function cheapestPart(run: ByteRun): ByteRun {
  const bits = run.map((bytes) => bitsOf([bytes]))
  let best = run
  let least = Infinity
  for (let last = 0; last < run.length; last++) {
    const step = 1 + 2 * frequencyOf(run[last]!)
    // Of the bytes that stand at a place before the last one: how often they come, and how far they let the part move.
    const seen = new Uint8Array(256)
    let frequency = 0
    let shift = 0
    let partBits = 0
    for (let start = last; start >= 0; start--) {
      partBits += bits[start]!
      for (let byte = 0; start < last && byte < 256; byte++) {
        if (run[start]![byte] === 0 || seen[byte] === 1) continue
        seen[byte] = 1
        frequency += BYTE_FREQUENCIES[byte]!
        shift += BYTE_FREQUENCIES[byte]! * (last - start)
      }
      const meanShift = shift + (1 - frequency) * (last - start + 1)
      const cost = step / meanShift + 2 ** -partBits * MISS_COST
      if (cost >= least) continue
      least = cost
      best = run.slice(start, last + 1)
    }
  }
  return best
}

/** How far the run may move when a byte lies at its last place. */
function shiftsOf(part: ByteRun): Uint8Array {
  const last = part.length - 1
  const shifts = new Uint8Array(256).fill(part.length)
  for (let place = 0; place < last; place++) {
    part[place]!.forEach((has, byte) => {
      if (has === 1) shifts[byte] = last - place
    })
  }
  return shifts
}

function countOf(bytes: Uint8Array): number {
  return bytes.reduce((sum, has) => sum + has, 0)
}
