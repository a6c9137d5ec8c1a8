import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, trace } from '@opentelemetry/api'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { type ReadableSpan, TracerProvider } from '@opentelemetry/sdk-trace'
import { bundledSchema } from '../codec/bundled-schemas.ts'
import { compileRecordType } from '../codec/record-type.ts'
import { RecordWriter } from '../codec/record-writer.ts'
import { BODY_START } from '../codec/wire.ts'
import type { NodeTraceLog as NodeTraceLogRecord } from '../model/node-trace-log.ts'
import { PayloadReference } from '../model/payload-reference.ts'
import type { SpanBatch } from '../model/span.ts'
import type { EncodedRecord } from './encoded-record.ts'
import { boxOfSpan } from './identity.ts'
import { KafkaSpanExporter, type KafkaSpanExporterOptions } from './kafka-span-exporter.ts'
import { NodeTraceLog } from './node-trace-log.ts'
import { RecordEncoder, type RecordEncoderOptions } from './record-encoder.ts'
import { SidSpanProcessor } from './sid-span-processor.ts'
import { Span } from './span.ts'
import { Trace } from './trace-context.ts'

const schemas = {
  spans: compileRecordType(bundledSchema('sidereal.SpanBatch').json, 1, { payloadLimitBytes: 5120 }),
  log: compileRecordType(bundledSchema('sidereal.NodeTraceLog').json, 1, { payloadLimitBytes: 5120 }),
}

/** A service of one process with its queue laid open: what is in it, decoded. */
function service(
  options: Partial<RecordEncoderOptions> = {},
  exporting: Partial<KafkaSpanExporterOptions> = {},
) {
  const records: EncodedRecord[] = []
  const dropped: Record<string, number> = {}
  const queue = {
    accept: () => undefined,
    add: (record: EncodedRecord) => void records.push(record),
    drop: (_kind: string, items: number, reason: string) => {
      dropped[reason] = (dropped[reason] ?? 0) + items
    },
    drained: async () => true,
  }
  const encoder = new RecordEncoder({ writer: new RecordWriter(), queue, ...options })
  const exporter = new KafkaSpanExporter({
    ...{ encoder, queue, lingerMs: 60_000, maxPendingSpans: 1_000_000 },
    ...exporting,
  })
  let sids = 0
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'svc', n: 1 }),
    spanProcessors: [new SidSpanProcessor({ newSid: () => `sid-${++sids}`, endedSpans: exporter })],
  })
  const decode = ({ kind, framed }: EncodedRecord) => schemas[kind].decode(framed, BODY_START, framed.length)
  return {
    encoder,
    exporter,
    provider,
    dropped,
    records,
    tracer: provider.getTracer('scope', '1.2', { schemaUrl: 'https://schema' }),
    batches(): SpanBatch[] {
      exporter.encodePending()
      return records.filter(({ kind }) => kind === 'spans').map((record) => decode(record) as SpanBatch)
    },
    logs: () =>
      records.filter(({ kind }) => kind === 'log').map((record) => decode(record) as NodeTraceLogRecord),
  }
}

test('a span arrives with everything that OpenTelemetry’s own exporter would send', () => {
  const { tracer, batches } = service()
  const remote = {
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: 'b7ad6b7169203331',
    traceFlags: TraceFlags.SAMPLED,
    isRemote: true,
  }
  const parent = trace.setSpan(ROOT_CONTEXT, trace.wrapSpanContext(remote))
  const span = tracer.startSpan(
    'GET /',
    { kind: SpanKind.SERVER, startTime: [1_759_000_000, 123_456_789], links: [{ context: remote }] },
    parent,
  )
  span.setAttributes({ text: 'ü', int: 5, double: 0.5, yes: true, list: ['a', 'b'], empty: [] })
  span.addEvent('ERROR', { 'ERROR LOG': 'x' }, [1_759_000_000, 200_000_000])
  span.setStatus({ code: SpanStatusCode.ERROR, message: 'no' })
  span.end([1_759_000_001, 1])
  const [batch] = batches()
  assert.ok(batch !== undefined)
  assert.deepEqual(
    [batch.sid, batch.appId, batch.scope.name, batch.scope.version, batch.scope.schemaUrl],
    [remote.traceId, '', 'scope', '1.2', 'https://schema'],
  )
  assert.deepEqual(batch.resource.attributes, [
    { key: 'service.name', value: 'svc' },
    { key: 'n', value: 1n },
  ])
  assert.deepEqual(batch.spans, [
    {
      traceId: remote.traceId,
      spanId: span.spanContext().spanId,
      parentSpanId: remote.spanId,
      flags: 0x301,
      name: 'GET /',
      kind: 2,
      startTimeNs: 1_759_000_000_123_456_789n,
      endTimeNs: 1_759_000_001_000_000_001n,
      statusCode: 2,
      statusMessage: 'no',
      traceState: '',
      attributes: [
        { key: 'text', value: 'ü' },
        { key: 'int', value: 5n },
        { key: 'double', value: 0.5 },
        { key: 'yes', value: true },
        { key: 'list', value: ['a', 'b'] },
        { key: 'empty', value: [] },
      ],
      droppedAttributesCount: 0,
      events: [
        {
          timeNs: 1_759_000_000_200_000_000n,
          name: 'ERROR',
          attributes: [{ key: 'ERROR LOG', value: 'x' }],
          droppedAttributesCount: 0,
        },
      ],
      droppedEventsCount: 0,
      links: [
        {
          traceId: remote.traceId,
          spanId: remote.spanId,
          traceState: '',
          attributes: [],
          droppedAttributesCount: 0,
          flags: 0x301,
        },
      ],
      droppedLinksCount: 0,
    },
  ])
})

