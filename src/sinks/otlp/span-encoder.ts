import { type AnyValue, type KeyValue, KeyValueList } from '../../model/any-value.ts'
import { PayloadReference } from '../../model/payload-reference.ts'
import type { Resource, Scope, Span, SpanEvent, SpanLink } from '../../model/span.ts'
import { spreadReferences, textOf } from './payload-attributes.ts'
import type { ProtoWriter } from './proto-writer.ts'

/** Spans with the resource and scope that they share. */
export interface SpanGroup {
  readonly resource: Resource
  readonly scope: Scope
  readonly spans: readonly Span[]
  /** Attributes that each span gets at its end, but those whose key it has already. */
  readonly identity?: readonly KeyValue[]
}

/**
 * Writes `spans[start, end)` as one `ResourceSpans` of an `ExportTraceServiceRequest` (its field 1). Several of them, one behind the other, are a request.
 * Field for field what the model holds; only a time before 1970, which OTLP cannot say, becomes 0 (unknown).
 */
export function writeResourceSpans(writer: ProtoWriter, group: SpanGroup, start: number, end: number): void {
  const whole = writer.size
  writeSchemaUrl(writer, group.resource.schemaUrl)
  const scopeSpans = writer.size
  writeSchemaUrl(writer, group.scope.schemaUrl)
  for (let place = end - 1; place >= start; place--) {
    writeSpan(writer, group.spans[place]!, group.identity ?? [])
  }
  writeScope(writer, group.scope)
  writer.endMessage(2, scopeSpans)
  writeResource(writer, group.resource)
  writer.endMessage(1, whole)
}

/** The schema URL of a resource or a scope, which stands beside them. */
export function writeSchemaUrl(writer: ProtoWriter, schemaUrl: string): void {
  writeText(writer, 3, schemaUrl)
}

export function writeResource(writer: ProtoWriter, resource: Resource): void {
  const mark = writer.size
  for (const entity of resource.entityRefs.toReversed()) {
    const inner = writer.size
    for (const key of entity.descriptionKeys.toReversed()) writer.string(4, key)
    for (const key of entity.idKeys.toReversed()) writer.string(3, key)
    writeText(writer, 2, entity.type)
    writeText(writer, 1, entity.schemaUrl)
    writer.endMessage(3, inner)
  }
  writeCount(writer, 2, resource.droppedAttributesCount)
  writeAttributes(writer, 1, spreadReferences(resource.attributes))
  writer.endMessage(1, mark)
}

export function writeScope(writer: ProtoWriter, scope: Scope): void {
  const mark = writer.size
  writeCount(writer, 4, scope.droppedAttributesCount)
  writeAttributes(writer, 3, spreadReferences(scope.attributes))
  writeText(writer, 2, scope.version)
  writeText(writer, 1, scope.name)
  writer.endMessage(1, mark)
}

function writeSpan(writer: ProtoWriter, span: Span, identity: readonly KeyValue[]): void {
  const mark = writer.size
  if (span.flags !== 0) writer.fixed32(16, span.flags)
  writeStatus(writer, textOf(span.statusMessage), span.statusCode)
  writeCount(writer, 14, span.droppedLinksCount)
  for (let place = span.links.length - 1; place >= 0; place--) writeLink(writer, span.links[place]!)
  writeCount(writer, 12, span.droppedEventsCount)
  for (let place = span.events.length - 1; place >= 0; place--) writeEvent(writer, span.events[place]!)
  writeCount(writer, 10, span.droppedAttributesCount)
  const status = { name: 'status_message', value: span.statusMessage }
  for (const entry of identity) {
    if (!span.attributes.some(({ key }) => key === entry.key)) writeKeyValue(writer, 9, entry)
  }
  writeAttributes(writer, 9, spreadReferences(span.attributes, [status]))
  writer.fixed64(8, toTime(span.endTimeNs))
  writer.fixed64(7, toTime(span.startTimeNs))
  if (span.kind !== 0) writer.int32(6, span.kind)
  writeText(writer, 5, span.name)
  if (span.parentSpanId !== null) writer.hex(4, span.parentSpanId)
  writeText(writer, 3, span.traceState)
  writer.hex(2, span.spanId)
  writer.hex(1, span.traceId)
  writer.endMessage(2, mark)
}

function writeStatus(writer: ProtoWriter, message: string, code: number): void {
  if (message === '' && code === 0) return
  const mark = writer.size
  if (code !== 0) writer.int32(3, code)
  writeText(writer, 2, message)
  writer.endMessage(15, mark)
}

function writeEvent(writer: ProtoWriter, event: SpanEvent): void {
  const mark = writer.size
  writeCount(writer, 4, event.droppedAttributesCount)
  writeAttributes(writer, 3, spreadReferences(event.attributes))
  writeText(writer, 2, event.name)
  writer.fixed64(1, toTime(event.timeNs))
  writer.endMessage(11, mark)
}

function writeLink(writer: ProtoWriter, link: SpanLink): void {
  const mark = writer.size
  if (link.flags !== 0) writer.fixed32(6, link.flags)
  writeCount(writer, 5, link.droppedAttributesCount)
  writeAttributes(writer, 4, spreadReferences(link.attributes))
  writeText(writer, 3, link.traceState)
  writer.hex(2, link.spanId)
  writer.hex(1, link.traceId)
  writer.endMessage(13, mark)
}

function writeAttributes(writer: ProtoWriter, field: number, attributes: readonly KeyValue[]): void {
  for (let place = attributes.length - 1; place >= 0; place--)
    writeKeyValue(writer, field, attributes[place]!)
}

export function writeKeyValue(writer: ProtoWriter, field: number, entry: KeyValue): void {
  const mark = writer.size
  writeValue(writer, 2, entry.value)
  writeText(writer, 1, entry.key)
  writer.endMessage(field, mark)
}

/** Writes an `AnyValue` as the field `field`. A member of the union is written also when it has its default value: that it is there is its meaning. */
export function writeValue(writer: ProtoWriter, field: number, value: AnyValue): void {
  const mark = writer.size
  if (typeof value === 'string') writer.string(1, value)
  else if (typeof value === 'bigint') writer.int64(3, value)
  else if (typeof value === 'number') writer.double(4, value)
  else if (typeof value === 'boolean') writer.bool(2, value)
  else if (value instanceof Uint8Array) writer.bytes(7, value)
  else if (value instanceof PayloadReference) throw new Error('payload references are spread before')
  else if (value instanceof KeyValueList) {
    const inner = writer.size
    writeAttributes(writer, 1, value.entries)
    writer.endMessage(6, inner)
  } else if (value !== null) {
    const inner = writer.size
    for (let place = value.length - 1; place >= 0; place--) writeValue(writer, 1, value[place] ?? null)
    writer.endMessage(5, inner)
  }
  writer.endMessage(field, mark)
}

function writeText(writer: ProtoWriter, field: number, text: string): void {
  if (text !== '') writer.string(field, text)
}

function writeCount(writer: ProtoWriter, field: number, count: number): void {
  if (count !== 0) writer.uint32(field, count)
}

function toTime(timeNs: bigint): bigint {
  return timeNs < 0n ? 0n : timeNs
}
