import type { Clock, Timer } from '../model/clock.ts'
import { type Logger, RepeatedWarnings } from '../telemetry/logger.ts'

/** How the memory of a worker is divided. The rest is the runtime, fetch responses and the column builders of the sinks. */
export interface MemoryShares {
  /** Open traces; over it the oldest are closed. */
  readonly openBytes: number
  /** Closed, not yet settled; over it reading pauses. */
  readonly undeliveredBytes: number
  /** One batch of fragments. */
  readonly batchBytes: number
  /** Bytes of one partition in a fetch, and of one fetch. */
  readonly fetchPartitionBytes: number
  readonly fetchBytes: number
}

const MIB = 1024 * 1024

/** @param maxMemoryBytes what the process may use (`SIDEREAL_MAX_MEMORY`), at least 64 MiB */
export function memoryShares(maxMemoryBytes: number): MemoryShares {
  const undeliveredBytes = Math.floor(maxMemoryBytes * 0.12)
  return {
    openBytes: Math.floor(maxMemoryBytes * 0.27),
    undeliveredBytes,
    // The rows that a sink makes of a batch take more than twice its bytes, and two batches are on their way.
    batchBytes: Math.min(32 * MIB, Math.floor(maxMemoryBytes * 0.03)),
    fetchPartitionBytes: Math.min(MIB, Math.max(128 * 1024, Math.floor(maxMemoryBytes / 256))),
    fetchBytes: Math.min(10 * MIB, Math.max(MIB, Math.floor(maxMemoryBytes * 0.02))),
  }
}

export interface MemoryGuardOptions {
  readonly maxMemoryBytes: number
  readonly clock: Clock
  readonly logger: Logger
  /** Resident memory of the process. */
  readonly readRss: () => number
  /** Makes both shares smaller: 1 = whole. */
  readonly onScale: (scale: number) => void
}

const CHECK_MS = 1_000
const MIN_SCALE = 0.5
const SHRINK = 0.9
const GROW = 1.05

/**
 * Watches the process's resident memory, which is the figure that an operator limits. While it is over the limit the shares
 * shrink step by step, down to half, and they grow back when it is under it again. Shares never fall to nothing: then every trace
 * would be closed at once, for memory that the runtime has simply not given back yet.
 */
export class MemoryGuard {
  readonly #options: MemoryGuardOptions
  readonly #warnings: RepeatedWarnings
  #scale = 1
  #timer: Timer | null = null

  constructor(options: MemoryGuardOptions) {
    this.#options = options
    this.#warnings = new RepeatedWarnings(options.logger, options.clock)
  }

  get scale(): number {
    return this.#scale
  }

  start(): void {
    this.#timer = this.#options.clock.setTimer(() => {
      this.check()
      this.start()
    }, CHECK_MS)
  }

  close(): void {
    this.#timer?.cancel()
  }

  check(): void {
    const { maxMemoryBytes, readRss, onScale } = this.#options
    const rssBytes = readRss()
    const isOver = rssBytes > maxMemoryBytes
    const scale = isOver ? Math.max(MIN_SCALE, this.#scale * SHRINK) : Math.min(1, this.#scale * GROW)
    if (isOver) {
      this.#warnings.warn(
        'rss',
        { rssBytes, maxMemoryBytes, scale },
        'the process is over its memory limit: it holds less',
      )
    }
    if (scale === this.#scale) return
    this.#scale = scale
    onScale(scale)
  }
}
