/** A busy broker is no silent one. */
const SHORTEST_MS = 10_000
const LONGEST_MS = 30_000

/**
 * Time for one request of the source: half a session, so that a connection which has gone silent is given up before the group gives this
 * member up.
 */
export function sourceRequestMs(sessionTimeoutMs: number): number {
  return Math.min(LONGEST_MS, Math.max(SHORTEST_MS, sessionTimeoutMs / 2))
}
