import assert from 'node:assert/strict'
import type * as Http from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { after, before, beforeEach, test } from 'node:test'
import type * as Grpc from '@grpc/grpc-js'
import { context, propagation, ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api'
import { registerInstrumentations } from '@opentelemetry/instrumentation'
import { GrpcInstrumentation } from '@opentelemetry/instrumentation-grpc'
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici'
import type { ReadableSpan } from '@opentelemetry/sdk-trace'
import { recordSpans } from './recorded-spans.testing.ts'
import { Span } from './span.ts'
import { Trace } from './trace-context.ts'

/* Real servers on loopback, instrumented as a service's own are: http and gRPC by `require` after the instrumentation, which is what patches them. */

const REQUESTS = 1_000
let served = 0
const spans = recordSpans()
const unregister = registerInstrumentations({
  instrumentations: [new HttpInstrumentation(), new UndiciInstrumentation(), new GrpcInstrumentation()],
})
const require = createRequire(import.meta.url)
const http = require('node:http') as typeof Http
const grpc = require('@grpc/grpc-js') as typeof Grpc

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const sidsOf = (list: readonly object[]) => new Set(list.map((span) => spans.identityOf(span).sid))

/** A service of two steps: says which SID it sees, at once and after timers and promises. */
const server = http.createServer((request, response) => {
  const atStart = Trace.sid()
  void new Span().start('work', async () => {
    await pause(++served % 5)
    await Promise.all([
      new Span().start('left', () => pause(1)),
      new Span().start('right', async () => undefined),
    ])
    const atEnd = await new Promise((resolve) =>
      setImmediate(() => queueMicrotask(() => resolve(Trace.sid()))),
    )
    response.end(JSON.stringify({ atStart, atEnd, headers: request.headers }))
  })
})
const agent = new http.Agent({ keepAlive: true, maxSockets: 50 })
let url = ''
let grpcServer: Grpc.Server
let grpcClient: Grpc.Client

interface Answer {
  readonly atStart: string
  readonly atEnd: string
  readonly headers: Record<string, string>
}

const text = {
  serialize: (value: string) => Buffer.from(value),
  deserialize: (bytes: Buffer) => bytes.toString(),
}
const method = {
  path: '/test.Sid/Tell',
  requestStream: false,
  responseStream: false,
  requestSerialize: text.serialize,
  requestDeserialize: text.deserialize,
  responseSerialize: text.serialize,
  responseDeserialize: text.deserialize,
} as const

before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  grpcServer = new grpc.Server()
  grpcServer.addService(
    { tell: method },
    {
      tell: (call: Grpc.ServerUnaryCall<string, string>, callback: Grpc.sendUnaryData<string>) => {
        setTimeout(
          () =>
            callback(
              null,
              JSON.stringify({
                sid: Trace.sid(),
                byHand: Trace.sid(Trace.extractContext(call.metadata)),
              }),
            ),
          1,
        )
      },
    },
  )
  const port = await new Promise<number>((resolve, reject) =>
    grpcServer.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  )
  const Client = grpc.makeGenericClientConstructor({ tell: method }, 'test.Sid')
  grpcClient = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure())
})
beforeEach(() => {
  spans.ended.length = 0
})
after(() => {
  agent.destroy()
  server.closeAllConnections()
  server.close()
  grpcClient.close()
  grpcServer.forceShutdown()
  unregister()
  spans.close()
})

function get(target: string, headers: Record<string, string> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.get(target, { agent, headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => resolve(JSON.parse(Buffer.concat(chunks).toString()) as Answer))
    })
    request.on('error', reject)
  })
}

const calls: [string, () => Promise<Answer>][] = [
  ['http', () => get(url)],
  ['fetch', async () => (await (await fetch(url)).json()) as Answer],
  [
    'undici',
    async () => {
      const { request } = require('undici') as {
        request(url: string): Promise<{ body: { json(): Promise<unknown> } }>
      }
      return (await (await request(url)).body.json()) as Answer
    },
  ],
]

/** Server spans end with their response, a moment after the client has it. */
async function spansOf(count: number): Promise<void> {
  const deadline = Date.now() + 30_000
  while (spans.ended.length < count) {
    assert.ok(Date.now() < deadline, `${spans.ended.length} spans of ${count} ended`)
    await pause(5)
  }
  assert.equal(spans.ended.length, count)
}

/** Of the spans of one request. */
const PARENTS = [
  'CLIENT < entry',
  'SERVER < CLIENT',
  'entry < nothing',
  'left < work',
  'right < work',
  'work < SERVER',
]

/** Each span and its parent, which has to be among them. */
function parentsAmong(members: readonly ReadableSpan[]): string[] {
  const byId = new Map(members.map((span) => [span.spanContext().spanId, span]))
  const label = ({ name, kind }: ReadableSpan) => (kind === SpanKind.INTERNAL ? name : SpanKind[kind])
  const parents = members.map((span) => {
    const parent = byId.get(span.parentSpanContext?.spanId ?? '')
    return `${label(span)} < ${parent === undefined ? 'nothing' : label(parent)}`
  })
  return parents.sort()
}

for (const [name, call] of calls) {
  test(`a request through ${name} keeps its SID, and each span has the right parent`, async () => {
    const { sid, answer } = await new Span({ appId: 'app' }).start('entry', async (span) => ({
      answer: await call(),
      sid: span.sid,
    }))
    assert.deepEqual([answer.atStart, answer.atEnd], [sid, sid])
    assert.match(String(answer.headers['baggage']), /app_id=app/)
    await spansOf(6)
    assert.deepEqual(sidsOf(spans.ended), new Set([sid]))
    assert.deepEqual(parentsAmong(spans.ended), PARENTS)
    for (const span of spans.ended) assert.equal(spans.identityOf(span).appId, 'app')
  })
}

