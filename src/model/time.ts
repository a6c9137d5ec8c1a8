/** ClickHouse wraps days outside 1970–2149 and prunes wrongly; a start time in rows lies in [2000-01-01, 2100-01-01). */
export const MIN_TIME_NS = 946_684_800_000_000_000n
export const MAX_TIME_NS = 4_102_444_800_000_000_000n

/** The start time was outside the range and was replaced. */
export const FLAG_START_REPLACED = 1
/** The end time was before the start time: the duration is 0. */
export const FLAG_END_BEFORE_START = 2
/** The end time was outside the range: the duration is 0. */
export const FLAG_END_OUT_OF_RANGE = 4

export interface ClampedTimes {
  /** In [{@link MIN_TIME_NS}, {@link MAX_TIME_NS}). */
  startNs: bigint
  /** In the same range, not before `startNs`. */
  endNs: bigint
  /** `endNs − startNs`. */
  durationNs: bigint
  /** Sum of `FLAG_*`; 0 = as sent. */
  flags: number
}

function isInRange(timeNs: bigint): boolean {
  return timeNs >= MIN_TIME_NS && timeNs < MAX_TIME_NS
}

/**
 * The times of a span, a log or a node as rows and fragment facts take them. A start time outside [2000-01-01, 2100-01-01) is replaced by
 * the end time, else by the first event time that is in the range, else by 2000-01-01. An end time that is before the start, or
 * itself outside the range, counts as the start: a duration of 0.
 * @param eventTimesNs times of the span's events, in their order
 */
export function clampTimes(
  startNs: bigint,
  endNs: bigint,
  eventTimesNs: Iterable<bigint> = [],
): ClampedTimes {
  let flags = 0
  let start = startNs
  const isEndInRange = isInRange(endNs)
  if (!isInRange(start)) {
    flags |= FLAG_START_REPLACED
    start = isEndInRange ? endNs : firstInRange(eventTimesNs)
  }
  let end = endNs
  if (endNs < start) flags |= FLAG_END_BEFORE_START
  else if (!isEndInRange) flags |= FLAG_END_OUT_OF_RANGE
  if (endNs < start || !isEndInRange) end = start
  return { startNs: start, endNs: end, durationNs: end - start, flags }
}

/** As {@link clampTimes}, for the millisecond times of logs and nodes. */
export function clampTimesMs(startMs: number, endMs: number): ClampedTimes {
  return clampTimes(BigInt(startMs) * 1_000_000n, BigInt(endMs) * 1_000_000n)
}

const MIN_TIME_MS = Number(MIN_TIME_NS / 1_000_000n)
const MAX_TIME_MS = Number(MAX_TIME_NS / 1_000_000n)

/** `startNs` of {@link clampTimesMs} in milliseconds, without BigInt. */
export function clampedStartMs(startMs: number, endMs: number): number {
  if (startMs >= MIN_TIME_MS && startMs < MAX_TIME_MS) return startMs
  return endMs >= MIN_TIME_MS && endMs < MAX_TIME_MS ? endMs : MIN_TIME_MS
}

/** `endNs` of {@link clampTimesMs} in milliseconds, without BigInt. */
export function clampedEndMs(startMs: number, endMs: number): number {
  const start = clampedStartMs(startMs, endMs)
  return endMs >= start && endMs < MAX_TIME_MS ? endMs : start
}

function firstInRange(timesNs: Iterable<bigint>): bigint {
  for (const time of timesNs) {
    if (isInRange(time)) return time
  }
  return MIN_TIME_NS
}

const MIN_HIGH = Number(MIN_TIME_NS >> 32n)
const MIN_LOW = Number(MIN_TIME_NS & 0xffffffffn)
const MAX_HIGH = Number(MAX_TIME_NS >> 32n)
const MAX_LOW = Number(MAX_TIME_NS & 0xffffffffn)

/** True when the first time (signed upper, unsigned lower half) is before the second. */
export function isBefore(highA: number, lowA: number, highB: number, lowB: number): boolean {
  return highA < highB || (highA === highB && lowA < lowB)
}

/** True when a time in halves lies in [2000-01-01, 2100-01-01). */
export function isTimeInRange(high: number, low: number): boolean {
  return !isBefore(high, low, MIN_HIGH, MIN_LOW) && isBefore(high, low, MAX_HIGH, MAX_LOW)
}

/**
 * {@link clampTimes} for walks over bytes, without BigInt: times are halves of an int64 (upper signed, lower unsigned 32 bits).
 * The result stays in the fields; the object is reused.
 */
export class TimeClamp {
  startHigh = 0
  startLow = 0
  endHigh = 0
  endLow = 0
  flags = 0

  /** @param eventHigh first event time in the range; any time outside it, such as 0, when there is none */
  clamp(
    startHigh: number,
    startLow: number,
    endHigh: number,
    endLow: number,
    eventHigh: number,
    eventLow: number,
  ): void {
    let flags = 0
    const isEndInRange = isTimeInRange(endHigh, endLow)
    if (isTimeInRange(startHigh, startLow)) {
      this.startHigh = startHigh
      this.startLow = startLow
    } else {
      flags |= FLAG_START_REPLACED
      const isEventInRange = isTimeInRange(eventHigh, eventLow)
      this.startHigh = isEndInRange ? endHigh : isEventInRange ? eventHigh : MIN_HIGH
      this.startLow = isEndInRange ? endLow : isEventInRange ? eventLow : MIN_LOW
    }
    const isEndBefore = isBefore(endHigh, endLow, this.startHigh, this.startLow)
    if (isEndBefore) flags |= FLAG_END_BEFORE_START
    else if (!isEndInRange) flags |= FLAG_END_OUT_OF_RANGE
    this.endHigh = isEndBefore || !isEndInRange ? this.startHigh : endHigh
    this.endLow = isEndBefore || !isEndInRange ? this.startLow : endLow
    this.flags = flags
  }
}

/** No UTC day: outside the range, or several. */
export const NO_DAY = -1

const DAY_NS = 86_400_000_000_000n

/**
 * Makes a function that gives the UTC day since 1970 of a time in halves, or {@link NO_DAY} when it is outside [2000-01-01, 2100-01-01).
 * It remembers the last day, on which most times are.
 */
export function createDayOf(): (high: number, low: number) => number {
  let day = NO_DAY
  let startHigh = 0
  let startLow = 0
  let endHigh = 0
  let endLow = 0
  return (high, low) => {
    if (!isBefore(high, low, startHigh, startLow) && isBefore(high, low, endHigh, endLow)) return day
    if (!isTimeInRange(high, low)) return NO_DAY
    const timeNs = (BigInt(high) << 32n) | BigInt(low)
    const startNs = timeNs - (timeNs % DAY_NS)
    const endNs = startNs + DAY_NS
    day = Number(startNs / DAY_NS)
    startHigh = Number(startNs >> 32n)
    startLow = Number(startNs & 0xffffffffn)
    endHigh = Number(endNs >> 32n)
    endLow = Number(endNs & 0xffffffffn)
    return day
  }
}
