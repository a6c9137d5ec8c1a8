import { setTimeout as sleep } from 'node:timers/promises'
import type { SupervisedWorker } from './supervised-worker.ts'

const LOOK_MS = 50

/**
 * Looks at each worker's count of records twenty times a second, until the function that it gives is called: that gives the longest time
 * for which one of them read nothing. What the load itself pauses is in it.
 */
export function measureStandstill(workers: readonly SupervisedWorker[]): () => Promise<number> {
  let isOver = false
  const looks = workers.map(async (worker) => {
    let longestMs = 0
    let before = Number.NaN
    let changedMs = performance.now()
    while (!isOver) {
      const count = (await worker.metrics())?.get('sidereal_records_consumed_total')
      const nowMs = performance.now()
      longestMs = Math.max(longestMs, nowMs - changedMs)
      if (count !== undefined && count !== before) changedMs = nowMs
      before = count ?? before
      await sleep(LOOK_MS)
    }
    return longestMs
  })
  return async () => {
    isOver = true
    return Math.max(...(await Promise.all(looks)))
  }
}
