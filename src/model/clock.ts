/** A timer that was set; `cancel` is idempotent. */
export interface Timer {
  cancel(): void
}

/**
 * Time and timers, passed in wherever time decides something, so that a simulation can own them.
 * `monotonicMs` never goes back; `nowMs` is the wall clock (Unix milliseconds).
 */
export interface Clock {
  nowMs(): number
  monotonicMs(): number
  /** Calls `callback` once after at least `delayMs`. Timers do not keep the process alive. */
  setTimer(callback: () => void, delayMs: number): Timer
}

/** The process's own clock. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(callback, delayMs) {
    const handle = setTimeout(callback, delayMs)
    handle.unref()
    return { cancel: () => clearTimeout(handle) }
  },
}
