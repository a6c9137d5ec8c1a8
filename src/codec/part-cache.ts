import { hashBytes } from './byte-hash.ts'

/** Longer ones are seldom the same, and hold memory. */
const MAX_BYTES = 8192

interface Entry<Part> {
  readonly bytes: Buffer
  readonly part: Part
  /** The entry that followed this one last. */
  next: Entry<Part> | undefined
}

/**
 * What was made of the bytes of a resource or a scope. Avro's encoding of a value is its own, so equal bytes are an equal value. A guess
 * comes before a hash: services of one request follow one another as they did before.
 */
export class PartCache<Part> {
  readonly #byHash = new Map<number, Entry<Part>>()
  #last: Entry<Part> | undefined
  readonly #maxParts: number

  /** @param maxParts parts that are kept; the next one begins anew */
  constructor(maxParts = 4096) {
    this.#maxParts = maxParts
  }

  find(b: Buffer, start: number, end: number): Part | undefined {
    const guess = this.#last?.next
    if (guess !== undefined && isEqual(guess.bytes, b, start, end)) {
      this.#last = guess
      return guess.part
    }
    if (end - start > MAX_BYTES) return undefined
    const found = this.#byHash.get(hashBytes(b, start, end))
    if (found === undefined || !isEqual(found.bytes, b, start, end)) return undefined
    if (this.#last !== undefined) this.#last.next = found
    this.#last = found
    return found.part
  }

  /** Keeps a part that was not found. */
  add(b: Buffer, start: number, end: number, part: Part): void {
    if (end - start > MAX_BYTES) return
    if (this.#byHash.size >= this.#maxParts) this.clear()
    const entry: Entry<Part> = { bytes: Buffer.from(b.subarray(start, end)), part, next: undefined }
    this.#byHash.set(hashBytes(b, start, end), entry)
    if (this.#last !== undefined) this.#last.next = entry
    this.#last = entry
  }

  clear(): void {
    this.#byHash.clear()
    this.#last = undefined
  }
}

function isEqual(bytes: Buffer, b: Buffer, start: number, end: number): boolean {
  const length = end - start
  if (bytes.length !== length) return false
  for (let i = 0; i < length; i++) {
    if (bytes[i] !== b[start + i]) return false
  }
  return true
}
