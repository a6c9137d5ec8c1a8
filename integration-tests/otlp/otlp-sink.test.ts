import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { Server, ServerCredentials, type sendUnaryData, status } from '@grpc/grpc-js'
import fc from 'fast-check'
import { anySpanBatch } from '../../src/codec/arbitraries.testing.ts'
import type { ReceivedRequest } from '../../src/codec/otlp-trace-messages.ts'
import {
  type OtlpAnswer,
  OtlpReceiver,
  type OtlpReceiverOptions,
  TRACE_SERVICE,
} from '../../src/local/otlp-receiver.ts'
import { isSiderealError } from '../../src/model/errors.ts'
import type { Fragment } from '../../src/model/fragment.ts'
import type { SpanBatch } from '../../src/model/span.ts'
import { testSinkContract } from '../../src/sinks/contract.testing.ts'
import {
  testBatch,
  testFragment,
  testLog,
  testNode,
  testRecord,
  testSpan,
  testSpanId,
  testTraceId,
} from '../../src/sinks/fragments.testing.ts'
import { expectedRequest, withoutReferences } from '../../src/sinks/otlp/expected-request.testing.ts'
import { OtlpSink, type OtlpSinkOptions } from '../../src/sinks/otlp/otlp-sink.ts'
import { SilentServer } from '../support/silent-server.ts'

const signal = new AbortController().signal
const REFUSED = 'refused-by-the-receiver'

/** Every span that one receiver took, with the SID that it carries. */
class Collected {
  readonly spans: { sid: string; traceId: string; spanId: string; name: string }[] = []
  readonly requests: ReceivedRequest[] = []
  receiver: OtlpReceiver
  answer: (request: ReceivedRequest, metadata: Readonly<Record<string, unknown>>) => OtlpAnswer = () =>
    undefined

  constructor(options: OtlpReceiverOptions = {}) {
    this.receiver = this.#create(options)
  }

  async restart(): Promise<void> {
    this.receiver = this.#create({ port: this.receiver.port })
    await this.receiver.start()
  }

  #create(options: OtlpReceiverOptions): OtlpReceiver {
    return new OtlpReceiver({
      ...options,
      onRequest: (request, metadata) => {
        const answer = this.answer(request, metadata)
        if (answer !== undefined && 'code' in answer) return answer
        if (spansOf(request).length > 0) this.requests.push(request)
        for (const { traceId, spanId, name, attributes } of spansOf(request)) {
          const sid = attributes.find(({ key }) => key === 'sid')?.value?.stringValue ?? ''
          this.spans.push({ sid, traceId: traceId.toString('hex'), spanId: spanId.toString('hex'), name })
        }
        return answer
      },
    })
  }
}

function spansOf(request: ReceivedRequest) {
  return request.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans))
}

const isLogSpan = (name: string): boolean => name === 'Start' || name.startsWith('workflow')

const contract = new Collected()
contract.answer = (request) =>
  spansOf(request).some((span) => span.name === REFUSED)
    ? { code: status.INVALID_ARGUMENT, details: 'a span name is forbidden here' }
    : undefined
before(() => contract.receiver.start())
after(() => contract.receiver.close())

testSinkContract('OTLP over gRPC', {
  deduplicates: false,
  refusedName: REFUSED,
  outage: { begin: () => contract.receiver.close(), end: () => contract.restart() },
  async open() {
    const sink = new OtlpSink({ url: contract.receiver.url, timeoutMs: 2_000 })
    await sink.start()
    return sink
  },
  readSpans: async (sid) => contract.spans.filter((span) => span.sid === sid && !isLogSpan(span.name)),
})

/** Runs `use` with a receiver and a sink of its own. */
async function withSink(
  changes: Partial<OtlpSinkOptions>,
  use: (sink: OtlpSink, collected: Collected) => Promise<void>,
): Promise<void> {
  const collected = new Collected()
  await collected.receiver.start()
  const sink = new OtlpSink({ url: collected.receiver.url, ...changes })
  try {
    await use(sink, collected)
  } finally {
    await sink.close()
    await collected.receiver.close()
  }
}

function manySpans(count: number, attributeBytes = 10): SpanBatch {
  const attributes = [{ key: 'x', value: 'v'.repeat(attributeBytes) }]
  const spans = Array.from({ length: count }, (_, place) =>
    testSpan({ spanId: testSpanId(place + 1), attributes }),
  )
  return testBatch({ spans })
}

const fragmentOf = (...batches: SpanBatch[]): Fragment =>
  testFragment(batches.map((batch, offset) => testRecord(batch, { offset })))

