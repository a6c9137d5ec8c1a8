import type { SourceSettings } from './source-options.ts'

/** A gap between ticks beyond this was our own standstill (a stopped process, a long pause), not silence of the brokers. */
const STANDSTILL_MS = 5_000

export interface WatchedTimes {
  /** Undefined = no doubt. */
  readonly doubtSinceMs: number | undefined
  /** Since when committed offsets or log ends are waited for that a partition needs; undefined = none. */
  readonly waitingSinceMs: number | undefined
}

/** Says when to give up: a process that reads nothing and says nothing is worse than one that ends. All times are monotonic. */
export class Watchdog {
  readonly #settings: SourceSettings
  #lastFetchAtMs: number
  #lastTickAtMs: number

  constructor(settings: SourceSettings, nowMs: number) {
    this.#settings = settings
    this.#lastFetchAtMs = nowMs
    this.#lastTickAtMs = nowMs
  }

  get lastFetchAtMs(): number {
    return this.#lastFetchAtMs
  }

  noteFetch(nowMs: number): void {
    this.#lastFetchAtMs = nowMs
  }

  /** Milliseconds that the process stood still since the tick before; 0 in normal times. */
  noteTick(nowMs: number): number {
    const gapMs = nowMs - this.#lastTickAtMs
    this.#lastTickAtMs = nowMs
    if (gapMs <= STANDSTILL_MS) return 0
    this.#lastFetchAtMs = Math.min(nowMs, this.#lastFetchAtMs + gapMs)
    return gapMs
  }

  /** Why the process should end; undefined = it need not. */
  verdict(nowMs: number, times: WatchedTimes): string | undefined {
    const { sessionTimeoutMs, rebalanceTimeoutMs, fetchSilenceMs } = this.#settings
    const patienceMs = 2 * sessionTimeoutMs + rebalanceTimeoutMs
    if (times.doubtSinceMs !== undefined) {
      // Nothing is fetched during a join: that is no silence of its own.
      return nowMs - times.doubtSinceMs > patienceMs
        ? `no word from the consumer group for ${patienceMs} ms`
        : undefined
    }
    if (nowMs - this.#lastFetchAtMs > fetchSilenceMs) return `no fetch has come back for ${fetchSilenceMs} ms`
    if (times.waitingSinceMs !== undefined && nowMs - times.waitingSinceMs > patienceMs) {
      return `committed offsets or log ends could not be read for ${patienceMs} ms`
    }
    return undefined
  }
}
