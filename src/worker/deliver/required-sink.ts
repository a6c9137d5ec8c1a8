import type { Clock } from '../../model/clock.ts'
import type { Fragment } from '../../model/fragment.ts'
import { asError, type Backoff, backoffMs, errorCode, pause } from '../../model/retry.ts'
import type { RefusedRecord, Sink } from '../../model/sink.ts'
import { type Logger, RepeatedWarnings } from '../../telemetry/logger.ts'
import type { DeliveryMetrics } from '../../telemetry/metrics.ts'

export interface RequiredSinkOptions {
  readonly sink: Sink
  /** Asked before each attempt: false while the source is in doubt about its partitions, or its lease is old. */
  readonly mayDeliver: () => boolean
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  readonly metrics: DeliveryMetrics
  readonly backoff?: Backoff
}

const DOUBT_POLL_MS = 50

/** A sink that holds the watermark: each batch is tried until it is stored, with growing pauses, for ever. */
export class RequiredSink {
  readonly sink: Sink
  readonly #options: RequiredSinkOptions
  readonly #warnings: RepeatedWarnings
  #failingSinceMs: number | null = null

  constructor(options: RequiredSinkOptions) {
    this.sink = options.sink
    this.#options = options
    this.#warnings = new RepeatedWarnings(options.logger, options.clock)
  }

  /** Since writes began to fail without a success in between; 0 = they do not. */
  get failingForMs(): number {
    return this.#failingSinceMs === null ? 0 : this.#options.clock.monotonicMs() - this.#failingSinceMs
  }

  /**
   * Writes what `wanted` still gives before each attempt (fragments of lost partitions drop out).
   * Resolves with the refused records; `null` = given up, since the signal aborted.
   */
  async write(
    wanted: () => readonly Fragment[],
    signal: AbortSignal,
  ): Promise<readonly RefusedRecord[] | null> {
    const { sink, clock, random, metrics } = this.#options
    for (let attempt = 1; ; attempt++) {
      if (!(await waitUntil(this.#options.mayDeliver, clock, signal))) return null
      const fragments = wanted()
      if (fragments.length === 0) return []
      const startMs = clock.monotonicMs()
      try {
        const { refused } = await sink.write(fragments, signal)
        const rows = fragments.reduce((sum, fragment) => sum + fragment.rowCount, 0)
        metrics.observeWrite(sink.name, (clock.monotonicMs() - startMs) / 1_000, rows)
        if (refused.length > 0) metrics.countRefused(sink.name, refused.length)
        this.#failingSinceMs = null
        return refused
      } catch (error) {
        if (signal.aborted) return null
        this.#failingSinceMs ??= startMs
        metrics.countError(sink.name, errorCode(error))
        this.#warnings.warn(
          errorCode(error),
          {
            sink: sink.name,
            code: errorCode(error),
            error: asError(error),
            attempt,
            fragments: fragments.length,
          },
          'write to a required sink failed: it is tried again',
        )
        await pause(clock, backoffMs(attempt, random, this.#options.backoff), signal)
      }
    }
  }
}

/** False = the signal aborted first. */
export async function waitUntil(isTrue: () => boolean, clock: Clock, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    if (isTrue()) return true
    await pause(clock, DOUBT_POLL_MS, signal)
  }
  return false
}
