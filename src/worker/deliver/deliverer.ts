import type { Clock, Timer } from '../../model/clock.ts'
import type { DeadLetterQueue } from '../../model/dead-letter.ts'
import type { Fragment } from '../../model/fragment.ts'
import { asError, type Backoff, backoffMs, errorCode, pause } from '../../model/retry.ts'
import type { Sink } from '../../model/sink.ts'
import type { WorkerCounters } from '../../telemetry/counters.ts'
import type { SinkHealth } from '../../telemetry/health.ts'
import { type Logger, RepeatedWarnings } from '../../telemetry/logger.ts'
import type { DeliveryMetrics } from '../../telemetry/metrics.ts'
import { BestEffortSink } from './best-effort-sink.ts'
import type { DeadLetterCaps } from './dead-letter-caps.ts'
import { DELIVERER_LIMITS, type DelivererLimits } from './deliverer-limits.ts'
import { type Delivery, SharedDelivery } from './delivery.ts'
import { HeldFragments, type Part } from './held-fragments.ts'
import { storeRefused } from './refused-records.ts'
import { RequiredSink } from './required-sink.ts'

/** The step between assembly and the sinks: payloads go to object storage, records come back changed. */
export interface FragmentProcessor {
  /** Resolves when everything that the returned fragments refer to is stored. Gives one fragment for each, in order. */
  process(fragments: readonly Fragment[], signal: AbortSignal): Promise<readonly Fragment[]>
}

/** What delivery needs of the source. */
export interface DeliveryGate {
  /** False while it is not certain that the partitions are ours. */
  mayDeliver(): boolean
  pause(reason: 'undelivered'): void
  resume(reason: 'undelivered'): void
}

export interface DelivererOptions {
  readonly required: readonly Sink[]
  readonly bestEffort: readonly Sink[]
  readonly processor: FragmentProcessor | null
  readonly gate: DeliveryGate
  readonly deadLetters: DeadLetterQueue
  readonly caps: DeadLetterCaps
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  readonly metrics: DeliveryMetrics
  readonly counters: WorkerCounters
  readonly limits?: DelivererLimits
  readonly backoff?: Backoff
}

const NONE: ReadonlySet<SharedDelivery> = new Set()

/**
 * Brings closed fragments to the sinks. Batches are shared by all tasks, and at most two are on their way. A batch is processed,
 * written to every required sink until it is stored there, then settled: all offsets of a fragment in one call.
 * Fragments of a partition that was lost meanwhile drop out before the next write; the new owner makes them again.
 */
export class Deliverer {
  readonly #options: DelivererOptions
  readonly #limits: DelivererLimits
  readonly #required: readonly RequiredSink[]
  readonly #bestEffort: readonly BestEffortSink[]
  readonly #warnings: RepeatedWarnings
  readonly #closing = new AbortController()
  readonly #held: HeldFragments
  #queue: SharedDelivery[] = []
  #queuedRows = 0
  #queuedBytes = 0
  #undeliveredBytes = 0
  #inFlight = 0
  #isPaused = false
  #isDraining = false
  #shareScale = 1
  #linger: Timer | null = null
  #wantEmpty: (() => void)[] = []
  readonly #running = new Set<Promise<void>>()

