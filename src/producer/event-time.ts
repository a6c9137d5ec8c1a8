import type { TimeInput } from '@opentelemetry/api'

/** Milliseconds since 1970 reach these in the years 5138 and 3,000,000. */
const MICROSECONDS_FROM = 1e14
const NANOSECONDS_FROM = 1e17

/** The time of an event, also as Python's library gives it, in nanoseconds, or in microseconds: OpenTelemetry here takes any number for milliseconds. */
export function eventTime(time: TimeInput | bigint | undefined): TimeInput | undefined {
  if (typeof time !== 'number' && typeof time !== 'bigint') return time
  const number = Number(time)
  if (number >= NANOSECONDS_FROM) return number / 1e6
  return number >= MICROSECONDS_FROM ? number / 1e3 : number
}