test('a call through gRPC metadata keeps the SID, instrumented and by hand', async () => {
  const call = (metadata: Grpc.Metadata) =>
    new Promise<{ sid: string; byHand: string }>((resolve, reject) =>
      (grpcClient as unknown as Record<string, (...args: unknown[]) => void>)['tell']!(
        'x',
        metadata,
        (error: Error | null, value: string) => (error === null ? resolve(JSON.parse(value)) : reject(error)),
      ),
    )
  await new Span().start('entry', async (span) => {
    const carrier = Trace.injectContext(new grpc.Metadata())
    assert.deepEqual(await call(carrier), { sid: span.sid, byHand: span.sid })
    assert.equal((await call(new grpc.Metadata())).sid, span.sid)
  })
  assert.equal(sidsOf(spans.ended).size, 1)
  assert.ok(spans.ended.some(({ kind }) => kind === SpanKind.SERVER))
})

test('Kafka headers keep the SID: bytes, as a consumer gets them', () => {
  new Span({ uid: 'user' }).start('produce', (producer) => {
    const sent = Trace.injectContext()
    const received = Object.fromEntries(Object.entries(sent).map(([key, value]) => [key, Buffer.from(value)]))
    context.with(ROOT_CONTEXT, () =>
      new Span().start('consume', { traceContext: received }, (consumer) => {
        assert.deepEqual([consumer.sid, consumer.uid], [producer.sid, 'user'])
        assert.equal(
          consumer.getOtlpSpan().spanContext().traceId,
          producer.getOtlpSpan().spanContext().traceId,
        )
      }),
    )
  })
  assert.equal(spans.named('consume').parentSpanContext?.spanId, spans.named('produce').spanContext().spanId)
})

test(`${REQUESTS} interleaved requests never mix, and keep their parents, through http, timers and promises`, async () => {
  const answers = await Promise.all(
    Array.from({ length: REQUESTS }, (_, i) =>
      new Span({ uid: `user-${i}` }).start('entry', async (span) => ({
        sid: span.sid,
        answer: await get(url),
      })),
    ),
  )
  await spansOf(REQUESTS * 6)
  assert.equal(new Set(answers.map(({ sid }) => sid)).size, REQUESTS)
  for (const { sid, answer } of answers) assert.deepEqual([answer.atStart, answer.atEnd], [sid, sid])
  const members = Map.groupBy(spans.ended, (span) => spans.identityOf(span).sid)
  assert.equal(members.size, REQUESTS)
  for (const [i, { sid }] of answers.entries()) {
    const own = members.get(sid) ?? []
    assert.equal(own.length, 6)
    assert.equal(new Set(own.map((span) => span.spanContext().traceId)).size, 1)
    assert.deepEqual(parentsAmong(own), PARENTS)
    for (const span of own) assert.equal(spans.identityOf(span).uid, `user-${i}`)
  }
})

test('the server span that exists before any code has a SID, and takes one that comes late, in a header or a body, with all before it', async () => {
  await context.with(ROOT_CONTEXT, () => get(url))
  await spansOf(5)
  assert.equal(sidsOf(spans.ended.filter(({ kind }) => kind === SpanKind.SERVER)).size, 1)
  assert.equal(sidsOf(spans.ended).size, 1)

  spans.ended.length = 0
  const late = http.createServer((request, response) => {
    new Span().start('before', () => undefined)
    request.on('data', (chunk: Buffer) => {
      const { header } = JSON.parse(chunk.toString()) as { header: { sid: string } }
      Trace.setIdentity({ sid: header.sid })
      new Span().start('after', () => undefined)
      response.end()
    })
  })
  await new Promise<void>((resolve) => late.listen(0, '127.0.0.1', resolve))
  const { port } = late.address() as AddressInfo
  await new Promise<void>((resolve, reject) => {
    const request = http.request({ port, host: '127.0.0.1', method: 'POST' }, (response) => {
      response.resume().on('end', resolve)
    })
    request.on('error', reject)
    request.end(JSON.stringify({ header: { sid: 'sid-of-the-body' } }))
  })
  await spansOf(4)
  late.close()
  const own = spans.ended.filter(({ kind }) => kind !== SpanKind.CLIENT)
  assert.equal(own.length, 3)
  assert.deepEqual(sidsOf(own), new Set(['sid-of-the-body']))
})

test('a caller through a proxy of the public names no SID, and another vendor’s baggage is carried on as it is', async () => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const baggage = 'sid=evil,app_id=evil,vendor.session=1'
  const ask = (more: Record<string, string>) =>
    context.with(
      ROOT_CONTEXT,
      () =>
        new Promise<Answer>((resolve, reject) => {
          // Not instrumented: as from a client that is not ours.
          context.with(suppressed(), () => get(url, { traceparent, baggage, ...more }).then(resolve, reject))
        }),
    )
  assert.equal((await ask({})).atEnd, 'evil')
  const proxied = await ask({ 'x-forwarded-for': '203.0.113.7' })
  assert.match(proxied.atEnd, /^sid-\d+$/)
  assert.equal(proxied.headers['baggage'], baggage)
})

function suppressed() {
  const { suppressTracing } = require('@opentelemetry/core') as typeof import('@opentelemetry/core')
  return suppressTracing(ROOT_CONTEXT)
}

test('a service without app_id sends no empty one, and its neighbours keep theirs', () => {
  new Span().start('nobody', () => assert.match(Trace.injectContext()['baggage']!, /^sid=[^,]+$/))
  const parent = propagation.extract(ROOT_CONTEXT, {
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  })
  const span = trace.getTracer('x').startSpan('server', {}, parent)
  assert.equal(spans.identityOf(span).appId, '')
})
