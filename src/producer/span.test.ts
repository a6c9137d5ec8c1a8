import assert from 'node:assert/strict'
import { after, beforeEach, test } from 'node:test'
import { context, propagation, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { recordSpans } from './recorded-spans.testing.ts'
import { Span } from './span.ts'
import type { StartOptions } from './start-options.ts'
import { Trace } from './trace-context.ts'

const spans = recordSpans()
beforeEach(() => {
  spans.ended.length = 0
})
after(() => spans.close())

const names = () => spans.ended.map(({ name }) => name)

test('a sync callback stays sync: its result comes back, and its span has ended by then', () => {
  const result = new Span().start('sync', (span) => {
    assert.equal(trace.getActiveSpan(), span.getOtlpSpan())
    assert.deepEqual(names(), [])
    return 7
  })
  assert.equal(result, 7)
  assert.deepEqual(names(), ['sync'])
})

test('the span of a promise ends when that is settled, and is active across its awaits and timers', async () => {
  const promise = new Span().start('async', async (span) => {
    await new Promise((resolve) => setTimeout(resolve, 5))
    assert.equal(trace.getActiveSpan(), span.getOtlpSpan())
    return 'done'
  })
  assert.deepEqual(names(), [])
  assert.equal(await promise, 'done')
  assert.deepEqual(names(), ['async'])
})

test('a thrown error is recorded once, by the innermost span, and comes out unchanged through all', async () => {
  const error = new TypeError('no such tool')
  const throws: [string, (span: Span) => unknown][] = [
    [
      'sync',
      () => {
        throw error
      },
    ],
    [
      'async',
      async () => {
        throw error
      },
    ],
    [
      'told by hand',
      (span) => {
        span.recordException(error)
        throw error
      },
    ],
  ]
  for (const [name, callback] of throws) {
    spans.ended.length = 0
    const thrown = await new Span()
      .start(
        'outer',
        async (outer) => await outer.start('middle', async (middle) => await middle.start('inner', callback)),
      )
      .then(
        () => undefined,
        (reason: unknown) => reason,
      )
    assert.equal(thrown, error, name)
    assert.deepEqual(names(), ['inner', 'middle', 'outer'])
    assert.deepEqual(
      spans.ended.map(({ events }) => events.length),
      [1, 0, 0],
      name,
    )
    const [inner] = spans.ended
    assert.deepEqual(
      [
        inner?.events[0]?.name,
        inner?.events[0]?.attributes?.['exception.type'],
        inner?.events[0]?.attributes?.['exception.message'],
      ],
      ['exception', 'TypeError', 'no such tool'],
    )
    assert.match(String(inner?.events[0]?.attributes?.['exception.stacktrace']), /span\.test\.ts/)
    assert.ok(Math.abs((inner?.events[0]?.time[0] ?? 0) - Date.now() / 1000) < 3_600, 'a time of today')
    for (const { status } of spans.ended)
      assert.deepEqual(status, { code: SpanStatusCode.ERROR, message: 'no such tool' })
  }
})

test('an error that one request throws again later is recorded in each request', () => {
  const error = new Error('the same object')
  for (let i = 0; i < 2; i++)
    assert.throws(
      () =>
        new Span().start('request', () => {
          throw error
        }),
      error,
    )
  assert.deepEqual(
    spans.ended.map(({ events }) => events.length),
    [1, 1],
  )
})

test('what is thrown need not be an error: it too is recorded once, by the innermost span, and comes out unchanged', () => {
  const unreadable = Object.defineProperty(new Error(), 'message', { get: () => assert.fail('no message') })
  const proxy = new Proxy({}, { getPrototypeOf: () => assert.fail('no prototype') })
  const things = ['text', 5, Number.NaN, null, undefined, Object.create(null) as object, unreadable, proxy]
  for (const [i, thing] of things.entries()) {
    spans.ended.length = 0
    let thrown: unknown = spans
    try {
      new Span().start('outer', (outer) =>
        outer.start('inner', () => {
          throw thing
        }),
      )
    } catch (reason) {
      thrown = reason
    }
    assert.ok(Object.is(thrown, thing), `thing ${i}`)
    assert.deepEqual(
      spans.ended.map(({ name, status, events }) => [name, status.code, events.length]),
      [
        ['inner', SpanStatusCode.ERROR, 1],
        ['outer', SpanStatusCode.ERROR, 0],
      ],
      `thing ${i}`,
    )
  }
})

test('values that can be iterated are values: arrays, maps and streams come back as they are', () => {
  for (const value of [[1, 2], new Map(), 'text', new ReadableStream()]) {
    assert.equal(
      new Span().start('value', () => value),
      value,
    )
  }
  assert.equal(spans.ended.length, 4)
})

test('a thenable of any make comes back as a promise, and what it begins only when it is asked is a part of the span', async () => {
  const query = {
    // biome-ignore lint/suspicious/noThenProperty: as query builders have it
    then(resolve: (rows: number) => void) {
      new Span().start('select', () => undefined)
      resolve(5)
    },
  }
  assert.equal(await new Span().start('load', () => query), 5)
  assert.deepEqual(names(), ['select', 'load'])
  assert.equal(spans.named('select').parentSpanContext?.spanId, spans.named('load').spanContext().spanId)
  spans.ended.length = 0
  const failing = {
    // biome-ignore lint/suspicious/noThenProperty: as query builders have it
    then(_resolve: (rows: number) => void): void {
      throw new Error('no connection')
    },
  }
  await assert.rejects(async () => await new Span().start('load', () => failing), /no connection/)
  assert.equal(spans.named('load').status.code, SpanStatusCode.ERROR)
})

test('using ends a span with its block, and what is started from it lies below it', () => {
  {
    using outer = new Span().start('outer')
    outer.start('inner', () => assert.deepEqual(names(), []))
    assert.equal(trace.getActiveSpan(), undefined)
    assert.match(Trace.injectContext({} as Record<string, string>, outer.context)['traceparent']!, /^00-/)
  }
  assert.deepEqual(names(), ['inner', 'outer'])
  assert.equal(spans.named('inner').parentSpanContext?.spanId, spans.named('outer').spanContext().spanId)
})

test('a span writes to itself, wherever it is used, and one that was not started to the active one', () => {
  const loose = new Span()
  loose.start('outer', (outer) => {
    outer.start('inner', () => {
      outer.setAttribute('where', 'outer')
      loose.setAttribute('where', 'inner')
    })
  })
  assert.equal(spans.named('outer').attributes['where'], 'outer')
  assert.equal(spans.named('inner').attributes['where'], 'inner')
  assert.doesNotThrow(() => loose.setAttribute('a', 1).addInfoEvent('nobody hears').recordException('x'))
})

test('a span has its name from the caller, or from its callback', () => {
  const span = new Span()
  span.start(function search() {
    return 1
  })
  span.start('', function find() {
    return 1
  })
  span.start('step', { addFunctionName: true }, function run() {
    return 1
  })
  span.start(() => 1)
  assert.deepEqual(names(), ['search', 'find', 'step::run', 'unknown'])
})

test('a trace context from elsewhere is continued, with its SID and further baggage', () => {
  const carrier = {
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    baggage: 'sid=from-elsewhere,vendor=x',
  }
  new Span({ appId: 'app' }).start('entry', { traceContext: carrier }, (span) => {
    assert.deepEqual([span.sid, span.appId, Trace.sid()], ['from-elsewhere', 'app', 'from-elsewhere'])
    assert.match(Trace.injectContext()['baggage']!, /vendor=x/)
  })
  assert.equal(spans.named('entry').parentSpanContext?.spanId, 'b7ad6b7169203331')
})

test('a trace context from elsewhere that says no identity does not get that of the request in which it is taken up', () => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const request = Trace.extractContext({
    traceparent: traceparent.replace('0af', '1af'),
    baggage: 'sid=of-the-request,app_id=its-app,mine=1',
  })
  context.with(request, () =>
    new Span().start('request', (span) => {
      new Span().start('another', { traceContext: { traceparent } }, (another) => {
        assert.deepEqual([another.sid, another.appId], ['0af7651916cd43dd8448eb211c80319c', ''])
        assert.equal(propagation.getActiveBaggage()?.getEntry('mine')?.value, '1')
      })
      // What says nothing at all is below the request.
      new Span().start('below', { traceContext: {} }, (below) => assert.equal(below.sid, 'of-the-request'))
      new Span().start('again', { traceContext: Trace.injectContext() }, (again) =>
        assert.equal(again.sid, span.sid),
      )
    }),
  )
})

