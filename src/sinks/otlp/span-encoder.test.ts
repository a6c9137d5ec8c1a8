import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer'
import { resourceFromAttributes } from '@opentelemetry/resources'
import fc from 'fast-check'
import { anySpanBatch } from '../../codec/arbitraries.testing.ts'
import { OtlpTraceMessages } from '../../codec/otlp-trace-messages.ts'
import { PayloadReference } from '../../model/payload-reference.ts'
import { formatPayloadReference } from '../../model/payload-reference-text.ts'
import type { SpanBatch } from '../../model/span.ts'
import { expectedRequest, withoutReferences } from './expected-request.testing.ts'
import { ProtoWriter } from './proto-writer.ts'
import { writeResourceSpans } from './span-encoder.ts'

const messages = new OtlpTraceMessages()

function encode(batch: SpanBatch, writer = new ProtoWriter(16)): Buffer {
  writeResourceSpans(writer, batch, 0, batch.spans.length)
  return writer.take()
}

test('any span batch: what a protobuf decoder reads is what the model holds, field for field', () => {
  const writer = new ProtoWriter(1)
  fc.assert(
    fc.property(anySpanBatch.map(withoutReferences), (batch) => {
      assert.deepEqual(messages.decodeRequest(encode(batch, writer)), expectedRequest(batch))
    }),
    { numRuns: 500 },
  )
})

test('a payload reference becomes its preview, with the reference as an attribute beside it', () => {
  const reference = (preview: string) =>
    new PayloadReference({
      key: 'payloads/x',
      offset: 1,
      length: 2,
      size: 6_000,
      sha256: 'a'.repeat(64),
      encoding: 'zstd',
      preview,
    })
  const [sample] = fc.sample(anySpanBatch.filter((batch) => batch.spans.length > 0).map(withoutReferences), {
    seed: 1,
    numRuns: 1,
  })
  const batch: SpanBatch = {
    ...sample!,
    spans: [
      {
        ...sample!.spans[0]!,
        statusCode: 2,
        statusMessage: reference('it failed'),
        attributes: [
          { key: 'prompt', value: reference('Dear') },
          { key: 'list', value: ['a', reference('b')] },
        ],
      },
    ],
  }
  const span = messages.decodeRequest(encode(batch)).resourceSpans[0]?.scopeSpans[0]?.spans[0]
  const stringValue = formatPayloadReference(reference(''))
  assert.deepEqual(span?.status, { message: 'it failed', code: 2 })
  assert.deepEqual(span?.attributes, [
    { key: 'prompt', value: { stringValue: 'Dear' } },
    { key: 'list', value: { arrayValue: { values: [{ stringValue: 'a' }, { stringValue: 'b' }] } } },
    { key: 'sidereal.payload.prompt', value: { stringValue } },
    { key: 'sidereal.payload.list.1', value: { stringValue } },
    { key: 'sidereal.payload.status_message', value: { stringValue } },
  ])
})

test("a span that the SDK can hold is encoded as the official serializer's bytes read", () => {
  const spanContext = {
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: 'b7ad6b7169203331',
    traceFlags: 1,
  }
  const parentSpanContext = { ...spanContext, spanId: '00f067aa0ba902b7', isRemote: true }
  const resource = resourceFromAttributes({ 'service.name': 'entry' }, { schemaUrl: 'https://example.org/1' })
  const official = ProtobufTraceSerializer.serializeRequest([
    {
      name: 'GET /请求',
      kind: 1,
      spanContext: () => spanContext,
      parentSpanContext,
      startTime: [1_790_000_000, 123_456_789],
      endTime: [1_790_000_001, 5],
      status: { code: 2, message: 'bad' },
      attributes: { s: 'text', i: 42, d: 1.5, b: false, list: ['x', 'y'] },
      links: [{ context: spanContext, attributes: { l: 1 }, droppedAttributesCount: 3 }],
      events: [
        { name: 'exception', time: [1_790_000_000, 200], attributes: { e: 'x' }, droppedAttributesCount: 1 },
      ],
      duration: [0, 0],
      ended: true,
      resource,
      instrumentationScope: { name: 'http', version: '1.2', schemaUrl: 'https://example.org/2' },
      droppedAttributesCount: 4,
      droppedEventsCount: 5,
      droppedLinksCount: 6,
    },
  ])
  const ours = encode({
    sid: 's',
    appId: '',
    uid: '',
    chatId: '',
    batchId: '0'.repeat(32),
    resource: {
      attributes: [{ key: 'service.name', value: 'entry' }],
      droppedAttributesCount: 0,
      schemaUrl: 'https://example.org/1',
      entityRefs: [],
    },
    scope: {
      name: 'http',
      version: '1.2',
      attributes: [],
      droppedAttributesCount: 0,
      schemaUrl: 'https://example.org/2',
    },
    spans: [
      {
        ...spanContext,
        parentSpanId: parentSpanContext.spanId,
        flags: 0x301,
        name: 'GET /请求',
        kind: 2,
        startTimeNs: 1_790_000_000_123_456_789n,
        endTimeNs: 1_790_000_001_000_000_005n,
        statusCode: 2,
        statusMessage: 'bad',
        traceState: '',
        attributes: [
          { key: 's', value: 'text' },
          { key: 'i', value: 42n },
          { key: 'd', value: 1.5 },
          { key: 'b', value: false },
          { key: 'list', value: ['x', 'y'] },
        ],
        droppedAttributesCount: 4,
        events: [
          {
            timeNs: 1_790_000_000_000_000_200n,
            name: 'exception',
            attributes: [{ key: 'e', value: 'x' }],
            droppedAttributesCount: 1,
          },
        ],
        droppedEventsCount: 5,
        links: [
          {
            ...spanContext,
            traceState: '',
            flags: 0x101,
            attributes: [{ key: 'l', value: 1n }],
            droppedAttributesCount: 3,
          },
        ],
        droppedLinksCount: 6,
      },
    ],
  })
  assert.ok(official !== undefined)
  assert.deepEqual(messages.decodeRequest(ours), messages.decodeRequest(official))
})
