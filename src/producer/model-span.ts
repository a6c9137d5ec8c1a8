import type { HrTime, Link, SpanContext } from '@opentelemetry/api'
import type { ReadableSpan } from '@opentelemetry/sdk-trace'
import type { KeyValue } from '../model/any-value.ts'
import {
  FLAG_HAS_IS_REMOTE,
  FLAG_IS_REMOTE,
  type Resource,
  type Scope,
  type Span,
  type SpanEvent,
  type SpanLink,
} from '../model/span.ts'
import { asText } from './foreign-values.ts'
import { toKeyValues } from './json-value.ts'

/** With as many nanoseconds beside them they still fit. */
const MAX_SECONDS = 9_223_372_000
const NANOS_PER_SECOND = 1_000_000_000n

/** An ended span of the SDK as the model has it, with the numbers, flags and value types that OpenTelemetry's own OTLP exporters send. */
export function toModelSpan(span: ReadableSpan): Span {
  const context = span.spanContext()
  return {
    traceId: context.traceId,
    spanId: context.spanId,
    parentSpanId: span.parentSpanContext?.spanId || null,
    flags: flagsOf(context.traceFlags, span.parentSpanContext?.isRemote),
    name: asText(span.name),
    // OTLP's numbers are one above the SDK's: 0 means unspecified.
    kind: span.kind + 1,
    startTimeNs: toNanoseconds(span.startTime),
    endTimeNs: toNanoseconds(span.endTime),
    statusCode: span.status.code,
    statusMessage: span.status.message ?? '',
    traceState: context.traceState?.serialize() ?? '',
    attributes: toKeyValues(span.attributes),
    droppedAttributesCount: span.droppedAttributesCount,
    events: span.events.map(
      (event): SpanEvent => ({
        timeNs: toNanoseconds(event.time),
        name: asText(event.name),
        attributes: attributesOf(event.attributes),
        droppedAttributesCount: event.droppedAttributesCount ?? 0,
      }),
    ),
    droppedEventsCount: span.droppedEventsCount,
    links: span.links.map(toModelLink),
    droppedLinksCount: span.droppedLinksCount,
  }
}

export function toModelResource(resource: ReadableSpan['resource']): Resource {
  return {
    attributes: toKeyValues(resource.attributes),
    droppedAttributesCount: 0,
    schemaUrl: resource.schemaUrl ?? '',
    entityRefs: [],
  }
}

export function toModelScope(scope: ReadableSpan['instrumentationScope']): Scope {
  const { name, version, schemaUrl } = scope
  const further = scope as { attributes?: object; droppedAttributesCount?: number }
  return {
    name,
    version: version ?? '',
    attributes: attributesOf(further.attributes),
    droppedAttributesCount: further.droppedAttributesCount ?? 0,
    schemaUrl: schemaUrl ?? '',
  }
}

function toModelLink(link: Link): SpanLink {
  const context: SpanContext = link.context
  return {
    traceId: context.traceId,
    spanId: context.spanId,
    traceState: context.traceState?.serialize() ?? '',
    attributes: attributesOf(link.attributes),
    droppedAttributesCount: link.droppedAttributesCount ?? 0,
    flags: flagsOf(context.traceFlags, context.isRemote),
  }
}

function attributesOf(attributes: object | undefined): KeyValue[] {
  return attributes === undefined ? [] : toKeyValues(attributes)
}

export function flagsOf(traceFlags: number, isRemote: boolean | undefined): number {
  return (traceFlags & 0xff) | FLAG_HAS_IS_REMOTE | (isRemote === true ? FLAG_IS_REMOTE : 0)
}

/**
 * A part of a time, whole: a caller's own may have fractions, which have no place in nanoseconds. What is no number (an invalid `Date` of an event), or more
 * seconds than 64 bits of nanoseconds hold, is 0, which the worker sees to be none: it must not cost the span.
 */
export function wholeTime(part: number): number {
  return Math.abs(part) <= MAX_SECONDS ? Math.trunc(part) : 0
}

/** Exact: [seconds, nanoseconds], each a whole number. */
function toNanoseconds([seconds, nanos]: HrTime): bigint {
  return BigInt(wholeTime(seconds)) * NANOS_PER_SECOND + BigInt(wholeTime(nanos))
}
