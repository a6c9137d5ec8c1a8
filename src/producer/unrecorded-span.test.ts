import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { type Context, context, propagation, ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api'
import { AlwaysOffSampler } from '@opentelemetry/sdk-trace'
import { silentLogger } from '../telemetry/logger.ts'
import { NodeTraceLog } from './node-trace-log.ts'
import { recordSpans } from './recorded-spans.testing.ts'
import { Span } from './span.ts'
import { Trace } from './trace-context.ts'
import { TracingService } from './tracing-service.ts'

const spans = recordSpans({ sampler: new AlwaysOffSampler() })
after(() => spans.close())

const GIVEN = { sid: 'given', appId: 'app', uid: 'u', chatId: '' }

/** What the service's own propagator sends with a call to a host, of which instrumentation tells at the start or later. */
function sentTo(
  host: string,
  tracer = trace.getTracer('instrumentation'),
  parent: Context = context.active(),
) {
  const headers = (span: ReturnType<typeof tracer.startSpan>) => {
    const carrier: Record<string, string> = {}
    propagation.inject(trace.setSpan(parent, span), carrier)
    return carrier
  }
  const attributes = { 'server.address': host }
  const atStart = tracer.startSpan('GET', { kind: SpanKind.CLIENT, attributes }, parent)
  const later = tracer.startSpan('grpc', { kind: SpanKind.CLIENT }, parent)
  later.setAttribute('net.peer.name', host)
  return [headers(atStart)['baggage'], headers(later)['baggage']]
}

test('the identity of a request that is sampled out holds for all its spans, logs and calls', () => {
  new Span(GIVEN).start('outer', (outer) => {
    assert.equal(outer.getOtlpSpan().isRecording(), false)
    trace.getTracer('plain').startActiveSpan('between', () => {
      new Span().start('inner', (inner) => {
        assert.deepEqual(Trace.identity(), GIVEN)
        assert.equal(inner.sid, 'given')
        const log = new NodeTraceLog()
        assert.deepEqual([log.sid, log.appId, log.uid], ['given', 'app', 'u'])
        const expected = 'sid=given,app_id=app,uid=u'
        assert.deepEqual(sentTo('127.0.0.1'), [expected, expected])
        assert.deepEqual(sentTo('example.com'), [undefined, undefined])
        Trace.setIdentity({ sid: 'late' })
      })
    })
    assert.equal(outer.sid, 'late')
    new Span().start('root', { root: true }, (root) => {
      assert.equal(root.sid, root.getOtlpSpan().spanContext().traceId)
    })
  })
  assert.deepEqual(spans.ended, [])
})

test('a service whose tracing is off passes a caller’s identity on to hosts that may know it', (t) => {
  const off = new TracingService({ serviceName: 'off', isDisabled: true, logger: silentLogger })
  t.after(() => off.shutdown(0))
  const baggage = 'sid=callers,app_id=app'
  const traceparent = `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`
  const parent = Trace.extractContext({ traceparent, baggage })
  const server = off.tracer.startSpan('server', { kind: SpanKind.SERVER }, parent)
  const inside = trace.setSpan(parent, server)
  assert.deepEqual(sentTo('127.0.0.1', off.tracer, inside), [baggage, baggage])
  assert.deepEqual(sentTo('example.com', off.tracer, inside), [undefined, undefined])
  assert.deepEqual(sentTo('127.0.0.1', off.tracer, ROOT_CONTEXT), [undefined, undefined])
})

test('an error that passes through a span which nobody sees is recorded by the one above it', () => {
  const seen = recordSpansOf((name) => name !== 'noise')
  const thrown = new Error('through noise')
  for (const error of [thrown, 'a text']) {
    seen.length = 0
    assert.throws(
      () => new Span().start('request', (request) => request.start('noise', () => throwIt(error))),
      (caught) => caught === error,
    )
    assert.throws(
      () =>
        new Span().start('ends early', (span) => {
          new Span().start('ended', (ended) => {
            ended.end()
            throwIt(error)
          })
          span.end()
        }),
      (caught) => caught === error,
    )
    const recorded = seen.map(({ name, events }) => [
      name,
      events.filter((one) => one.name === 'exception').length,
    ])
    assert.deepEqual(recorded, [
      ['request', 1],
      ['ended', 0],
      ['ends early', 1],
    ])
  }
})

function throwIt(error: unknown): never {
  throw error
}

/** Tracing of this process in which spans of some names are sampled out by themselves. */
function recordSpansOf(isSampled: (name: string) => boolean) {
  spans.close()
  const recorded = recordSpans({
    sampler: {
      shouldSample: (_context, _traceId, name) => ({ decision: isSampled(name) ? 2 : 0 }),
      toString: () => 'by name',
    },
  })
  return recorded.ended
}
