import { setTimeout as sleep } from 'node:timers/promises'
import type { Canaries } from './canaries.ts'
import type { Group } from './group.ts'
import type { SupervisedWorker } from './supervised-worker.ts'

const LOOK_MS = 1_000
/** Recovered is who stays so for that many looks. */
const STEADY_LOOKS = 3
const KEEP_LOOKS = 1_200
/** So many looks say what is normal. */
const LEVEL_LOOKS = 5

export interface Look {
  /** Monotonic. */
  readonly atMs: number
  /** Undefined while the brokers do not say. */
  readonly lag: number | undefined
  readonly logEnd: number | undefined
  readonly oldestCanaryMs: number
  readonly consumed: number
}

export interface Level {
  readonly lag: number
  readonly oldestCanaryMs: number
}

/** Looks once a second at what tells whether all is well: the group's lag, and the oldest trace that is not visible yet. */
export class Watch {
  readonly #group: Group
  readonly #canaries: Canaries
  readonly #workers: readonly SupervisedWorker[]
  readonly #looks: Look[] = []
  #isOver = false
  #loop: Promise<void> = Promise.resolve()

  constructor(group: Group, canaries: Canaries, workers: readonly SupervisedWorker[]) {
    this.#group = group
    this.#canaries = canaries
    this.#workers = workers
  }

  start(): void {
    this.#loop = this.#run()
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await this.#loop
  }

  /** The newest at which the brokers said where they are. */
  get last(): Look | undefined {
    return this.#looks.findLast(({ lag }) => lag !== undefined)
  }

  /** The highest lag and the oldest canary since then: what is normal. Waits for looks that say so. */
  async level(sinceMs: number): Promise<Level> {
    for (;;) {
      const recent = this.#looks.filter(({ atMs, lag }) => atMs >= sinceMs && lag !== undefined)
      if (recent.length >= LEVEL_LOOKS) {
        return {
          lag: Math.max(...recent.map(({ lag }) => lag ?? 0)),
          oldestCanaryMs: Math.max(...recent.map(({ oldestCanaryMs }) => oldestCanaryMs)),
        }
      }
      await sleep(LOOK_MS / 2)
    }
  }

  /** Waits until lag and canaries are back at this level. Gives when they were first; undefined = not in time. */
  async untilBack(level: Level, fromMs: number, timeoutMs: number): Promise<number | undefined> {
    for (;;) {
      const since = this.#looks.filter(({ atMs }) => atMs >= fromMs)
      for (let first = 0; first + STEADY_LOOKS <= since.length; first++) {
        if (since.slice(first, first + STEADY_LOOKS).every((look) => isBack(look, level)))
          return since[first]!.atMs
      }
      if (performance.now() - fromMs > timeoutMs) return undefined
      await sleep(LOOK_MS / 2)
    }
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      const atMs = performance.now()
      await Promise.all(this.#workers.map((worker) => worker.metrics()))
      const consumed = this.#workers.reduce((sum, { totals }) => sum + totals.consumed, 0)
      let group: { end: number; lag: number } | undefined
      try {
        group = await this.#group.lag()
      } catch {
        // Brokers are away: not known is not back.
      }
      const { oldestMs } = this.#canaries
      this.#looks.push({ atMs, lag: group?.lag, logEnd: group?.end, oldestCanaryMs: oldestMs, consumed })
      if (this.#looks.length > KEEP_LOOKS) this.#looks.shift()
      await sleep(Math.max(0, atMs + LOOK_MS - performance.now()))
    }
  }
}

/** A little above counts as equal: both move all the time. */
function isBack(look: Look, level: Level): boolean {
  if (look.lag === undefined) return false
  return look.lag <= level.lag * 1.5 + 100 && look.oldestCanaryMs <= level.oldestCanaryMs * 1.5 + 1_000
}
