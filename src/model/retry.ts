import type { Clock } from './clock.ts'
import { isSiderealError } from './errors.ts'

export interface Backoff {
  /** Default 200. */
  readonly firstMs: number
  /** Default 10,000. */
  readonly maxMs: number
}

export const BACKOFF: Backoff = { firstMs: 200, maxMs: 10_000 }

/** Pause before attempt number `attempt` (1 = the first repetition): doubles up to the limit, from half to the whole at random, so that workers do not come back in step. */
export function backoffMs(attempt: number, random: () => number, backoff: Backoff = BACKOFF): number {
  const fullMs = Math.min(backoff.maxMs, backoff.firstMs * 2 ** Math.min(attempt - 1, 20))
  return fullMs / 2 + random() * (fullMs / 2)
}

/** Resolves after `delayMs`, or soon after the signal aborts. */
export function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      timer.cancel()
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = clock.setTimer(done, delayMs)
    signal.addEventListener('abort', done)
  })
}

/** Label for metrics and logs: the code of a SiderealError, else the name of the class. */
export function errorCode(error: unknown): string {
  if (isSiderealError(error)) return error.code
  return error instanceof Error ? error.name : 'unknown'
}

export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
