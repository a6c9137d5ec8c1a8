import type { Clock } from '../../model/clock.ts'
import type { Fragment } from '../../model/fragment.ts'
import { asError, type Backoff, backoffMs, errorCode, pause } from '../../model/retry.ts'
import type { RefusedRecord, Sink } from '../../model/sink.ts'
import { type Logger, RepeatedWarnings } from '../../telemetry/logger.ts'
import type { DeliveryMetrics } from '../../telemetry/metrics.ts'
import { offsetRanges, type SharedDelivery } from './delivery.ts'
import { waitUntil } from './required-sink.ts'

export interface BestEffortLimits {
  /** Memory of the fragments that may wait, those that are being written included. Default 32 MiB. */
  readonly maxQueueBytes: number
  readonly batchRows: number
  readonly batchBytes: number
  /** Attempts for one batch before it is given up. Default 6. */
  readonly maxAttempts: number
}

export interface BestEffortSinkOptions {
  readonly sink: Sink
  readonly limits: BestEffortLimits
  /** Asked before each attempt, as for a required sink: a process that may have lost its partitions sends nothing. */
  readonly mayDeliver: () => boolean
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  readonly metrics: DeliveryMetrics
  readonly backoff?: Backoff
}

interface Queued {
  readonly fragment: Fragment
  readonly shared: SharedDelivery
}

/**
 * A sink that may lose: it has a queue and a number of attempts of its own, and neither holds anybody else. What does not fit, and
 * what failed too often, is counted and logged with its offsets, so that an operator can replay it. Nothing is settled here.
 */
export class BestEffortSink {
  readonly sink: Sink
  readonly #options: BestEffortSinkOptions
  readonly #warnings: RepeatedWarnings
  readonly #closing = new AbortController()
  #queue: Queued[] = []
  #bytes = 0
  #running: Promise<void> | null = null
  #failingSinceMs: number | null = null
  #hasStarted = false

  constructor(options: BestEffortSinkOptions) {
    this.sink = options.sink
    this.#options = options
    this.#warnings = new RepeatedWarnings(options.logger, options.clock)
  }

  get queuedBytes(): number {
    return this.#bytes
  }

  /** Since writes began to fail without a success in between; 0 = they do not. */
  get failingForMs(): number {
    return this.#failingSinceMs === null ? 0 : this.#options.clock.monotonicMs() - this.#failingSinceMs
  }

  /** Never rejects: what does not start now is started before its first write. */
  async start(): Promise<void> {
    try {
      await this.sink.start()
      this.#hasStarted = true
    } catch (error) {
      this.#options.metrics.countError(this.sink.name, errorCode(error))
      this.#options.logger.warn(
        { sink: this.sink.name, code: errorCode(error), error: asError(error) },
        'a best-effort sink does not start: the worker goes on without it, and tries again',
      )
    }
  }

  /** Takes fragments as far as they fit; the others are lost to this sink. */
  offer(fragments: readonly Queued[]): void {
    const left: Fragment[] = []
    for (const queued of fragments) {
      const bytes = heldBytes(queued)
      if (this.#closing.signal.aborted || this.#bytes + bytes > this.#options.limits.maxQueueBytes) {
        left.push(queued.fragment)
        continue
      }
      queued.shared.hold()
      this.#queue.push(queued)
      this.#bytes += bytes
    }
    if (left.length > 0) this.#countLost(left, 'the queue is full')
    if (this.#running === null && this.#queue.length > 0) this.#running = this.#run()
  }

  /** Resolves when the queue is empty. */
  async drained(): Promise<void> {
    while (this.#running !== null) await this.#running
  }

  /** Gives up what still waits: counted and logged as lost. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.drained()
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#nextBatch()
      const isStored = !this.#closing.signal.aborted && (await this.#write(batch))
      if (!isStored) {
        const why = this.#closing.signal.aborted ? 'the worker stops' : 'too many failed attempts'
        this.#countLost(
          batch.map(({ fragment }) => fragment),
          why,
        )
      }
      for (const queued of batch) {
        this.#bytes -= heldBytes(queued)
        queued.shared.letGo()
      }
    }
    // Here, and not when the promise has settled: what is offered in between would wait for the next offer.
    this.#running = null
  }

  async #write(batch: readonly Queued[]): Promise<boolean> {
    const { sink, clock, random, metrics, limits } = this.#options
    const signal = this.#closing.signal
    const fragments = batch.map(({ fragment }) => fragment)
    for (let attempt = 1; attempt <= limits.maxAttempts; attempt++) {
      if (!(await waitUntil(this.#options.mayDeliver, clock, signal))) return false
      const startMs = clock.monotonicMs()
      try {
        if (!this.#hasStarted) await sink.start()
        this.#hasStarted = true
        const { refused } = await sink.write(fragments, signal)
        const rows = fragments.reduce((sum, fragment) => sum + fragment.rowCount, 0)
        metrics.observeWrite(sink.name, (clock.monotonicMs() - startMs) / 1_000, rows)
        if (refused.length > 0) this.#countRefused(refused)
        this.#failingSinceMs = null
        return true
      } catch (error) {
        this.#failingSinceMs ??= startMs
        metrics.countError(sink.name, errorCode(error))
        this.#warnings.warn(
          'write',
          { sink: sink.name, code: errorCode(error), error: asError(error), attempt },
          'write to a best-effort sink failed',
        )
        if (attempt < limits.maxAttempts) {
          await pause(clock, backoffMs(attempt, random, this.#options.backoff), signal)
        }
      }
    }
    return false
  }

  #nextBatch(): Queued[] {
    const { batchRows, batchBytes } = this.#options.limits
    let count = 0
    let rows = 0
    let bytes = 0
    for (const queued of this.#queue) {
      const { rowCount } = queued.fragment
      if (count > 0 && (rows + rowCount > batchRows || bytes + heldBytes(queued) > batchBytes)) break
      count += 1
      rows += rowCount
      bytes += heldBytes(queued)
    }
    return this.#queue.splice(0, count)
  }

  /** Lost to this sink alone, and never a dead letter: other sinks have these records. */
  #countRefused(refused: readonly RefusedRecord[]): void {
    const { sink, metrics, logger } = this.#options
    metrics.countRefused(sink.name, refused.length)
    const offsets = offsetRanges([{ records: refused.map(({ record }) => record) }])
    logger.error(
      { sink: sink.name, why: refused[0]?.reason, records: refused.length, offsets },
      'a best-effort sink refuses records for their content',
    )
  }

  #countLost(fragments: readonly Fragment[], why: string): void {
    const records = fragments.reduce((sum, fragment) => sum + fragment.records.length, 0)
    this.#options.metrics.countLost(this.sink.name, records)
    // Each loss has its own offsets: this line is not held back.
    this.#options.logger.error(
      { sink: this.sink.name, why, records, fragments: fragments.length, offsets: offsetRanges(fragments) },
      'a best-effort sink lost records',
    )
  }
}

/** All of it, as for the share of what is undelivered: the bytes of a tiny trace are a tenth of what it holds. */
function heldBytes({ shared }: Queued): number {
  return shared.delivery.heldBytes
}