test('spans of one request, scope and identity share a record; its identity is the one known when it is made', () => {
  const { tracer, provider, batches, records } = service()
  const other = provider.getTracer('other')
  for (let request = 0; request < 3; request++) {
    const root = tracer.startSpan('root', {}, ROOT_CONTEXT)
    const inRoot = trace.setSpan(ROOT_CONTEXT, root)
    tracer.startSpan('child', {}, inRoot).end()
    other.startSpan('foreign', {}, inRoot).end()
    if (request === 2) boxOfSpan(root)?.override({ appId: 'late-app' })
    root.end()
  }
  const found = batches().map(
    ({ sid, appId, scope, spans }) => `${sid} ${appId} ${scope.name} ${spans.map(({ name }) => name)}`,
  )
  assert.deepEqual(found.sort(), [
    'sid-1  other foreign',
    'sid-1  scope child,root',
    'sid-2  other foreign',
    'sid-2  scope child,root',
    'sid-3 late-app other foreign',
    'sid-3 late-app scope child,root',
  ])
  assert.equal(new Set(batches().map(({ batchId }) => batchId)).size, records.length)
  assert.ok(records.every(({ sid }, i) => sid === batches()[i]!.sid))
})

test('under load a SID that comes late holds for what was not sent yet: what others’ spans pushed out keeps the first one, in the same trace', async () => {
  const { tracer, batches, provider } = service({}, { maxPendingSpans: 10 })
  const root = tracer.startSpan('root', {}, ROOT_CONTEXT)
  const inRoot = trace.setSpan(ROOT_CONTEXT, root)
  tracer.startSpan('pushed out', {}, inRoot).end()
  for (let i = 0; i < 9; i++) provider.getTracer('load').startSpan('other', {}, ROOT_CONTEXT).end()
  await new Promise(setImmediate)
  tracer.startSpan('waits', {}, inRoot).end()
  boxOfSpan(root)?.override({ sid: 'late' })
  root.end()
  const own = batches().flatMap(({ sid, spans }) =>
    spans.map(({ name, traceId }) => ({ sid, name, traceId })),
  )
  const sidOf = (name: string) => own.filter((span) => span.name === name).map(({ sid }) => sid)
  assert.deepEqual([sidOf('pushed out'), sidOf('waits'), sidOf('root')], [['sid-1'], ['late'], ['late']])
  const traceIds = own.filter(({ name }) => name !== 'other').map(({ traceId }) => String(traceId))
  assert.equal(new Set(traceIds).size, 1)
})

test('a span that no SidSpanProcessor saw goes by its attributes, else by its trace id', () => {
  const { exporter, batches } = service()
  const { ended, tracer: plain } = plainTracer()
  plain.startSpan('a', { attributes: { sid: 'own', app_id: 'app' } }, ROOT_CONTEXT).end()
  plain.startSpan('b', { attributes: { sid: '' } }, ROOT_CONTEXT).end()
  exporter.export(ended, ({ code }) => assert.equal(code, 0))
  const [first, second] = batches()
  assert.deepEqual([first?.sid, first?.appId], ['own', 'app'])
  assert.equal(second?.sid, second?.spans[0]?.traceId)
})

