import { AsyncLocalStorage } from 'node:async_hooks'
import { giveBack } from '../model/give-back.ts'

/** Unpacks a record batch. Throws {@link UnpackedTooLarge} rather than give more than `maxBytes`. */
export type Unpack = (input: Buffer, limits: UnpackLimits) => Promise<Buffer>

export interface UnpackLimits {
  readonly maxBytes: number
  /** A guess: who guesses right unpacks into one piece of memory. */
  readonly expectedBytes: number
}

/** The largest record batch that is unpacked where no budget is set. Kafka's own limit counts compressed bytes. */
export const MAX_UNPACKED_BYTES = 512 * 1024 * 1024

/** A batch that is larger unpacked than it may be. */
export class UnpackedTooLarge extends RangeError {
  override readonly name = 'UnpackedTooLarge'
}

/** By this name kafkajs knows a response that the broker cut inside a batch: it takes what came before, and fetches the rest anew. */
class CutHere extends Error {
  override readonly name = 'KafkaJSPartialMessageError'
}

/**
 * What the batches of one fetch may take in memory once they are unpacked. Brokers and kafkajs count compressed bytes only, and kafkajs
 * unpacks everything that a fetch brought before it hands over the first record. Beyond the budget a response ends, as if the
 * broker had cut it there. The first batch is always unpacked, up to a limit of its own, so that each fetch gets on.
 */
export class UnpackBudget {
  readonly #maxBytes: number
  readonly #maxBatchBytes: number
  readonly #expectedRatio: number
  readonly #outputs: Buffer[] = []
  #isCut = false
  packedBytes = 0
  unpackedBytes = 0

  constructor(limits: {
    readonly maxBytes: number
    readonly maxBatchBytes: number
    readonly expectedRatio: number
  }) {
    this.#expectedRatio = limits.expectedRatio
    this.#maxBytes = limits.maxBytes
    this.#maxBatchBytes = limits.maxBatchBytes
  }

  /** True when something was left out. */
  get isCut(): boolean {
    return this.#isCut
  }

  async unpack(input: Buffer, unpack: Unpack): Promise<Buffer> {
    const isFirst = this.unpackedBytes === 0
    const room = isFirst ? this.#maxBatchBytes : this.#maxBytes - this.unpackedBytes
    if (this.#isCut || room <= 0) throw this.#cut()
    try {
      const expectedBytes = Math.ceil(input.length * this.#expectedRatio)
      const output = await unpack(input, { maxBytes: room, expectedBytes })
      this.#outputs.push(output)
      this.packedBytes += input.length
      this.unpackedBytes += output.length
      return output
    } catch (error) {
      if (isFirst || !(error instanceof UnpackedTooLarge)) throw error
      throw this.#cut()
    }
  }

  /**
   * Gives the memory of all unpacked batches back: left to the garbage collector, several fetches would lie around. Every view of them is
   * empty afterwards.
   */
  release(): void {
    for (const output of this.#outputs) {
      const { buffer } = output
      // Small buffers share the memory of a pool, which is nobody's to give.
      if (buffer instanceof ArrayBuffer && buffer.byteLength > Buffer.poolSize) giveBack(output)
    }
    this.#outputs.length = 0
  }

  #cut(): CutHere {
    this.#isCut = true
    return new CutHere('the rest of this fetch does not fit its share of memory')
  }
}

/** kafkajs keeps codecs for the whole process: which fetch a batch belongs to, only the call chain knows. */
const budgetOfCall = new AsyncLocalStorage<UnpackBudget>()

/** Everything that is unpacked while `run` waits for it counts on `budget`. */
export function withUnpackBudget<T>(budget: UnpackBudget, run: () => Promise<T>): Promise<T> {
  return budgetOfCall.run(budget, run)
}

/** A codec's `decompress` that keeps to the budget of the fetch it is called for. */
export function budgeted(unpack: Unpack): (input: Buffer) => Promise<Buffer> {
  return (input) =>
    budgetOfCall.getStore()?.unpack(input, unpack) ??
    unpack(input, { maxBytes: MAX_UNPACKED_BYTES, expectedBytes: input.length * 4 })
}
