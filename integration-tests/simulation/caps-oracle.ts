import { DEAD_LETTER_WINDOW, type DeadLetterLimits } from '../../src/model/dead-letter-cap.ts'
import type { Task } from '../../src/model/task.ts'
import type { Pipeline } from '../../src/worker/pipeline.ts'
import type { World } from './world.ts'

/** What a handler did with one record. */
export interface ReadRecord {
  readonly offset: number
  readonly answer: 'taken' | 'blocked'
  /** Whether it went to the dead letters. */
  readonly isLetter: boolean
}

interface StepsBefore {
  readonly isReadingStopped: boolean
  readonly isRefusedStopped: boolean
}

/** Watches the caps of one task from outside: counts by itself, and compares. */
export class CapsOracle {
  readonly #world: World
  readonly #name: string
  readonly #task: Task
  readonly #limits: DeadLetterLimits
  readonly #caps: Pipeline['caps']
  #letters: number[] = []
  #run = 0
  #lastLetter = Number.NEGATIVE_INFINITY

  constructor(world: World, name: string, task: Task, limits: DeadLetterLimits, caps: Pipeline['caps']) {
    this.#world = world
    this.#name = `${name}, partition ${task.partition}`
    this.#task = task
    this.#limits = limits
    this.#caps = caps
  }

  before(): StepsBefore {
    const steps = this.#caps.of(this.#task)
    return {
      isReadingStopped: steps?.reading.isStopped === true,
      isRefusedStopped: steps?.refused.isStopped === true,
    }
  }

  after(before: StepsBefore, { offset, answer, isLetter }: ReadRecord): void {
    const { oracle } = this.#world
    const now = this.before()
    if (answer === 'blocked') {
      if (!before.isReadingStopped && now.isReadingStopped && !this.#isFull(offset)) {
        oracle.fail(
          `${this.#name} stops at ${offset} after ${this.#letters.length} dead letters, which is no cap`,
        )
      }
      return
    }
    if (before.isRefusedStopped)
      oracle.fail(`${this.#name} takes ${offset} and stands still for refused rows`)
    if (!isLetter) {
      if (now.isReadingStopped) oracle.fail(`${this.#name} takes ${offset}, a good record, and stands still`)
      if (before.isReadingStopped) this.#letters = []
      return
    }
    if (this.#isFull(offset)) {
      oracle.fail(
        `${this.#name} makes a dead letter of ${offset}, the ${this.#letters.length + 1}th, over its cap`,
      )
    }
    this.#run = offset === this.#lastLetter + 1 ? this.#run + 1 : 1
    this.#lastLetter = offset
    this.#letters.push(offset)
  }

  #isFull(offset: number): boolean {
    const { maxConsecutive, maxRatio } = this.#limits
    const run = offset === this.#lastLetter + 1 ? this.#run : 0
    if (maxConsecutive > 0 && run >= maxConsecutive) return true
    const inWindow = this.#letters.filter((letter) => letter > offset - DEAD_LETTER_WINDOW).length
    return maxRatio > 0 && inWindow >= Math.floor(maxRatio * DEAD_LETTER_WINDOW)
  }
}

/**
 * Rows that sinks refuse become dead letters out of the order of the log, so all that an observer can say is how many a partition may have had:
 * so many for each time that counting began.
 */
export class RefusedBudget {
  readonly #maxRatio: number
  readonly #stored = new Map<number, Set<number>>()
  readonly #begun = new Map<number, number>()

  constructor({ maxRatio }: DeadLetterLimits) {
    this.#maxRatio = maxRatio
  }

  /** A task begins, or a stop ends. */
  noteBegun(partition: number): void {
    this.#begun.set(partition, (this.#begun.get(partition) ?? 0) + 1)
  }

  /** What is wrong, if anything. */
  noteStored(partition: number, offset: number): string | undefined {
    const stored = this.#stored.get(partition) ?? new Set()
    this.#stored.set(partition, stored.add(offset))
    const budget = Math.floor(this.#maxRatio * DEAD_LETTER_WINDOW) * (this.#begun.get(partition) ?? 0)
    if (this.#maxRatio === 0 || stored.size <= budget) return undefined
    return `partition ${partition} has ${stored.size} dead letters of refused rows, and may have ${budget}`
  }
}
