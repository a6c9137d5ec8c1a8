import type { KeyValue } from '../../model/any-value.ts'
import { type Span, STATUS_ERROR } from '../../model/span.ts'

/** Levels as today's services say them by the name of an event, the most severe last. */
export const EVENT_LEVELS: readonly string[] = ['DEBUG', 'INFO', 'WARN', 'ERROR']

/**
 * An error is: status ERROR, attribute `error` true (or its text), integer attribute `code` not 0, or an event ERROR or exception. The
 * same rule as that of the fragment's facts (`codec/record-plans.ts`); a test holds them equal.
 */
export function isErrorSpan(span: Span): boolean {
  return (
    span.statusCode === STATUS_ERROR ||
    span.attributes.some(isErrorAttribute) ||
    span.events.some((event) => event.name === 'ERROR' || event.name === 'exception')
  )
}

function isErrorAttribute({ key, value }: KeyValue): boolean {
  if (key === 'error') return value === true || value === 'true'
  return key === 'code' && typeof value === 'bigint' && value !== 0n
}

/** Place in {@link EVENT_LEVELS} of the level that an event's name says, or −1. */
export function levelOfEvent(name: string): number {
  return EVENT_LEVELS.indexOf(name === 'exception' ? 'ERROR' : name)
}

/** The most severe level among the events of a span. Empty = none. */
export function eventLevel(span: Span): string {
  let highest = -1
  for (const { name } of span.events) highest = Math.max(highest, levelOfEvent(name))
  return EVENT_LEVELS[highest] ?? ''
}
