import { constants, createZstdCompress, type ZstdCompress } from 'node:zlib'

const LEVEL = 1
/** Output is cut out of memory of this size; a value of 20 KB fills a part of it. */
const CHUNK_BYTES = 64 * 1024

/**
 * Compresses values, a frame each, on the thread pool, all with one compressor: to make one for each value, as `zstdCompress` does, takes longer than to
 * compress 20 KB (memory for its tables, and giving that back).
 */
export class ZstdFrames {
  #stream: ZstdCompress | undefined
  #parts: Buffer[] = []

  /** The value as a frame of its own; one value at a time. Rejects when there is no memory for a compressor. */
  compress(value: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const stream = this.#open()
      const onError = (error: Error): void => {
        this.#stream = undefined
        reject(error)
      }
      stream.once('error', onError)
      stream.write(value, (error) => {
        stream.off('error', onError)
        if (error) onError(error)
        else this.#take(stream, resolve)
      })
    })
  }

  #take(stream: ZstdCompress, resolve: (frame: Buffer) => void): void {
    // What the stream has not handed out yet is part of this frame.
    if (stream.readableLength > 0) {
      setImmediate(() => this.#take(stream, resolve))
      return
    }
    const parts = this.#parts
    this.#parts = []
    resolve(parts.length === 1 ? parts[0]! : Buffer.concat(parts))
  }

  #open(): ZstdCompress {
    if (this.#stream !== undefined) return this.#stream
    const stream = createZstdCompress({
      // Each write ends a frame.
      flush: constants.ZSTD_e_end,
      chunkSize: CHUNK_BYTES,
      params: { [constants.ZSTD_c_compressionLevel]: LEVEL },
    })
    this.#parts = []
    stream.on('data', (part: Buffer) => this.#parts.push(part))
    this.#stream = stream
    return stream
  }
}