test('baggage that the service sets within a request goes on, and that of another request does not come in', () => {
  const own = propagation.createBaggage({ mine: { value: '1' } })
  const seen = () => propagation.getActiveBaggage()?.getEntry('mine')?.value
  new Span().start('first', (first) => {
    context.with(propagation.setBaggage(context.active(), own), () => {
      assert.equal(first.start('below', seen), '1')
    })
    context.with(ROOT_CONTEXT, () =>
      new Span().start('second', () =>
        context.with(propagation.setBaggage(context.active(), own), () =>
          assert.equal(first.start('of the first', seen), undefined),
        ),
      ),
    )
  })
})

test('who the request belongs to: given at first or later, empty parts say nothing, and a later word is not taken back by a child', () => {
  const loose = new Span({ sid: '', appId: 'app-1', uid: '' })
  assert.deepEqual([loose.sid, loose.appId, loose.uid], ['', 'app-1', ''])
  loose.start('outer', (outer) => {
    assert.match(outer.sid, /^sid-\d+$/)
    outer.setIdentity({ sid: 'late', appId: 'app-2', chatId: '' })
    outer.start('inner', (inner) => assert.deepEqual([inner.sid, inner.appId], ['late', 'app-2']))
  })
  for (const span of spans.ended)
    assert.deepEqual(spans.identityOf(span), { sid: 'late', appId: 'app-2', uid: '', chatId: '' })
})

