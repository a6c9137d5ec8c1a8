import { SiderealError } from '../model/errors.ts'
import type { PayloadReference } from '../model/payload-reference.ts'

/** One caller who waits for a payload to be stored. */
export interface Waiter {
  resolve(reference: PayloadReference): void
  reject(error: unknown): void
  /** Called when the caller gives up; the packer sets it. */
  abandoned: () => void
}

/** A promise of a reference that its caller's signal can end early. */
export function createWaiter(signal: AbortSignal | undefined): {
  promise: Promise<PayloadReference>
  waiter: Waiter
} {
  let settle: Pick<Waiter, 'resolve' | 'reject'> | undefined
  const promise = new Promise<PayloadReference>((resolve, reject) => {
    settle = { resolve, reject }
  })
  const onAbort = (): void => {
    waiter.abandoned()
    waiter.reject(gone('aborted', signal?.reason))
  }
  const waiter: Waiter = {
    abandoned: () => undefined,
    resolve(reference) {
      signal?.removeEventListener('abort', onAbort)
      settle?.resolve(reference)
    },
    reject(error) {
      signal?.removeEventListener('abort', onAbort)
      settle?.reject(error)
    },
  }
  signal?.addEventListener('abort', onAbort, { once: true })
  return { promise, waiter }
}

/** Why a payload was not stored: always a matter of now, never of the value. */
export function gone(why: string, cause?: unknown): SiderealError {
  return new SiderealError('SIDEREAL_OBJECT_STORE_UNAVAILABLE', `The payload was not stored: ${why}.`, {
    cause,
    retryable: true,
  })
}
