import type { Clock, Timer } from '../../model/clock.ts'
import {
  type CappedRecord,
  DEAD_LETTER_WINDOW,
  type DeadLetterCap,
  type DeadLetterLimits,
  type PartitionCaps,
} from '../../model/dead-letter-cap.ts'
import { type Backoff, backoffMs, errorCode } from '../../model/retry.ts'
import type { Task } from '../../model/task.ts'
import type { Logger } from '../../telemetry/logger.ts'

export interface DeadLetterCapsOptions {
  readonly limits: DeadLetterLimits
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  /** Pauses between attempts at the record at which a partition stopped. Default 5 s, doubling to 60 s. */
  readonly backoff?: Backoff
}

/** A partition that stands still. */
export interface CapStop {
  readonly partition: number
  readonly offset: number
  readonly reason: string
  readonly sinceMs: number
}

const PROBES: Backoff = { firstMs: 5_000, maxMs: 60_000 }

const WHAT_TO_DO =
  'the partition stands still: too many of its records cannot be processed, so the fault is more likely a deployment than the data. Nothing is lost or skipped, and this record is tried again by itself. Mend what the error names; to make dead letters of these records instead, start the worker with SIDEREAL_DEAD_LETTER_MAX_CONSECUTIVE=0 and SIDEREAL_DEAD_LETTER_MAX_RATIO=0'

/**
 * Stops a partition when too many of its records become dead letters: a bad deployment must not drain the topic into the dead letters.
 * Counting begins with the process, and anew when a stop ends.
 */
export class DeadLetterCaps {
  readonly #options: DeadLetterCapsOptions
  readonly #caps = new Map<Task, TaskCaps>()

  constructor(options: DeadLetterCapsOptions) {
    this.#options = options
  }

  open(task: Task): PartitionCaps {
    const caps = new TaskCaps(task, this.#options, () => this.#caps.delete(task))
    this.#caps.set(task, caps)
    return caps
  }

  /** `undefined` = the partition is lost. */
  of(task: Task): TaskCaps | undefined {
    return this.#caps.get(task)
  }

  /** Partitions that stand still now. */
  get stops(): CapStop[] {
    return [...this.#caps.values()].flatMap(({ reading, refused }) =>
      [reading.stop, refused.stop].filter((stop) => stop !== null),
    )
  }
}

class TaskCaps implements PartitionCaps {
  readonly reading: StepCap
  readonly refused: StepCap
  /** Records that the required sinks have answered for: the position of the next one in that order. */
  answeredRecords = 0
  readonly #onClose: () => void

  constructor(task: Task, options: DeadLetterCapsOptions, onClose: () => void) {
    this.reading = new StepCap(task, options)
    this.refused = new StepCap(task, options)
    this.#onClose = onClose
  }

  close(): void {
    this.#onClose()
    this.reading.close()
    this.refused.close()
  }
}

class StepCap implements DeadLetterCap {
  readonly #task: Task
  readonly #options: DeadLetterCapsOptions
  /** Positions of the last dead letters, as many as the window may hold: the oldest of them says whether there is room. */
  readonly #window: Float64Array
  #oldest = 0
  #run = 0
  #lastPosition = Number.NEGATIVE_INFINITY
  #stop: CapStop | null = null
  #attempts = 0
  #timer: Timer | null = null
  #waiting: (() => void)[] = []

  constructor(task: Task, options: DeadLetterCapsOptions) {
    this.#task = task
    this.#options = options
    this.#window = new Float64Array(Math.floor(options.limits.maxRatio * DEAD_LETTER_WINDOW)).fill(
      Number.NEGATIVE_INFINITY,
    )
  }

  get isStopped(): boolean {
    return this.#stop !== null
  }

  get stop(): CapStop | null {
    return this.#stop
  }

  admit(record: CappedRecord, position: number, tryAgain: () => void): boolean {
    if (this.#stop === null) {
      const cap = this.#capReached(position)
      if (cap === undefined) return true
      this.#begin(record, cap)
    }
    const { clock, random, backoff = PROBES } = this.#options
    this.#attempts += 1
    this.#timer?.cancel()
    this.#timer = clock.setTimer(tryAgain, backoffMs(this.#attempts, random, backoff))
    return false
  }

  note(position: number): void {
    this.#run = position === this.#lastPosition + 1 ? this.#run + 1 : 1
    this.#lastPosition = position
    if (this.#window.length === 0) return
    this.#window[this.#oldest] = position
    this.#oldest = (this.#oldest + 1) % this.#window.length
  }

  release(): void {
    if (this.#stop === null) return
    const { partition, offset, sinceMs } = this.#stop
    const stoodMs = this.#options.clock.nowMs() - sinceMs
    const { topic } = this.#task
    this.#options.logger.info({ topic, partition, offset, stoodMs }, 'the partition goes on')
    this.#end()
  }

  whenReleased(callback: () => void): void {
    this.#waiting.push(callback)
  }

  close(): void {
    this.#end()
  }

  #capReached(position: number): 'consecutive' | 'ratio' | undefined {
    const { maxConsecutive } = this.#options.limits
    const run = position === this.#lastPosition + 1 ? this.#run : 0
    if (maxConsecutive > 0 && run >= maxConsecutive) return 'consecutive'
    const oldest = this.#window[this.#oldest]
    return oldest !== undefined && oldest > position - DEAD_LETTER_WINDOW ? 'ratio' : undefined
  }

  #begin({ offset, reason, error }: CappedRecord, cap: 'consecutive' | 'ratio'): void {
    const { topic, partition } = this.#task
    this.#stop = { partition, offset, reason, sinceMs: this.#options.clock.nowMs() }
    this.#options.logger.error(
      {
        code: 'SIDEREAL_DEAD_LETTER_CAP',
        topic,
        partition,
        offset,
        reason,
        cap,
        limit: this.#options.limits[cap === 'ratio' ? 'maxRatio' : 'maxConsecutive'],
        cause: `${errorCode(error)}: ${error.message}`,
      },
      WHAT_TO_DO,
    )
  }

  #end(): void {
    this.#timer?.cancel()
    this.#timer = null
    this.#stop = null
    this.#attempts = 0
    // The run has ended by itself: the record at this position was good.
    this.#window.fill(Number.NEGATIVE_INFINITY)
    for (const callback of this.#waiting.splice(0)) callback()
  }
}
