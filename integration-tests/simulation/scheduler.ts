import type { SeededRandom } from '../../src/audit/seeded-random.ts'
import type { Clock, Timer } from '../../src/model/clock.ts'

const STEPS_A_TURN = 1_024

interface Entry {
  readonly atMs: number
  /** Decides among events of one time: drawn when the event is posted, so that each seed has another order. */
  readonly tie: number
  readonly sequence: number
  readonly process: SimProcess | null
  readonly label: string
  readonly run: () => void
  isCancelled: boolean
}

/** What a process of the simulation is to the scheduler: it runs, stands still (SIGSTOP), or is dead for ever. */
export class SimProcess {
  readonly name: string
  isAlive = true
  /** Stands still until then: what is due meanwhile comes afterwards. */
  stoppedUntilMs = 0

  constructor(name: string) {
    this.name = name
  }
}

/**
 * The only source of asynchrony of a run: events in virtual time. Between two events all promises settle, so the order of everything
 * is a function of the seed.
 */
export class Scheduler {
  readonly #random: SeededRandom
  readonly #heap: Entry[] = []
  #sequence = 0
  #steps = 0
  #digest = 0
  nowMs: number
  /** Called with each event that runs; undefined = nobody wants to know. */
  onEvent: ((atMs: number, label: string) => void) | undefined

  constructor(startMs: number, random: SeededRandom) {
    this.nowMs = startMs
    this.#random = random
  }

  get steps(): number {
    return this.#steps
  }

  /** Differs as soon as one event of two runs differs in time, order or name. */
  get digest(): number {
    return this.#digest
  }

  post(delayMs: number, process: SimProcess | null, label: string, run: () => void): Timer {
    const entry: Entry = {
      atMs: this.nowMs + Math.max(0, delayMs),
      tie: this.#random.next(),
      sequence: this.#sequence++,
      process,
      label,
      run,
      isCancelled: false,
    }
    this.#push(entry)
    return {
      cancel: () => {
        entry.isCancelled = true
      },
    }
  }

  /** Runs the next event and lets promises settle. False = there is none, or none before `untilMs`. */
  async step(untilMs: number): Promise<boolean> {
    for (;;) {
      const next = this.#heap[0]
      if (next === undefined || next.atMs > untilMs) {
        this.nowMs = Math.max(this.nowMs, untilMs)
        return false
      }
      this.#pop()
      if (next.isCancelled || next.process?.isAlive === false) continue
      this.nowMs = Math.max(this.nowMs, next.atMs)
      if (next.process !== null && next.process.stoppedUntilMs > this.nowMs) {
        this.#push({ ...next, atMs: next.process.stoppedUntilMs })
        continue
      }
      this.#steps += 1
      this.#note(next)
      next.run()
      // What happens outside of all processes leaves no promise of theirs to settle.
      if (next.process !== null) await settle(this.#steps)
      return true
    }
  }

  /** The clock of a process: its wall clock is off by `skewMs`, its monotonic clock counts from its start. */
  clockOf(process: SimProcess, skewMs: number): Clock {
    const startMs = this.nowMs
    return {
      nowMs: () => this.nowMs + skewMs,
      monotonicMs: () => this.nowMs - startMs + 1_000,
      setTimer: (callback, delayMs) => this.post(delayMs, process, `${process.name} timer`, callback),
    }
  }

  #note(entry: Entry): void {
    let digest = this.#digest ^ (entry.atMs * 8)
    for (let i = 0; i < entry.label.length; i++)
      digest = Math.imul(digest ^ entry.label.charCodeAt(i), 0x01000193)
    this.#digest = digest
    this.onEvent?.(entry.atMs, entry.label)
  }

  #push(entry: Entry): void {
    const heap = this.#heap
    let at = heap.push(entry) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(entry, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = entry
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1
      if (!isBefore(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  if (a.atMs !== b.atMs) return a.atMs < b.atMs
  if (a.tie !== b.tie) return a.tie < b.tie
  return a.sequence < b.sequence
}

/**
 * All promises that wait for no event settle before the next tick, which is a quarter cheaper than a turn of the loop. The loop turns now and
 * then, so that whoever runs the simulation hears of it.
 */
function settle(step: number): Promise<void> {
  return new Promise((resolve) => {
    if (step % STEPS_A_TURN === 0) setImmediate(resolve)
    else process.nextTick(resolve)
  })
}
