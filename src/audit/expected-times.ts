/** Rows hold start times in [2000-01-01, 2100-01-01). */
const FIRST_NS = 946_684_800_000_000_000n
const END_NS = 4_102_444_800_000_000_000n

const START_REPLACED = 1
const END_BEFORE_START = 2
const END_OUT_OF_RANGE = 4

export interface ExpectedTimes {
  readonly startNs: bigint
  readonly endNs: bigint
  readonly flags: number
  /** Whether the row keeps the time as it was sent beside the one it goes by. */
  readonly keepsStart: boolean
  readonly keepsEnd: boolean
}

/**
 * What rows do with times that ClickHouse would wrap: worked out here once more and not taken from `model/time.ts`, since verify is to find
 * faults there too.
 */
export function expectedTimes(
  startNs: bigint,
  endNs: bigint,
  eventTimesNs: readonly bigint[],
): ExpectedTimes {
  const fits = (time: bigint) => time >= FIRST_NS && time < END_NS
  const start = [startNs, endNs, ...eventTimesNs].find(fits) ?? FIRST_NS
  const isReplaced = !fits(startNs)
  const endsBefore = endNs < start
  const endIsOut = !endsBefore && !fits(endNs)
  return {
    startNs: start,
    endNs: endsBefore || endIsOut ? start : endNs,
    flags:
      (isReplaced ? START_REPLACED : 0) +
      (endsBefore ? END_BEFORE_START : 0) +
      (endIsOut ? END_OUT_OF_RANGE : 0),
    keepsStart: isReplaced,
    keepsEnd: endsBefore || endIsOut,
  }
}
