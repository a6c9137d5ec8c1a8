import type { BestEffortLimits } from './best-effort-sink.ts'

export interface DelivererLimits {
  /** Rows of one batch. Default 50,000. */
  readonly batchRows: number
  /** Bytes that one batch holds. Default 32 MiB. */
  readonly batchBytes: number
  /** How long a fragment waits for others. Default 1 s. */
  readonly lingerMs: number
  /** Default 2. */
  readonly maxBatchesInFlight: number
  /** What may be held that is not settled; over it, reading pauses. Default 96 MiB. */
  readonly maxUndeliveredBytes: number
  readonly bestEffort: BestEffortLimits
}

export const DELIVERER_LIMITS: DelivererLimits = {
  batchRows: 50_000,
  batchBytes: 32 * 1024 * 1024,
  lingerMs: 1_000,
  maxBatchesInFlight: 2,
  maxUndeliveredBytes: 96 * 1024 * 1024,
  bestEffort: {
    maxQueueBytes: 32 * 1024 * 1024,
    batchRows: 50_000,
    batchBytes: 32 * 1024 * 1024,
    maxAttempts: 6,
  },
}
