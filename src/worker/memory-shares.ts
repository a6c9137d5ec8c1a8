/** How the memory of a worker is divided. `docs/operations.md` has the sum of all at their worst. */
export interface MemoryShares {
  /** Open traces; over it the oldest are closed. */
  readonly openBytes: number
  /** Closed, not yet settled; over it reading pauses. */
  readonly undeliveredBytes: number
  /** One batch of fragments. */
  readonly batchBytes: number
  /** Rows that a sink makes of a batch and holds at a time: those of a batch whose records repeat much are made part by part. */
  readonly rowBytes: number
  /** What best-effort sinks may keep waiting, each. */
  readonly bestEffortBytes: number
  /** Letters that wait for the dead-letter topic. */
  readonly deadLetterBytes: number
  /** Bytes of one partition in a fetch, and of one fetch, as the broker counts them: compressed. */
  readonly fetchPartitionBytes: number
  readonly fetchBytes: number
  /** What the records of all fetches may take, unpacked. */
  readonly unpackedBytes: number
  /** The largest record batch that can be read, unpacked. */
  readonly unpackedBatchBytes: number
}

const KIB = 1024
const MIB = 1024 * KIB

/** Up to here every share grows with the limit. What is beyond goes to open traces but for a rest: little else gains by it. */
const ALL_GROW_BELOW = 400 * MIB

/** @param maxMemoryBytes what the process may use (`SIDEREAL_MAX_MEMORY`), at least 64 MiB */
export function memoryShares(maxMemoryBytes: number): MemoryShares {
  const common = Math.min(maxMemoryBytes, ALL_GROW_BELOW)
  const beyond = maxMemoryBytes - common
  const part = (share: number): number => Math.floor(common * share)
  const batchBytes = part(0.035)
  return {
    openBytes: part(0.25) + Math.floor(beyond * 0.87),
    // Two batches on their way, and one that fills.
    undeliveredBytes: part(0.105),
    // The rows that a sink makes of a batch take more than twice its bytes, and two batches are on their way.
    batchBytes,
    rowBytes: Math.floor(batchBytes * 2.5),
    bestEffortBytes: part(0.04) + Math.floor(beyond * 0.02),
    deadLetterBytes: part(0.02),
    fetchPartitionBytes: Math.min(MIB, Math.max(128 * KIB, Math.floor(maxMemoryBytes / 256))),
    fetchBytes: Math.max(MIB, part(0.02)),
    unpackedBytes: Math.max(2 * MIB, part(0.05)),
    unpackedBatchBytes: Math.max(16 * MIB, part(0.12) + Math.floor(beyond * 0.05)),
  }
}
