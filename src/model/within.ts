import type { Clock } from './clock.ts'

/** Settles with `work`, or rejects with what `late` makes when that takes longer than `timeoutMs`. */
export function within<T>(work: Promise<T>, timeoutMs: number, clock: Clock, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(() => reject(late()), timeoutMs)
    work.then(resolve, reject).finally(() => timer.cancel())
  })
}
