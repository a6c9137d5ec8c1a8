import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Attributes, HrTime } from '@opentelemetry/api'
import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer'
import { resourceFromAttributes } from '@opentelemetry/resources'
import fc from 'fast-check'
import { anyText, hexId } from '../../codec/arbitraries.testing.ts'
import { OtlpTraceMessages } from '../../codec/otlp-trace-messages.ts'
import { type AnyValue, type KeyValue, KeyValueList } from '../../model/any-value.ts'
import { TEST_START_NS, testBatch, testSpan } from '../fragments.testing.ts'
import { plainRecord, TEST_WRITERS } from '../span-records.testing.ts'
import { SpanBytes } from './span-bytes.ts'

type Value = string | number | boolean | Uint8Array | Value[] | { [key: string]: Value }

/** Keys as an object of JavaScript keeps them in order. */
const key = anyText.map((text) => `k${text}`)
const { value } = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 2 },
    anyText,
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.double().filter((number) => !Number.isInteger(number)),
    fc.uint8Array({ maxLength: 9 }).map((bytes) => Uint8Array.from(bytes)),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(key, tie('value'), { maxKeys: 3, noNullPrototype: true }),
  ),
}))
const attributes = fc.dictionary(key, value, { maxKeys: 5, noNullPrototype: true })
const count = fc.nat(0xffffffff)
const timeNs = fc.nat(86_399_999).map((ms) => TEST_START_NS + BigInt(ms) * 1_000n + 7n)

const anyExport = fc.record({
  name: anyText,
  kind: fc.nat(4),
  traceId: hexId(16),
  spanId: hexId(8),
  parent: fc.option(fc.record({ spanId: hexId(8), isRemote: fc.boolean() })),
  startTimeNs: timeNs,
  endTimeNs: timeNs,
  statusCode: fc.nat(2),
  statusMessage: anyText,
  attributes,
  events: fc.array(fc.record({ timeNs, name: anyText, attributes, dropped: count }), { maxLength: 2 }),
  links: fc.array(fc.record({ traceId: hexId(16), spanId: hexId(8), attributes, dropped: count }), {
    maxLength: 2,
  }),
  dropped: fc.tuple(count, count, count),
  // The SDK's resource takes plain values only.
  resource: fc.dictionary(key, anyText, { maxKeys: 3, noNullPrototype: true }),
  scope: fc.record({ name: anyText, version: anyText, schemaUrl: anyText }),
})
type Export = typeof anyExport extends fc.Arbitrary<infer T> ? T : never

const hrTime = (ns: bigint): HrTime => [Number(ns / 1_000_000_000n), Number(ns % 1_000_000_000n)]
const context = (traceId: string, spanId: string) => ({ traceId, spanId, traceFlags: 1 })

/** As an SDK hands it to its exporter, and as the exporter sends it. */
function official(span: Export): Uint8Array {
  const bytes = ProtobufTraceSerializer.serializeRequest([
    {
      name: span.name,
      kind: span.kind,
      spanContext: () => context(span.traceId, span.spanId),
      ...(span.parent === null
        ? {}
        : {
            parentSpanContext: {
              ...context(span.traceId, span.parent.spanId),
              isRemote: span.parent.isRemote,
            },
          }),
      startTime: hrTime(span.startTimeNs),
      endTime: hrTime(span.endTimeNs),
      status: { code: span.statusCode, message: span.statusMessage },
      // Our records carry their SID on each span.
      attributes: { ...span.attributes, sid: 's' } as Attributes,
      events: span.events.map((event) => ({
        name: event.name,
        time: hrTime(event.timeNs),
        attributes: event.attributes as Attributes,
        droppedAttributesCount: event.dropped,
      })),
      links: span.links.map((link) => ({
        context: context(link.traceId, link.spanId),
        attributes: link.attributes as Attributes,
        droppedAttributesCount: link.dropped,
      })),
      duration: [0, 0],
      ended: true,
      resource: resourceFromAttributes(span.resource as Attributes),
      instrumentationScope: span.scope,
      droppedAttributesCount: span.dropped[0],
      droppedEventsCount: span.dropped[1],
      droppedLinksCount: span.dropped[2],
    },
  ])
  assert.ok(bytes !== undefined)
  return bytes
}

function model(own: { [key: string]: Value }): KeyValue[] {
  return Object.entries(own).map(([name, each]) => ({ key: name, value: modelValue(each) }))
}

function modelValue(own: Value): AnyValue {
  if (typeof own === 'number') return Number.isInteger(own) ? BigInt(own) : own
  if (typeof own !== 'object' || own instanceof Uint8Array) return own
  return Array.isArray(own) ? own.map(modelValue) : new KeyValueList(model(own))
}

const writer = TEST_WRITERS[0]!
const encoder = new SpanBytes(() => writer.type)

function ours(span: Export): Buffer {
  const batch = testBatch({
    sid: 's',
    appId: '',
    uid: '',
    chatId: '',
    resource: { attributes: model(span.resource), droppedAttributesCount: 0, schemaUrl: '', entityRefs: [] },
    scope: { ...span.scope, attributes: [], droppedAttributesCount: 0 },
    spans: [
      testSpan({
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parent?.spanId ?? null,
        flags: span.parent?.isRemote === true ? 0x301 : 0x101,
        name: span.name,
        kind: span.kind + 1,
        startTimeNs: span.startTimeNs,
        endTimeNs: span.endTimeNs,
        statusCode: span.statusCode,
        statusMessage: span.statusMessage,
        traceState: '',
        attributes: model(span.attributes),
        droppedAttributesCount: span.dropped[0],
        events: span.events.map((event) => ({
          timeNs: event.timeNs,
          name: event.name,
          attributes: model(event.attributes),
          droppedAttributesCount: event.dropped,
        })),
        droppedEventsCount: span.dropped[1],
        links: span.links.map((link) => ({
          traceId: link.traceId,
          spanId: link.spanId,
          traceState: '',
          flags: 0x101,
          attributes: model(link.attributes),
          droppedAttributesCount: link.dropped,
        })),
        droppedLinksCount: span.dropped[2],
      }),
    ],
  })
  const length = encoder.encode(plainRecord(writer, writer.encode(batch), 0))
  assert.ok(length !== undefined, 'it goes from its bytes')
  const encoded = Buffer.alloc(length)
  encoder.copyTo(encoded, 0)
  return encoded
}

const messages = new OtlpTraceMessages()

/** An unset status may be there, empty, or not: OTLP takes both for unset. */
function received(bytes: Uint8Array) {
  const request = messages.decodeRequest(bytes)
  for (const { scopeSpans } of request.resourceSpans) {
    for (const span of scopeSpans.flatMap(({ spans }) => spans)) {
      if (span.status !== undefined && Object.keys(span.status).length === 0) delete span.status
    }
  }
  return request
}

test("what a receiver reads of a record's bytes is what it reads of the official serializer's, for any span that an SDK can hold", () => {
  fc.assert(
    fc.property(anyExport, (span) => {
      assert.deepEqual(received(ours(span)), received(official(span)))
    }),
    { numRuns: 150 },
  )
})
