const FIRST_BYTES = 1024 * 1024
/** Larger ones are rare, and are left to the garbage collector. */
const MAX_KEPT_BYTES = 8 * 1024 * 1024
const MAX_KEPT = 4

/**
 * Memory of requests, used again and again: a request fills a megabyte, and fresh memory for each makes the garbage collector come every
 * few dozen requests, to look through a heap that has hardly changed.
 */
export class RequestMemory {
  readonly #free: Buffer[] = []

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(FIRST_BYTES)
  }

  /** Takes the memory back in which a request lies that nobody reads any more. */
  give({ buffer }: Uint8Array): void {
    const memory = Buffer.from(buffer)
    if (memory.length <= MAX_KEPT_BYTES && this.#free.length < MAX_KEPT) this.#free.push(memory)
  }

  /** As much as `memory`, and so many bytes more, with its first `used` bytes. */
  grow(memory: Buffer, used: number, more: number): Buffer {
    const larger = Buffer.allocUnsafeSlow(Math.max(memory.length * 2, used + more))
    memory.copy(larger, 0, 0, used)
    return larger
  }
}