test('any span batch arrives over gRPC field for field, its identity beside it', async () => {
  await withSink({ compression: 'gzip' }, async (sink, collected) => {
    await sink.start()
    await fc.assert(
      fc.asyncProperty(anySpanBatch.map(withoutReferences), async (batch) => {
        collected.requests.length = 0
        await sink.write([fragmentOf(batch)], signal)
        const identity = Object.entries({
          sid: batch.sid,
          app_id: batch.appId,
          uid: batch.uid,
          chat_id: batch.chatId,
        })
        const expected = {
          ...batch,
          spans: batch.spans.map((span) => ({
            ...span,
            attributes: [
              ...span.attributes,
              ...identity
                .filter(
                  ([key, value]) =>
                    value !== '' && !span.attributes.some((attribute) => attribute.key === key),
                )
                .map(([key, value]) => ({ key: key ?? '', value: value ?? '' })),
            ],
          })),
        }
        assert.deepEqual(collected.requests, batch.spans.length === 0 ? [] : [expectedRequest(expected)])
      }),
      { numRuns: 50 },
    )
  })
})

test('a NodeTraceLog arrives as spans', async () => {
  await withSink({}, async (sink, collected) => {
    await sink.write([testFragment([testRecord(testLog({ trace: [testNode(), testNode()] }))])], signal)
    assert.deepEqual(
      collected.receiver.spans.map(({ traceId, name, serviceName }) => [traceId, name, serviceName]),
      [
        [testTraceId(1), 'workflow flow-1', 'workflow'],
        [testTraceId(1), 'Start', 'workflow'],
        [testTraceId(1), 'Start', 'workflow'],
      ],
    )
  })
})

test('requests stay below 4 MiB and 1,000 spans, and every span comes once', async () => {
  await withSink({}, async (sink, collected) => {
    const fragments = [
      fragmentOf(manySpans(2_500)),
      fragmentOf(manySpans(300), manySpans(600), manySpans(400)),
      fragmentOf(manySpans(40, 200_000)),
    ]
    assert.deepEqual(await sink.write(fragments, signal), { refused: [] })
    assert.equal(collected.spans.length, 2_500 + 1_300 + 40)
    const counts = collected.requests.map((request) => spansOf(request).length)
    assert.ok(Math.max(...counts) <= 1_000, String(counts))
    assert.ok(counts.length <= 9, `few requests: ${counts}`)
  })
})

test('one span that is over the limit of the receiver is refused alone', async () => {
  await withSink({}, async (sink, collected) => {
    const fragment = fragmentOf(manySpans(3), manySpans(1, 5_000_000), manySpans(2))
    const { refused } = await sink.write([fragment], signal)
    assert.deepEqual(
      refused.map(({ record }) => record),
      [fragment.records[1]],
    )
    assert.match(refused[0]?.reason ?? '', /larger than the maximum/)
    assert.equal(collected.spans.length, 5)
  })
})

test('a partial success is counted and not sent again', async () => {
  const rejected: number[] = []
  const exported: number[] = []
  const observer = {
    rejected: (spans: number) => rejected.push(spans),
    exported: (spans: number) => exported.push(spans),
  }
  await withSink({ observer }, async (sink, collected) => {
    collected.answer = () => ({ rejectedSpans: 2, message: 'too old' })
    assert.deepEqual(await sink.write([fragmentOf(manySpans(5))], signal), { refused: [] })
    assert.deepEqual([rejected, exported, collected.requests.length], [[2], [5], 1])
  })
})

test('headers go with each call', async () => {
  await withSink({ headers: { authorization: 'Bearer abc', 'X-Tenant': 'one' } }, async (sink, collected) => {
    const seen: unknown[] = []
    collected.answer = (_, metadata) => {
      seen.push([metadata['authorization'], metadata['x-tenant']])
      return undefined
    }
    await sink.start()
    await sink.write([fragmentOf(manySpans(1))], signal)
    assert.deepEqual(seen, [
      ['Bearer abc', 'one'],
      ['Bearer abc', 'one'],
    ])
  })
})

test('a receiver that takes connections and never answers is not sent another one for each call', async () => {
  using silent = await SilentServer.start()
  const sink = new OtlpSink({ url: silent.url, timeoutMs: 200 })
  try {
    for (let call = 0; call < 4; call++) {
      await assert.rejects(sink.write([fragmentOf(manySpans(1))], signal), (error) => {
        assert.ok(isSiderealError(error, 'SIDEREAL_OTLP_FAILED'))
        return error.retryable
      })
    }
    assert.equal(silent.connections, 1)
  } finally {
    await sink.close()
  }
})

test('an answer that is none of OTLP is told, and its spans count as taken', async () => {
  const server = new Server()
  server.addService(TRACE_SERVICE, {
    Export: (_call: unknown, answer: sendUnaryData<Buffer>) => answer(null, Buffer.from([0x0a, 0x7f])),
  })
  const bind = promisify(server.bindAsync.bind(server))
  const port = await bind('127.0.0.1:0', ServerCredentials.createInsecure())
  let unreadable = 0
  const exported: number[] = []
  const sink = new OtlpSink({
    url: `http://127.0.0.1:${port}`,
    observer: { unreadableAnswer: () => unreadable++, exported: (spans) => exported.push(spans) },
  })
  try {
    const { refused } = await sink.write([fragmentOf(manySpans(3))], signal)
    assert.deepEqual([refused, unreadable, exported], [[], 1, [3]])
  } finally {
    await sink.close()
    server.forceShutdown()
  }
})

