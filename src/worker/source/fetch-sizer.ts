/** Heap that kafkajs takes for a record beside its bytes, until the batch has been handed over. */
export const RECORD_COST_BYTES = 1_000

export interface FetchLimits {
  /** Bytes over all partitions, as the broker counts them: compressed. */
  readonly maxBytes: number
  readonly maxBytesPerPartition: number
}

/** What the broker sent, and what it became. Bytes. */
export interface Fetched {
  /** Of records that came uncompressed. */
  readonly plainBytes: number
  readonly packedBytes: number
  readonly unpackedBytes: number
  readonly records: number
}

const FIRST_RATIO = 4
const FIRST_BYTES = 512 * 1024
const MIN_BYTES = 16 * 1024
const GROW = 2
/** How fast the figure of dear data is forgotten when cheaper data comes. */
const FORGET = 0.8

/**
 * How much to ask for in one fetch, so that what it becomes in memory (unpacked, as objects) fits a share: asks for little at first,
 * sees what a fetched byte costs, and goes on from there.
 */
export class FetchSizer {
  readonly #limits: FetchLimits
  readonly #shareBytes: number
  #costPerByte = 1
  #ratio = FIRST_RATIO
  #bytes = FIRST_BYTES

  constructor(limits: FetchLimits, shareBytes: number) {
    this.#limits = limits
    this.#shareBytes = shareBytes
  }

  /** Memory that one byte of a fetch takes. */
  get costPerByte(): number {
    return this.#costPerByte
  }

  /** Unpacked bytes of one packed byte, lately. */
  get ratio(): number {
    return this.#ratio
  }

  next(partitions: number): FetchLimits {
    const maxBytes = Math.min(this.#limits.maxBytes, this.#bytes)
    // Twice the even share: where some partitions have nothing, the others may have more.
    const even = Math.ceil((2 * maxBytes) / Math.max(1, partitions))
    return {
      maxBytes,
      maxBytesPerPartition: Math.min(this.#limits.maxBytesPerPartition, Math.max(MIN_BYTES, even)),
    }
  }

  note({ plainBytes, packedBytes, unpackedBytes, records }: Fetched): void {
    const bytes = plainBytes + packedBytes
    if (bytes === 0) return
    if (packedBytes > 0) this.#ratio = unpackedBytes / packedBytes
    const cost = (plainBytes + unpackedBytes + records * RECORD_COST_BYTES) / bytes
    this.#costPerByte = Math.max(cost, this.#costPerByte * FORGET, 1)
    const fitting = this.#shareBytes / this.#costPerByte
    this.#bytes = Math.max(MIN_BYTES, Math.min(fitting, this.#bytes * GROW))
  }
}
