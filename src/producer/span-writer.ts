import type { HrTime } from '@opentelemetry/api'
import type { ReadableSpan, TimedEvent } from '@opentelemetry/sdk-trace'
import { AvroOutput } from '../codec/avro-output.ts'
import { ValueWriter } from '../codec/value-writer.ts'
import { asText } from './foreign-values.ts'
import { toAnyValue, toKeyValues } from './json-value.ts'
import { flagsOf, wholeTime } from './model-span.ts'

/**
 * Writes ended spans as they lie in a batch, one after another: the bytes that `RecordWriter` writes of `toModelSpan`, without the objects in
 * between, which took half of the producer's time.
 */
export class SpanWriter {
  readonly #out = new AvroOutput()
  readonly #values = new ValueWriter(this.#out)

  constructor() {
    this.#out.begin(0)
  }

  /** Lone surrogates replaced since this writer was made. */
  get replacedSurrogates(): number {
    return this.#out.replacedSurrogates
  }

  /** Where the next span will begin. */
  get position(): number {
    return this.#out.position
  }

  /** Holds all spans since the last {@link clear}; to be read before the next write. */
  get memory(): Buffer {
    return this.#out.memory
  }

  /** Forgets what was written from `position` on. */
  rewind(position: number): void {
    this.#out.rewind(position)
  }

  /** Forgets everything. */
  clear(): void {
    this.#out.begin(0)
  }

  /**
   * Writes a span; where it ends is the new position. After an error nothing of it is left.
   * @throws SiderealError SIDEREAL_RECORD_INVALID
   */
  write(span: ReadableSpan): void {
    const start = this.#out.position
    try {
      this.#span(span)
    } catch (error) {
      this.#out.rewind(start)
      throw error
    }
  }

  #span(span: ReadableSpan): void {
    const out = this.#out
    const context = span.spanContext()
    const parent = span.parentSpanContext
    out.hex(context.traceId, 16, 'span.traceId')
    out.hex(context.spanId, 8, 'span.spanId')
    if (parent?.spanId) {
      out.branch(1)
      out.hex(parent.spanId, 8, 'span.parentSpanId')
    } else {
      out.branch(0)
    }
    out.number(flagsOf(context.traceFlags, parent?.isRemote), 'span.flags')
    out.string(asText(span.name))
    // OTLP's numbers are one above the SDK's: 0 means unspecified.
    out.int(span.kind + 1, 'span.kind')
    this.#time(span.startTime, 'span.startTimeNs')
    this.#time(span.endTime, 'span.endTimeNs')
    out.int(span.status.code, 'span.statusCode')
    this.#values.offloadable(span.status.message ?? '')
    out.string(context.traceState?.serialize() ?? '')
    this.#attributes(span.attributes)
    out.number(span.droppedAttributesCount, 'span.droppedAttributesCount')
    this.#events(span.events)
    out.number(span.droppedEventsCount, 'span.droppedEventsCount')
    this.#links(span.links)
    out.number(span.droppedLinksCount, 'span.droppedLinksCount')
  }

  #events(events: readonly TimedEvent[]): void {
    const out = this.#out
    if (events.length > 0) out.count(events.length)
    for (const event of events) {
      this.#time(event.time, 'event.timeNs')
      out.string(asText(event.name))
      this.#attributes(event.attributes)
      out.number(event.droppedAttributesCount ?? 0, 'event.droppedAttributesCount')
    }
    out.count(0)
  }

  #links(links: ReadableSpan['links']): void {
    const out = this.#out
    if (links.length > 0) out.count(links.length)
    for (const { context, attributes, droppedAttributesCount } of links) {
      out.hex(context.traceId, 16, 'link.traceId')
      out.hex(context.spanId, 8, 'link.spanId')
      out.string(context.traceState?.serialize() ?? '')
      this.#attributes(attributes)
      out.number(droppedAttributesCount ?? 0, 'link.droppedAttributesCount')
      out.number(flagsOf(context.traceFlags, context.isRemote), 'link.flags')
    }
    out.count(0)
  }

  #attributes(attributes: object | undefined): void {
    if (attributes === undefined) {
      this.#out.count(0)
      return
    }
    const start = this.#out.position
    if (this.#plainAttributes(attributes)) return
    this.#out.rewind(start)
    this.#values.attributes(toKeyValues(attributes))
  }

  /** False for what is rare: a map, an undefined value (left out, so it may not be counted), a getter that throws. */
  #plainAttributes(attributes: object): boolean {
    if (attributes instanceof Map) return false
    const keys = Object.keys(attributes)
    if (keys.length > 0) this.#out.count(keys.length)
    for (const key of keys) {
      let value: unknown
      try {
        value = (attributes as Record<string, unknown>)[key]
      } catch {
        return false
      }
      if (value === undefined) return false
      this.#out.string(key)
      this.#value(value, key)
    }
    this.#out.count(0)
    return true
  }

  #value(value: unknown, key: string): void {
    if (typeof value === 'string') this.#values.string(value)
    else if (typeof value === 'boolean') this.#values.boolean(value)
    else if (typeof value === 'number' && Number.isSafeInteger(value)) this.#values.long(value, key)
    else if (typeof value === 'number' && !Number.isInteger(value)) this.#values.double(value)
    else this.#values.value(toAnyValue(value), key, 0)
  }

  #time([seconds, nanos]: HrTime, field: string): void {
    this.#out.nanoseconds(wholeTime(seconds), wholeTime(nanos), field)
  }
}
