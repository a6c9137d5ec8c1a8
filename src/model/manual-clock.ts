import type { Clock, Timer } from './clock.ts'

/** A clock that stands still until it is moved: what depends on time is then decided by the test. */
export class ManualClock implements Clock {
  #nowMs: number
  #timers: { dueMs: number; callback: () => void }[] = []

  constructor(startMs = 1_700_000_000_000) {
    this.#nowMs = startMs
  }

  nowMs(): number {
    return this.#nowMs
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    const entry = { dueMs: this.#nowMs + delayMs, callback }
    this.#timers.push(entry)
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== entry)
      },
    }
  }

  /** Moves on, running each timer at its time and letting promises settle in between. */
  async advance(byMs: number): Promise<void> {
    const endMs = this.#nowMs + byMs
    await settlePromises()
    for (;;) {
      const next = this.#timers.reduce<{ dueMs: number; callback: () => void } | null>(
        (best, entry) => (entry.dueMs <= endMs && (best === null || entry.dueMs < best.dueMs) ? entry : best),
        null,
      )
      if (next === null) break
      this.#timers = this.#timers.filter((entry) => entry !== next)
      this.#nowMs = Math.max(this.#nowMs, next.dueMs)
      next.callback()
      await settlePromises()
    }
    this.#nowMs = endMs
  }
}

/** Lets everything run that does not wait for a timer or for I/O. */
export async function settlePromises(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise<void>((resolve) => setImmediate(resolve))
}
