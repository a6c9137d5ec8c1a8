import { createRequire } from 'node:module'

const PATCHED_VERSION = '2.2.4'
const patched = Symbol.for('sidereal.kafkajs.requestQueue')

/** The part of kafkajs's private `RequestQueue` that the patch touches. */
export interface RequestQueueLike {
  pending: unknown[]
  throttledUntil: number
  throttleCheckTimeoutId: NodeJS.Timeout | null
  checkPendingRequests(): void
  scheduleCheckPendingRequests(): void
  [patched]?: boolean
}

/**
 * kafkajs 2.2.4 keeps a 1 ms timer running on every connection for ever after its first response: 850 wake-ups a second, 5 % of a core
 * when idle, and on Node 24 a warning about negative timeouts. This replaces the one method that arms it: a timer
 * runs only while a request waits. Returns false, and leaves kafkajs alone, when its version is another one.
 */
export function patchTimerSpin(): boolean {
  const require = createRequire(import.meta.url)
  const { version } = require('kafkajs/package.json') as { version: string }
  if (version !== PATCHED_VERSION) return false
  const RequestQueue = require('kafkajs/src/network/requestQueue') as { prototype: RequestQueueLike }
  const prototype = RequestQueue.prototype
  if (prototype[patched]) return true
  if (typeof prototype.scheduleCheckPendingRequests !== 'function') return false
  prototype.scheduleCheckPendingRequests = function (this: RequestQueueLike): void {
    if (this.throttleCheckTimeoutId !== null || this.pending.length === 0) return
    const delayMs = this.throttledUntil - Date.now()
    this.throttleCheckTimeoutId = setTimeout(
      () => {
        this.throttleCheckTimeoutId = null
        this.checkPendingRequests()
      },
      delayMs > 0 ? delayMs : 10,
    )
  }
  prototype[patched] = true
  return true
}
