import type { Clock, Timer } from '../model/clock.ts'
import { type Logger, RepeatedWarnings } from '../telemetry/logger.ts'

export interface MemoryGuardOptions {
  readonly maxMemoryBytes: number
  readonly clock: Clock
  readonly logger: Logger
  /** Resident memory of the process. */
  readonly readRss: () => number
  /**
   * A full collection: the runtime does not know of the limit, and leaves garbage lie. One that is not thorough makes room for what comes; a thorough one also
   * gives memory back to the system, takes a tenth of a second in place of a third of that, and all else waits.
   */
  readonly collectGarbage: (isThorough: boolean) => void
  /** Makes both shares smaller: 1 = whole. */
  readonly onScale: (scale: number) => void
  /** Stops reading, and goes on. */
  readonly onPause: (isPaused: boolean) => void
  /** True when everything that was read is delivered or open: waiting gives nothing back. */
  readonly isIdle: () => boolean
}

const CHECK_MS = 100
const MIN_SCALE = 0.5
const SHRINK = 0.988
const GROW = 1.005
/** Shares of the limit: from here on garbage is collected; reading pauses; reading goes on. */
const COLLECT_FROM = 0.8
const PAUSE_FROM = 0.9
const RESUME_BELOW = 0.85
/** What has to have come since the last collection to make one worth its cost, as a share of the limit. */
const MIN_GROWTH = 0.05
const LAST_FROM = 0.95
/** Collections take at most this share of the time: near the limit, where reading pauses, and where there is hardly any room left. */
const COLLECT_SHARE = 0.05
const COLLECT_SHARE_PAUSED = 0.25
const COLLECT_SHARE_LAST = 0.5
const MIN_COLLECT_MS = 1_000

/**
 * Watches the process's resident memory, which is the figure that an operator limits, and keeps it below the limit in three steps: near it
 * garbage is collected; nearer, reading pauses and the shares shrink, down to half. Shares never fall to nothing: then every trace would
 * be closed at once, for memory that the runtime has simply not given back yet. Nor does reading stop for good: when nothing is left that
 * could be given back, it goes on.
 */
export class MemoryGuard {
  readonly #options: MemoryGuardOptions
  readonly #warnings: RepeatedWarnings
  #scale = 1
  #isPaused = false
  #collectedAtMs = Number.NEGATIVE_INFINITY
  #collectMs = 0
  /** What was in use after the last collection, as a share of the limit. */
  #usedAfter = 0
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
    const { maxMemoryBytes, readRss } = this.#options
    const before = readRss() / maxMemoryBytes
    const isWorthIt =
      before > PAUSE_FROM ||
      (before > COLLECT_FROM && before > this.#usedAfter + MIN_GROWTH) ||
      // Nothing is left but garbage, and without reading no more will come: reading goes on after this one.
      (this.#isPaused && this.#options.isIdle())
    // Shares that are small say that memory was short a short time ago: then what is given back counts.
    const isThorough = before > PAUSE_FROM || this.#isPaused || this.#scale < 1
    const hasCollected = isWorthIt && this.#collect(collectShare(before), isThorough)
    const used = hasCollected ? readRss() / maxMemoryBytes : before
    // What falls by itself does not count as garbage when it comes back.
    this.#usedAfter = hasCollected ? used : Math.min(this.#usedAfter, before)
    this.#checkScale(used)
    this.#checkPause(used, hasCollected)
  }

  /** False = one was made a short time ago. */
  #collect(share: number, isThorough: boolean): boolean {
    const { clock, collectGarbage } = this.#options
    const startMs = clock.monotonicMs()
    const minMs = share === COLLECT_SHARE_LAST ? 0 : MIN_COLLECT_MS
    if (startMs - this.#collectedAtMs < Math.max(minMs, this.#collectMs / share)) return false
    collectGarbage(isThorough)
    this.#collectedAtMs = clock.monotonicMs()
    this.#collectMs = this.#collectedAtMs - startMs
    return true
  }

  #checkScale(used: number): void {
    const scale =
      used > PAUSE_FROM
        ? Math.max(MIN_SCALE, this.#scale * SHRINK)
        : used < RESUME_BELOW
          ? Math.min(1, this.#scale * GROW)
          : this.#scale
    if (scale === this.#scale) return
    this.#scale = scale
    this.#options.onScale(scale)
  }

  #checkPause(used: number, hasCollected: boolean): void {
    const { maxMemoryBytes, isIdle, onPause } = this.#options
    const figures = {
      rssBytes: Math.round(used * maxMemoryBytes),
      maxMemoryBytes,
      scale: this.#scale,
    }
    if (!this.#isPaused && used > PAUSE_FROM && !isIdle()) {
      this.#isPaused = true
      onPause(true)
      this.#warnings.warn(
        'memory',
        figures,
        'the process is close to its memory limit: reading pauses until some is given back',
      )
    } else if (this.#isPaused && (used < RESUME_BELOW || (hasCollected && isIdle()))) {
      this.#isPaused = false
      onPause(false)
    }
    if (used > 1) this.#warnings.warn('over', figures, 'the process is over its memory limit')
  }
}

function collectShare(used: number): number {
  if (used > LAST_FROM) return COLLECT_SHARE_LAST
  return used > PAUSE_FROM ? COLLECT_SHARE_PAUSED : COLLECT_SHARE
}