test('a flush is split into records under the limit, each with its own id, and no span is lost', () => {
  const { tracer, batches, records } = service({ maxBatchBytes: 10_000 })
  const root = tracer.startSpan('root', {}, ROOT_CONTEXT)
  for (let i = 0; i < 200; i++)
    tracer
      .startSpan(`s${i}`, { attributes: { text: '你'.repeat(i * 3) } }, trace.setSpan(ROOT_CONTEXT, root))
      .end()
  const spans = batches().flatMap((batch) => batch.spans)
  assert.deepEqual(
    spans.map(({ name }) => name),
    Array.from({ length: 200 }, (_, i) => `s${i}`),
  )
  assert.ok(records.length > 10)
  assert.ok(records.every(({ framed }) => framed.length <= 10_000))
})

test('a record of one span over the limit has its largest values cut, and says how large they were', () => {
  const { tracer, batches, encoder, dropped } = service({ maxRecordBytes: 20_000 })
  const big = '大'.repeat(10_000)
  const span = tracer.startSpan(
    'big',
    { attributes: { small: 'keep', big, middle: 'm'.repeat(5_000) } },
    ROOT_CONTEXT,
  )
  span.end()
  const value = batches()[0]?.spans[0]?.attributes
  assert.deepEqual([value?.[0]?.value, value?.[2]?.value], ['keep', 'm'.repeat(5_000)])
  const cut = value?.[1]?.value
  assert.ok(cut instanceof PayloadReference)
  assert.deepEqual(
    [cut.key, cut.size, cut.sha256],
    [null, 30_000, createHash('sha256').update(big).digest('hex')],
  )
  assert.ok(big.startsWith(cut.preview) && cut.preview.length > 10)
  assert.equal(encoder.cutValues, 1)
  assert.deepEqual(dropped, {})
})

test('a log over the limit is cut likewise; what cannot be made small enough is dropped by itself', () => {
  const { encoder, logs, dropped, records } = service({ maxRecordBytes: 20_000 })
  const identity = { sid: 's', appId: '', uid: '', chatId: '' }
  const log = new NodeTraceLog({ question: 'q', sid: 's' })
  log.addAnswer('a'.repeat(50_000))
  encoder.addLog(log.toRecord(identity))
  assert.ok(logs()[0]?.answer instanceof PayloadReference)
  assert.equal(logs()[0]?.question, 'q')
  for (let i = 0; i < 3_000; i++) log.addSrv(`key-${i}`, i)
  encoder.addLog(log.toRecord(identity))
  assert.deepEqual(dropped, { too_large: 1 })
  assert.equal(records.length, 1)
})

test('a span that the schema cannot hold does not take its neighbours with it', () => {
  const { tracer, exporter, batches, dropped } = service()
  const root = tracer.startSpan('root', {}, ROOT_CONTEXT)
  const spans = ['a', 'bad', 'c'].map(
    (name) => tracer.startSpan(name, {}, trace.setSpan(ROOT_CONTEXT, root)) as unknown as ReadableSpan,
  )
  // No whole number, as the schema wants it.
  Object.defineProperty(spans[1], 'droppedEventsCount', { value: 0.5 })
  exporter.export(spans, () => undefined)
  assert.deepEqual(
    batches().flatMap((batch) => batch.spans.map(({ name }) => name)),
    ['a', 'c'],
  )
  assert.deepEqual(dropped, { invalid: 1 })
})

test('names that are no text, as callers without types give them, become text', () => {
  const { tracer, batches, dropped } = service()
  const span = tracer.startSpan('first', {}, ROOT_CONTEXT)
  span.updateName(5 as never)
  span.addEvent(undefined as never)
  span.end()
  const [found] = batches().flatMap((batch) => batch.spans)
  assert.deepEqual([found?.name, found?.events.map(({ name }) => name)], ['5', ['']])
  assert.deepEqual(dropped, {})
})

test('an event whose time is none costs neither itself nor its span', () => {
  const { tracer, batches, dropped } = service()
  const span = tracer.startSpan('created', {}, ROOT_CONTEXT)
  span.addEvent('when?', {}, new Date('no date'))
  span.end()
  const [found] = batches().flatMap((batch) => batch.spans)
  assert.deepEqual(
    found?.events.map(({ name, timeNs }) => [name, timeNs]),
    [['when?', 0n]],
  )
  assert.deepEqual(dropped, {})
})

test('a span with fields of another type than OpenTelemetry’s never throws at the service, and leaves no bytes among its neighbours', () => {
  const { tracer, exporter, batches, dropped } = service()
  const root = tracer.startSpan('root', {}, ROOT_CONTEXT)
  const spans = ['a', 'bad', 'c'].map(
    (name) => tracer.startSpan(name, {}, trace.setSpan(ROOT_CONTEXT, root)) as unknown as ReadableSpan,
  )
  const traceState = { serialize: () => 7 }
  Object.defineProperty(spans[1], 'spanContext', {
    value: () => ({ ...spans[0]!.spanContext(), traceState }),
  })
  exporter.export(spans, () => undefined)
  assert.deepEqual(
    batches().flatMap((batch) => batch.spans.map(({ name }) => name)),
    ['a', 'c'],
  )
  assert.deepEqual(dropped, { invalid: 1 })
})