test('a span has the kind and the links that it was started with; what is neither is left out', () => {
  const linked = new Span().start('message').getOtlpSpan().spanContext()
  const links = [{ context: linked, attributes: { place: 3 } }]
  new Span().start('batch', { kind: SpanKind.CONSUMER, links }, () => undefined)
  const { kind, links: kept } = spans.named('batch')
  assert.equal(kind, SpanKind.CONSUMER)
  assert.deepEqual(
    kept.map(({ context: { spanId }, attributes }) => [spanId, attributes]),
    [[linked.spanId, { place: 3 }]],
  )
  const stored = JSON.parse(JSON.stringify({ ...linked, traceState: {} })) as typeof linked
  const bad = [null, {}, 7, { context: null }, { context: {} }, { context: { traceId: 'x', spanId: 'y' } }]
  const wrong = { kind: 'CONSUMER', links: [...bad, { context: stored }] } as unknown as StartOptions
  new Span().start('of JavaScript', wrong, () => undefined)
  const { kind: usual, links: valid } = spans.named('of JavaScript')
  assert.equal(usual, SpanKind.INTERNAL)
  assert.deepEqual(
    valid.map(({ context }) => [context.spanId, context.traceState]),
    [[linked.spanId, undefined]],
  )
})

test('messages that are handled under one active span have a trace and an identity each, when they are roots', () => {
  new Span({ sid: 'poll', uid: 'nobody' }).start('poll', (poll) => {
    for (const name of ['a', 'b']) {
      const links = [{ context: poll.getOtlpSpan().spanContext() }]
      new Span({ sid: `sid-${name}`, uid: `user-${name}` }).start(name, { root: true, links }, (span) => {
        span.start(`${name}-below`, () => undefined)
      })
    }
    assert.equal(poll.sid, 'poll')
  })
  for (const name of ['a', 'b']) {
    const root = spans.named(name)
    assert.equal(root.parentSpanContext, undefined)
    assert.equal(root.links.length, 1)
    for (const span of [root, spans.named(`${name}-below`)]) {
      assert.deepEqual(
        [spans.identityOf(span).sid, spans.identityOf(span).uid],
        [`sid-${name}`, `user-${name}`],
      )
      assert.equal(span.spanContext().traceId, root.spanContext().traceId)
    }
  }
  assert.equal(spans.identityOf(spans.named('poll')).sid, 'poll')
})

test('identity can be assigned, as in the Python library', () => {
  new Span().start('assigned', (span) => {
    span.sid = 'sid-assigned'
    span.appId = 'app'
    span.uid = 'user'
    span.chatId = 'chat'
    assert.deepEqual([span.sid, span.appId, span.uid, span.chatId], ['sid-assigned', 'app', 'user', 'chat'])
  })
  assert.deepEqual(spans.identityOf(spans.named('assigned')), {
    sid: 'sid-assigned',
    appId: 'app',
    uid: 'user',
    chatId: 'chat',
  })
})

test('the time of an event may be one of Python’s: micro- and nanoseconds are seen to be that, and none costs its span', () => {
  const ms = 1_764_240_000_123
  const span = new Span().start('timed')
  const times = [ms, ms * 1e3, ms * 1e6, BigInt(ms) * 1_000_000n] as number[]
  for (const time of times) span.addEvent('event', {}, time)
  span.addInfoEvents({ 'INFO LOG': 'x' }, ms * 1e6)
  span.addErrorEvents({ 'ERROR LOG': 'x' }, ms * 1e6)
  span.end()
  const { events } = spans.named('timed')
  assert.deepEqual(
    events.map(({ time: [seconds, nanos] }) => [seconds, Math.round(nanos / 1e6)]),
    Array.from({ length: 6 }, () => [1_764_240_000, 123]),
  )
})
