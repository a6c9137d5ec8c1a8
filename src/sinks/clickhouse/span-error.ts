import type { KeyValue } from '../../model/any-value.ts'
import { type Span, STATUS_ERROR } from '../../model/span.ts'

const LEVELS: readonly string[] = ['DEBUG', 'INFO', 'WARN', 'ERROR']

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

/** The most severe level among the events of a span: today's services say it by the event's name. Empty = none. */
export function eventLevel(span: Span): string {
  let highest = -1
  for (const { name } of span.events) {
    const level = name === 'exception' ? 3 : LEVELS.indexOf(name)
    if (level > highest) highest = level
  }
  return highest < 0 ? '' : (LEVELS[highest] ?? '')
}