test('errors of state reject the write: retryable when they may pass, with the next step and without secrets when not', async () => {
  await withSink({ headers: { authorization: 'Bearer hidden' } }, async (sink, collected) => {
    for (const [code, isRetryable, hint] of [
      [status.UNAVAILABLE, true, /receiver runs/],
      [status.RESOURCE_EXHAUSTED, true, /RESOURCE_EXHAUSTED/],
      [status.DEADLINE_EXCEEDED, true, /./],
      [status.UNAUTHENTICATED, false, /headers/],
      [status.PERMISSION_DENIED, false, /headers/],
      [status.INTERNAL, false, /log of the receiver/],
    ] as const) {
      collected.answer = () => ({ code, details: 'the queue is full' })
      await assert.rejects(sink.write([fragmentOf(manySpans(1))], signal), (error) => {
        assert.ok(isSiderealError(error, 'SIDEREAL_OTLP_FAILED'), String(error))
        assert.equal(error.retryable, isRetryable, `status ${code}`)
        assert.match(error.message, hint)
        assert.doesNotMatch(error.message, /hidden|queue is full/)
        return true
      })
    }
    collected.answer = () => undefined
    assert.deepEqual(await sink.write([fragmentOf(manySpans(1))], signal), { refused: [] })
  })
})

test('start says that nobody is there, or that the other end does not speak OTLP', async () => {
  const nobody = new OtlpSink({ url: 'http://user:hidden@127.0.0.1:1', timeoutMs: 1_000 })
  await assert.rejects(nobody.start(), (error) => {
    assert.ok(isSiderealError(error, 'SIDEREAL_OTLP_FAILED') && error.retryable)
    assert.match(error.message, /http:\/\/127\.0\.0\.1:1 /)
    assert.ok(!error.message.includes('hidden'))
    return true
  })
  await nobody.close()
  await withSink({}, async (sink, collected) => {
    collected.answer = () => ({ code: status.UNIMPLEMENTED, details: 'unknown service' })
    await assert.rejects(
      sink.start(),
      (error) => isSiderealError(error) && !error.retryable && /4317/.test(error.message),
    )
  })
  assert.throws(
    () => new OtlpSink({ url: 'collector' }),
    (error) => isSiderealError(error, 'SIDEREAL_CONFIG_INVALID'),
  )
})

test('a receiver that never answers fails the write after its time, retryable, and an abort ends the wait at once', async () => {
  let open: (() => void)[] = []
  const receiver = new OtlpReceiver({
    onRequest: () => new Promise((resolve) => open.push(() => resolve(undefined))),
  })
  await receiver.start()
  const hasty = new OtlpSink({ url: receiver.url, timeoutMs: 200 })
  const patient = new OtlpSink({ url: receiver.url, timeoutMs: 60_000 })
  try {
    const isRetryable = (error: unknown): boolean =>
      isSiderealError(error, 'SIDEREAL_OTLP_FAILED') && error.retryable
    await assert.rejects(hasty.write([fragmentOf(manySpans(1))], signal), isRetryable)
    const controller = new AbortController()
    const written = patient.write([fragmentOf(manySpans(1))], controller.signal)
    controller.abort(new Error('partition lost'))
    await assert.rejects(written, isRetryable)
  } finally {
    for (const answer of open) answer()
    open = []
    await receiver.close()
    await Promise.all([hasty.close(), patient.close()])
  }
})

test('an abort ends a write that waits for its turn behind calls that are never answered', async () => {
  const open: (() => void)[] = []
  const receiver = new OtlpReceiver({
    onRequest: () => new Promise((resolve) => open.push(() => resolve(undefined))),
  })
  await receiver.start()
  const sink = new OtlpSink({ url: receiver.url, timeoutMs: 20_000, concurrency: 1, maxRequestSpans: 1 })
  try {
    const blocking = new AbortController()
    const first = assert.rejects(sink.write([fragmentOf(manySpans(1))], blocking.signal))
    const controller = new AbortController()
    const waiting = sink.write([fragmentOf(manySpans(3))], controller.signal)
    setTimeout(() => controller.abort(new Error('partition lost')), 20)
    const late = new Promise((_, reject) => {
      setTimeout(() => reject(new Error('the write still waits')), 5_000).unref()
    })
    await assert.rejects(Promise.race([waiting, late]), (error) => isSiderealError(error) && error.retryable)
    blocking.abort(new Error('partition lost'))
    await first
  } finally {
    for (const answer of open) answer()
    await receiver.close()
    await sink.close()
  }
})