  constructor(options: DelivererOptions) {
    this.#options = options
    this.#limits = options.limits ?? DELIVERER_LIMITS
    this.#warnings = new RepeatedWarnings(options.logger, options.clock)
    this.#held = new HeldFragments(options.caps, (parts) => this.#writeAgain(parts))
    const mayDeliver = (): boolean => options.gate.mayDeliver()
    this.#required = options.required.map((sink) => new RequiredSink({ ...options, sink, mayDeliver }))
    this.#bestEffort = options.bestEffort.map(
      (sink) => new BestEffortSink({ ...options, sink, mayDeliver, limits: this.#limits.bestEffort }),
    )
  }

  get undeliveredBytes(): number {
    return this.#undeliveredBytes
  }

  /** True when nothing waits for a sink: what is held waits for somebody to mend what its partition stopped at. */
  get isIdle(): boolean {
    return this.#undeliveredBytes === this.#held.bytes
  }

  get batchesInFlight(): number {
    return this.#inFlight
  }

  get isPaused(): boolean {
    return this.#isPaused
  }

  get sinkQueueBytes(): Record<string, number> {
    return Object.fromEntries(this.#bestEffort.map((queue) => [queue.sink.name, queue.queuedBytes]))
  }

  get sinkHealth(): SinkHealth[] {
    return [
      ...this.#required.map(({ sink, failingForMs }) => ({
        name: sink.name,
        isRequired: true,
        failingForMs,
      })),
      ...this.#bestEffort.map(({ sink, failingForMs }) => ({
        name: sink.name,
        isRequired: false,
        failingForMs,
      })),
    ]
  }

  /**
   * Starts the sinks. A best-effort sink that does not start holds nobody: it is started again before its next write.
   *
   * @param check bounds the start of a required sink in time
   */
  async start(check: (sink: Sink, start: Promise<void>) => Promise<void>): Promise<void> {
    for (const queue of this.#bestEffort) void queue.start()
    await Promise.all(this.#required.map(({ sink }) => check(sink, sink.start())))
  }

  /** Takes a closed fragment over, with its memory. */
  offer(delivery: Delivery): void {
    const shared = new SharedDelivery(delivery, this.#options.clock.monotonicMs())
    this.#undeliveredBytes += delivery.heldBytes
    this.#queue.push(shared)
    this.#queuedRows += delivery.fragment.rowCount
    this.#queuedBytes += delivery.heldBytes
    this.#checkShare()
    this.#dispatch()
  }

  /** Makes the share of memory smaller while the process is over its limit (1 = the whole share). */
  scaleShare(scale: number): void {
    this.#shareScale = scale
    this.#checkShare()
  }

  /** From now on nothing waits for a batch to fill. Resolves when everything is settled, best-effort queues included. */
  async drained(): Promise<void> {
    this.#isDraining = true
    this.#giveUpHeld()
    this.#dispatch()
    if (this.#undeliveredBytes > 0) {
      await new Promise<void>((resolve) => this.#wantEmpty.push(resolve))
    }
    await Promise.all(this.#bestEffort.map((queue) => queue.drained()))
  }

  /** Gives up what is not settled: nothing of it is lost, the next owner reads it again. */
  async close(): Promise<void> {
    this.#closing.abort()
    this.#linger?.cancel()
    for (const shared of this.#queue.splice(0)) this.#finish(shared)
    this.#giveUpHeld()
    await Promise.all([...this.#running, ...this.#bestEffort.map((queue) => queue.close())])
  }

  #dispatch(): void {
    const { batchRows, batchBytes, lingerMs, maxBatchesInFlight } = this.#limits
    this.#linger?.cancel()
    this.#linger = null
    while (this.#inFlight < maxBatchesInFlight && !this.#closing.signal.aborted) {
      const first = this.#queue[0]
      if (first === undefined) return
      const waitMs = first.queuedAtMs + lingerMs - this.#options.clock.monotonicMs()
      const isFull = this.#queuedRows >= batchRows || this.#queuedBytes >= batchBytes
      if (waitMs > 0 && !isFull && !this.#isDraining) {
        this.#linger = this.#options.clock.setTimer(() => this.#dispatch(), waitMs)
        return
      }
      const batch = this.#takeBatch()
      this.#inFlight += 1
      const running = this.#deliver(batch).then(() => {
        this.#running.delete(running)
        this.#inFlight -= 1
        this.#dispatch()
      })
      this.#running.add(running)
    }
  }

  #takeBatch(): SharedDelivery[] {
    const { batchRows, batchBytes } = this.#limits
    let count = 0
    let rows = 0
    let bytes = 0
    for (const { delivery } of this.#queue) {
      const { fragment, heldBytes } = delivery
      if (count > 0 && (rows + fragment.rowCount > batchRows || bytes + heldBytes > batchBytes)) break
      count += 1
      rows += fragment.rowCount
      bytes += heldBytes
    }
    this.#queuedRows -= rows
    this.#queuedBytes -= bytes
    return this.#queue.splice(0, count)
  }

  /** Never rejects: a failure here would be an error of ours, and is treated as an outage, not as a loss. */
  async #deliver(batch: readonly SharedDelivery[]): Promise<void> {
    const alive = batch.filter(({ delivery }) => delivery.task.isAlive)
    this.#options.counters.fragmentsDropped += batch.length - alive.length
    const processed = await this.#process(alive)
    let held: ReadonlySet<SharedDelivery> = NONE
    if (processed !== null) {
      const parts = processed.flatMap((fragment, index): Part[] => {
        const shared = alive[index]
        return shared === undefined ? [] : [{ fragment, shared }]
      })
      for (const queue of this.#bestEffort) queue.offer(parts)
      held = await this.#write(parts)
    }
    this.#finishAll(batch, held)
  }

  /** Writes fragments to the required sinks and settles them, but for those that it gives back: they are held. */
  async #write(parts: readonly Part[]): Promise<ReadonlySet<SharedDelivery>> {
    const { counters, deadLetters } = this.#options
    const signal = this.#closing.signal
    const wanted = (): Fragment[] =>
      parts.filter(({ shared }) => shared.delivery.task.isAlive).map(({ fragment }) => fragment)
    const results = await Promise.all(this.#required.map((sink) => sink.write(wanted, signal)))
    if (results.includes(null) || signal.aborted) return NONE
    const refused = results.flatMap((result) => result ?? [])
    const held = this.#held.judge(parts, refused)
    const done = parts.map(({ shared }) => shared).filter((shared) => !held.has(shared))
    if (refused.length > 0) {
      await storeRefused(
        done.map(({ delivery }) => delivery),
        refused,
        deadLetters,
        signal,
      )
    }
    if (!signal.aborted) for (const shared of done) this.#settle(shared)
    counters.batches += 1
    return held
  }

  /** Fragments that were held: best-effort sinks have them, and their payloads are stored. */
  #writeAgain(parts: readonly Part[]): void {
    const running = this.#write(parts).then((held) => {
      this.#running.delete(running)
      this.#finishAll(
        parts.map(({ shared }) => shared),
        held,
      )
    })
    this.#running.add(running)
  }

  #finishAll(all: readonly SharedDelivery[], held: ReadonlySet<SharedDelivery>): void {
    for (const shared of all) if (!held.has(shared)) this.#finish(shared)
    if (this.#isDraining) this.#giveUpHeld()
    this.#checkShare()
  }

  #giveUpHeld(): void {
    for (const { shared } of this.#held.takeAll()) this.#finish(shared)
  }

  async #process(alive: readonly SharedDelivery[]): Promise<readonly Fragment[] | null> {
    const { processor, clock, random, metrics } = this.#options
    const fragments = alive.map(({ delivery }) => delivery.fragment)
    if (processor === null || fragments.length === 0) return fragments
    const signal = this.#closing.signal
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        return await processor.process(fragments, signal)
      } catch (error) {
        if (signal.aborted) return null
        metrics.countError('process', errorCode(error))
        this.#warnings.warn(
          `process ${errorCode(error)}`,
          { code: errorCode(error), error: asError(error), attempt, fragments: fragments.length },
          'payloads cannot be stored: they are tried again',
        )
        await pause(clock, backoffMs(attempt, random, this.#options.backoff), signal)
      }
    }
    return null
  }

  #settle({ delivery }: SharedDelivery): void {
    const { counters } = this.#options
    const { fragment, task } = delivery
    if (!task.isAlive) {
      counters.fragmentsDropped += 1
      return
    }
    task.settle(fragment.records.map((record) => record.offset))
    counters.fragmentsSettled[fragment.reason] += 1
    counters.recordsSettled += fragment.records.length
    counters.rowsSettled += fragment.rowCount
  }

  #finish(shared: SharedDelivery): void {
    this.#undeliveredBytes -= shared.delivery.heldBytes
    shared.letGo()
    this.#checkShare()
    if (this.#undeliveredBytes === 0) for (const resolve of this.#wantEmpty.splice(0)) resolve()
  }

  /**
   * Pauses above the share, goes on below three quarters of it: so that partitions are not paused and resumed for each batch. What is held
   * has a share of its own, since its partition reads nothing more, and the others need not wait for it; only when many partitions have
   * stopped, and both shares together are full, all wait.
   */
  #checkShare(): void {
    const share = this.#limits.maxUndeliveredBytes * this.#shareScale
    const bytes = Math.max(this.#undeliveredBytes - this.#held.bytes, this.#undeliveredBytes - share)
    if (!this.#isPaused && bytes > share) {
      this.#isPaused = true
      this.#options.gate.pause('undelivered')
    } else if (this.#isPaused && bytes <= share * 0.75) {
      this.#isPaused = false
      this.#options.gate.resume('undelivered')
    }
  }
}
