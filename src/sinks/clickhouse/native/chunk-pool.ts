export const CHUNK_BYTES = 64 * 1024

/** Chunks of 256 KiB that columns fill, given back when their insert has ended, so that a busy sink allocates none. */
export class ChunkPool {
  readonly #free: Buffer[] = []
  readonly #maxFree: number

  /** @param maxFree chunks kept for later; more are left to the garbage collector */
  constructor(maxFree = 256) {
    this.#maxFree = maxFree
  }

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES)
  }

  give(chunk: Buffer): void {
    if (chunk.byteLength === CHUNK_BYTES && this.#free.length < this.#maxFree) this.#free.push(chunk)
  }
}
