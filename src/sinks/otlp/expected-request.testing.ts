import type { ReceivedKeyValue, ReceivedRequest, ReceivedValue } from '../../codec/otlp-trace-messages.ts'
import { type AnyValue, type KeyValue, KeyValueList } from '../../model/any-value.ts'
import { PayloadReference } from '../../model/payload-reference.ts'
import type { SpanBatch } from '../../model/span.ts'

/** What a receiver must read when this batch was sent: the model in the words of a protobuf decoder. References are not expected in it. */
export function expectedRequest(batch: SpanBatch): ReceivedRequest {
  const { resource, scope } = batch
  return {
    resourceSpans: [
      {
        resource: {
          attributes: received(resource.attributes),
          ...count(resource.droppedAttributesCount),
          entityRefs: resource.entityRefs.map(({ schemaUrl, type, idKeys, descriptionKeys }) => ({
            ...(schemaUrl === '' ? {} : { schemaUrl }),
            ...(type === '' ? {} : { type }),
            idKeys,
            descriptionKeys,
          })),
        },
        schemaUrl: resource.schemaUrl,
        scopeSpans: [
          {
            scope: {
              ...(scope.name === '' ? {} : { name: scope.name }),
              ...(scope.version === '' ? {} : { version: scope.version }),
              attributes: received(scope.attributes),
              ...count(scope.droppedAttributesCount),
            },
            schemaUrl: scope.schemaUrl,
            spans: batch.spans.map((span) => ({
              traceId: Buffer.from(span.traceId, 'hex'),
              spanId: Buffer.from(span.spanId, 'hex'),
              parentSpanId: Buffer.from(span.parentSpanId ?? '', 'hex'),
              traceState: span.traceState,
              name: span.name,
              kind: span.kind,
              startTimeUnixNano: time(span.startTimeNs),
              endTimeUnixNano: time(span.endTimeNs),
              attributes: received(span.attributes),
              droppedAttributesCount: span.droppedAttributesCount,
              events: span.events.map((event) => ({
                timeUnixNano: time(event.timeNs),
                name: event.name,
                attributes: received(event.attributes),
                droppedAttributesCount: event.droppedAttributesCount,
              })),
              droppedEventsCount: span.droppedEventsCount,
              links: span.links.map((link) => ({
                traceId: Buffer.from(link.traceId, 'hex'),
                spanId: Buffer.from(link.spanId, 'hex'),
                traceState: link.traceState,
                attributes: received(link.attributes),
                droppedAttributesCount: link.droppedAttributesCount,
                flags: link.flags,
              })),
              droppedLinksCount: span.droppedLinksCount,
              ...status(String(span.statusMessage), span.statusCode),
              flags: span.flags,
            })),
          },
        ],
      },
    ],
  } as ReceivedRequest
}

/** The batch with each payload reference replaced by its preview. */
export function withoutReferences(batch: SpanBatch): SpanBatch {
  const plain = (attributes: readonly KeyValue[]): KeyValue[] =>
    attributes.map(({ key, value }) => ({ key, value: plainValue(value) }))
  return {
    ...batch,
    resource: { ...batch.resource, attributes: plain(batch.resource.attributes) },
    scope: { ...batch.scope, attributes: plain(batch.scope.attributes) },
    spans: batch.spans.map((span) => ({
      ...span,
      statusMessage:
        span.statusMessage instanceof PayloadReference ? span.statusMessage.preview : span.statusMessage,
      attributes: plain(span.attributes),
      events: span.events.map((event) => ({ ...event, attributes: plain(event.attributes) })),
      links: span.links.map((link) => ({ ...link, attributes: plain(link.attributes) })),
    })),
  }
}

function plainValue(value: AnyValue): AnyValue {
  if (value instanceof PayloadReference) return value.preview
  if (value instanceof KeyValueList) {
    return new KeyValueList(
      value.entries.map((entry) => ({ key: entry.key, value: plainValue(entry.value) })),
    )
  }
  return Array.isArray(value) ? value.map(plainValue) : value
}

function received(attributes: readonly KeyValue[]): ReceivedKeyValue[] {
  return attributes.map(
    ({ key, value }) => ({ ...(key === '' ? {} : { key }), value: receivedValue(value) }) as ReceivedKeyValue,
  )
}

function receivedValue(value: AnyValue): ReceivedValue {
  if (value === null || value instanceof PayloadReference) return {}
  if (typeof value === 'string') return { stringValue: value }
  if (typeof value === 'bigint') return { intValue: String(value) }
  if (typeof value === 'number') return { doubleValue: value }
  if (typeof value === 'boolean') return { boolValue: value }
  if (value instanceof Uint8Array) return { bytesValue: Buffer.from(value) }
  if (value instanceof KeyValueList) return { kvlistValue: { values: received(value.entries) } }
  return { arrayValue: { values: value.map(receivedValue) } }
}

function count(droppedAttributesCount: number): { droppedAttributesCount?: number } {
  return droppedAttributesCount === 0 ? {} : { droppedAttributesCount }
}

function status(message: string, code: number): { status?: { message?: string; code?: number } } {
  if (message === '' && code === 0) return {}
  return { status: { ...(message === '' ? {} : { message }), ...(code === 0 ? {} : { code }) } }
}

function time(timeNs: bigint): string {
  return String(timeNs < 0n ? 0n : timeNs)
}