test('spans wait as bytes, and no more of them than a record holds: then they become records, whatever the linger time', async () => {
  const { tracer, records } = service()
  const text = 'x'.repeat(100_000)
  for (let i = 0; i < 9; i++) tracer.startSpan('large', { attributes: { text } }, ROOT_CONTEXT).end()
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(records.length, 0)
  for (let i = 0; i < 2; i++) tracer.startSpan('large', { attributes: { text } }, ROOT_CONTEXT).end()
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(records.length, 11)
})

test('a span over the size of a record does not change the records of its request', () => {
  const { tracer, batches, dropped } = service({ maxBatchBytes: 10_000 })
  const root = tracer.startSpan('root', {}, ROOT_CONTEXT)
  const inRoot = trace.setSpan(ROOT_CONTEXT, root)
  tracer.startSpan('a', {}, inRoot).end()
  for (const name of ['large 1', 'large 2'])
    tracer.startSpan(name, { attributes: { text: 'x'.repeat(20_000) } }, inRoot).end()
  tracer.startSpan('b', {}, inRoot).end()
  root.end()
  const found = batches().map(({ sid, spans }) => `${sid} ${spans.map(({ name }) => name)}`)
  assert.deepEqual(found.sort(), ['sid-1 a,b,root', 'sid-1 large 1', 'sid-1 large 2'])
  assert.deepEqual(dropped, {})
})

test('a span of an SDK before 2.0, without resource or scope as they are now, is dropped by itself, and what comes later goes on', () => {
  const { exporter, tracer, dropped, batches } = service()
  tracer.startSpan('before', {}, ROOT_CONTEXT).end()
  const { ended, tracer: plain } = plainTracer()
  plain.startSpan('foreign', {}, ROOT_CONTEXT).end()
  for (const field of ['instrumentationScope', 'resource'])
    exporter.add(Object.create(ended[0]!, { [field]: { value: undefined } }) as ReadableSpan)
  tracer.startSpan('after', {}, ROOT_CONTEXT).end()
  const names = batches().flatMap(({ spans }) => spans.map(({ name }) => name))
  assert.deepEqual([names.sort(), dropped], [['after', 'before'], { invalid: 2 }])
})

/** A tracer that no SidSpanProcessor belongs to, and what it has ended. */
function plainTracer() {
  const ended: ReadableSpan[] = []
  const provider = new TracerProvider({
    spanProcessors: [
      {
        onStart: () => undefined,
        onEnd: (span) => void ended.push(span),
        forceFlush: async () => undefined,
        shutdown: async () => undefined,
      },
    ],
  })
  return { ended, tracer: provider.getTracer('plain') }
}

test('the attribute sid of a span that no SidSpanProcessor saw counts also when somebody has asked for its identity', () => {
  const { exporter, batches } = service()
  const tracer = new TracerProvider().getTracer('x')
  const attributes = { sid: 'attribute', app_id: 'app' }
  const span = tracer.startSpan('asked', { attributes }, ROOT_CONTEXT)
  const active = trace.setSpan(ROOT_CONTEXT, span)
  assert.equal(Trace.sid(active), 'attribute')
  const child = new Span({ tracer }).start('child', { traceContext: Trace.injectContext({}, active) })
  assert.equal(child.sid, 'attribute')
  child.end()
  span.end()
  for (const ended of [span, child.getOtlpSpan()]) exporter.add(ended as unknown as ReadableSpan)
  assert.deepEqual(
    batches().map(({ sid, appId }) => [sid, appId]),
    [['attribute', 'app']],
  )
})

test('an event whose time no 64 bits of nanoseconds hold costs neither itself nor its span', () => {
  const { tracer, batches, dropped } = service()
  const span = tracer.startSpan('far', {}, ROOT_CONTEXT)
  span.addEvent('far', {}, 1e25)
  span.addEvent('near', {}, [9_223_372_000, 0])
  span.end()
  const [batch] = batches()
  const [far, near] = batch?.spans[0]?.events ?? []
  // None, as the worker sees it: not later than the first second of 1970.
  assert.ok(far !== undefined && far.timeNs < 1_000_000_000n)
  assert.equal(near?.timeNs, 9_223_372_000_000_000_000n)
  assert.deepEqual(dropped, {})
})
