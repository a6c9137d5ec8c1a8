const MAX_REVISION = 0xffff
const MAX_APPEND_TIME_MS = 2 ** 48 - 1

/**
 * The `version` column of every row: revision × 2^48 + append time in milliseconds, a UInt64. The highest revision of a row wins,
 * then the latest append time. Spans and fragments have revision 0.
 * A revision outside 0…65,535 counts as the nearest of these, an append time before 1970 as 0: a version always fits.
 */
export function rowVersion(revision: number, appendTimeMs: number): bigint {
  const high = Math.min(Math.max(revision, 0), MAX_REVISION)
  const low = Math.min(Math.max(appendTimeMs, 0), MAX_APPEND_TIME_MS)
  return (BigInt(high) << 48n) | BigInt(low)
}
