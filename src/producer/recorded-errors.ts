import type { Span } from '@opentelemetry/api'

/** In which trace an error object was recorded: it passes through every enclosing span. */
const traceOfError = new WeakMap<object, string>()
/** What a span has recorded, or had thrown at it from a span below that had: a text or a number has no identity of its own. */
const primitiveOfSpan = new WeakMap<Span, { readonly thrown: unknown }>()

/** Notes that a span has recorded what was thrown. */
export function noteRecorded(thrown: unknown, span: Span): void {
  if (isObject(thrown)) traceOfError.set(thrown, span.spanContext().traceId)
  else primitiveOfSpan.set(span, { thrown })
}

/** Whether what is thrown at a span was recorded already, by itself or below it. */
export function isRecorded(thrown: unknown, span: Span): boolean {
  if (isObject(thrown)) return traceOfError.get(thrown) === span.spanContext().traceId
  const noted = primitiveOfSpan.get(span)
  return noted !== undefined && Object.is(noted.thrown, thrown)
}

function isObject(thrown: unknown): thrown is object {
  return (typeof thrown === 'object' && thrown !== null) || typeof thrown === 'function'
}
