import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import {
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  TraceFlags,
  trace,
} from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { AlwaysOffSampler, type ReadableSpan, TracerProvider } from '@opentelemetry/sdk-trace'
import { boxOfSpan, IdentityBox } from './identity.ts'
import { SidSpanProcessor } from './sid-span-processor.ts'
import { SidPropagator, Trace } from './trace-context.ts'

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c'
const TRACEPARENT = `00-${TRACE_ID}-b7ad6b7169203331-01`

let made = 0
const ended: ReadableSpan[] = []
const newSid = () => `new-${++made}`
const provider = new TracerProvider({
  spanProcessors: [
    new SidSpanProcessor({
      newSid,
      endedSpans: { add: (span) => ended.push(span), forceFlush: async () => undefined },
    }),
  ],
})
const tracer = provider.getTracer('test')
const sidOf = (span: Span) => boxOfSpan(span)?.identity.sid
const inject = (propagator: SidPropagator, span: Span): Record<string, string> => {
  const headers: Record<string, string> = {}
  propagator.inject(trace.setSpan(ROOT_CONTEXT, span), headers, {
    set: (carrier, key, value) => (carrier[key] = value),
  })
  return headers
}

before(() => context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable()))
after(() => context.disable())

test('a true root gets a new SID, its children share it, and two requests differ', () => {
  const root = tracer.startSpan('root', {}, ROOT_CONTEXT)
  const child = tracer.startSpan('child', {}, trace.setSpan(ROOT_CONTEXT, root))
  const grandchild = tracer.startSpan('grandchild', {}, trace.setSpan(ROOT_CONTEXT, child))
  const other = tracer.startSpan('other', {}, ROOT_CONTEXT)
  assert.match(String(sidOf(root)), /^new-\d+$/)
  assert.equal(sidOf(child), sidOf(root))
  assert.equal(sidOf(grandchild), sidOf(root))
  assert.notEqual(sidOf(other), sidOf(root))
})

test('a span with a remote parent takes the SID of the baggage, without one the trace id', () => {
  const bare = Trace.extractContext({ TraceParent: TRACEPARENT })
  assert.equal(sidOf(tracer.startSpan('server', {}, bare)), TRACE_ID)
  assert.equal(Trace.sid(bare), TRACE_ID)
  const full = Trace.extractContext({
    traceparent: TRACEPARENT,
    baggage: 'sid=abc%40x,app_id=app,uid=u%E4%BD%A0,chat_id=,other=1',
  })
  const span = tracer.startSpan('server', {}, full)
  assert.deepEqual(boxOfSpan(span)?.identity, { sid: 'abc@x', appId: 'app', uid: 'u你', chatId: '' })
  assert.equal(sidOf(tracer.startSpan('sibling', {}, full)), 'abc@x')
})

test('a SID that no record may have is not taken from baggage', () => {
  const context = Trace.extractContext({ traceparent: TRACEPARENT, baggage: `sid=${'x'.repeat(257)}` })
  assert.equal(sidOf(tracer.startSpan('server', {}, context)), TRACE_ID)
})

test('an identity that becomes known in the middle holds for the spans before it, and for calls from then on', () => {
  const root = tracer.startSpan('root', {}, ROOT_CONTEXT)
  const active = trace.setSpan(ROOT_CONTEXT, root)
  const child = tracer.startSpan('child', {}, active)
  assert.equal(Trace.setIdentity({ sid: 'header-sid', appId: 'app-1' }, trace.setSpan(active, child)), true)
  assert.deepEqual(boxOfSpan(root)?.identity, { sid: 'header-sid', appId: 'app-1', uid: '', chatId: '' })
  assert.equal(Trace.setIdentity({ sid: '', uid: 'u' }, active), false)
  assert.deepEqual(boxOfSpan(child)?.identity, { sid: 'header-sid', appId: 'app-1', uid: 'u', chatId: '' })
  assert.equal(Trace.setIdentity({ sid: 'x' }, ROOT_CONTEXT), false)
})

test('what injectContext writes, extractContext reads: objects, maps, bytes, and names in any case', () => {
  tracer.startActiveSpan('root', (span) => {
    Trace.setIdentity({ sid: 'sid, with = signs; 你\ud800', uid: 'u' })
    const headers = Trace.injectContext()
    const sid = 'sid, with = signs; 你\ufffd'
    assert.deepEqual(Object.keys(headers).sort(), ['baggage', 'traceparent'])
    for (const carrier of [
      headers,
      Object.fromEntries(
        Object.entries(headers).map(([name, value]) => [name.toUpperCase(), [Buffer.from(value)]]),
      ),
      Trace.injectContext(new Headers()),
      Trace.injectContext(new Map<string, string>()),
      new Map(Object.entries(headers).map(([name, value]) => [name.toUpperCase(), value])),
    ]) {
      const extracted = Trace.extractContext(carrier)
      assert.equal(Trace.sid(extracted), sid)
      assert.equal(trace.getSpanContext(extracted)?.traceId, span.spanContext().traceId)
    }
    span.end()
  })
})

test('auto-instrumented calls send the identity to our own hosts only, and to others nothing but traceparent', () => {
  const propagator = new SidPropagator()
  const to = (attributes: Record<string, string>, kind: SpanKind = SpanKind.CLIENT) =>
    inject(propagator, tracer.startSpan('call', { kind, attributes }, ROOT_CONTEXT))
  assert.match(String(to({ 'server.address': '127.0.0.1' })['baggage']), /^sid=new-\d+$/)
  assert.match(String(to({ 'net.peer.name': 'tools' })['baggage']), /^sid=new-\d+$/)
  for (const headers of [
    to({ 'server.address': 'api.example.com' }),
    to({}),
    to({ 'server.address': 'tools' }, SpanKind.INTERNAL),
  ]) {
    assert.deepEqual(Object.keys(headers), ['traceparent'])
  }
})

test('a lone surrogate in the service’s own baggage does not fail its call', () => {
  const span = tracer.startSpan(
    'call',
    { kind: SpanKind.CLIENT, attributes: { 'server.address': 'localhost' } },
    ROOT_CONTEXT,
  )
  const baggage = propagation.createBaggage({ bad: { value: '\ud800' }, good: { value: 'v' } })
  const headers = Trace.injectContext({}, propagation.setBaggage(trace.setSpan(ROOT_CONTEXT, span), baggage))
  assert.match(String((headers as Record<string, string>)['baggage']), /^sid=new-\d+,good=v$/)
})

test('properties of another vendor’s baggage that no header can hold do not fail the service’s calls, its value goes on', () => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const inject = (property: string) => {
    // Bytes, as Kafka has them.
    const baggage = Buffer.from(`vendor=1;${property}`)
    return Trace.injectContext({}, Trace.extractContext({ traceparent, baggage })) as Record<string, string>
  }
  for (const property of ['p=é', 'p=天气', 'p=a\nb', 'p=a\tb'])
    assert.equal(inject(property)['baggage'], 'sid=0af7651916cd43dd8448eb211c80319c,vendor=1', property)
  assert.match(String(inject('p=1;q')['baggage']), /,vendor=1;p=1;q$/)
})

test('of a request that is sampled out no span leaves, but its SID is one and the same', () => {
  const silent = new TracerProvider({
    sampler: new AlwaysOffSampler(),
    spanProcessors: [new SidSpanProcessor({ newSid })],
  }).getTracer('silent')
  const span = silent.startSpan('root', {}, ROOT_CONTEXT)
  const active = trace.setSpan(ROOT_CONTEXT, span)
  assert.equal(span.spanContext().traceFlags, TraceFlags.NONE)
  assert.equal(Trace.sid(active), span.spanContext().traceId)
  assert.equal(Trace.setIdentity({ sid: 's' }, active), true)
  assert.equal(Trace.sid(active), 's')
})

test('outside any request there is no SID', () => {
  assert.equal(Trace.sid(ROOT_CONTEXT), undefined)
  assert.deepEqual(Trace.injectContext({}, ROOT_CONTEXT), {})
})

test('a part of an identity that is no text is left out, and does not throw into the request', () => {
  const root = tracer.startSpan('root', {}, ROOT_CONTEXT)
  const active = trace.setSpan(ROOT_CONTEXT, root)
  assert.equal(Trace.setIdentity({ sid: 7 as never, uid: 42 as never, appId: 'app' }, active), false)
  assert.equal(boxOfSpan(root)?.identity.appId, 'app')
  assert.equal(boxOfSpan(root)?.identity.uid, '')
  assert.equal(Trace.setIdentity({ chatId: null as never }, active), false)
})

test('baggage of the service’s own, however much, does not push the SID out of the header', () => {
  let own = propagation.createBaggage()
  for (let i = 0; i < 200; i++) own = own.setEntry(`key-${i}`, { value: 'x'.repeat(60) })
  const root = tracer.startSpan('root', {}, ROOT_CONTEXT)
  const active = propagation.setBaggage(trace.setSpan(ROOT_CONTEXT, root), own)
  const carrier = Trace.injectContext({}, active)
  assert.equal(Trace.sid(Trace.extractContext(carrier)), sidOf(root))
})

test('a span of somebody else’s that takes no field of ours has its SID all the same', () => {
  const remote = trace.wrapSpanContext({ traceId: 'ab'.repeat(16), spanId: 'cd'.repeat(8), traceFlags: 1 })
  const active = trace.setSpan(ROOT_CONTEXT, Object.freeze(remote))
  assert.equal(Trace.setIdentity({ sid: 'set' }, active), true)
  assert.equal(Trace.sid(active), 'set')
})

test('two copies of this package in one process say the same SID, and what one of them sets holds for both', async () => {
  const copyUrl = new URL('identity.ts?copy', import.meta.url).href
  const copy = (await import(copyUrl)) as typeof import('./identity.ts')
  assert.notEqual(copy.IdentityBox, IdentityBox)
  const root = tracer.startSpan('root', {}, ROOT_CONTEXT)
  const active = trace.setSpan(ROOT_CONTEXT, root)
  assert.equal(copy.boxOfContext(active)?.identity.sid, sidOf(root))
  copy.boxOfContext(active)?.override({ uid: 'user' })
  assert.equal(boxOfSpan(root)?.identity.uid, 'user')
})

test('a carrier that takes or gives nothing fails no call of an instrumentation', () => {
  const propagator = new SidPropagator()
  const refuse = () => assert.fail()
  const span = tracer.startSpan('call', {}, ROOT_CONTEXT)
  const active = trace.setSpan(ROOT_CONTEXT, span)
  assert.doesNotThrow(() => propagator.inject(active, {}, { set: refuse }))
  assert.equal(propagator.extract(active, {}, { get: refuse, keys: () => [] }), active)
})

test('empty parts of Trace.setIdentity take nothing away, as everywhere', () => {
  const root = tracer.startSpan('root', {}, ROOT_CONTEXT)
  const active = trace.setSpan(ROOT_CONTEXT, root)
  Trace.setIdentity({ sid: 's', appId: 'app', uid: 'u' }, active)
  assert.equal(Trace.setIdentity({ appId: '', uid: '', chatId: 'c' }, active), true)
  assert.deepEqual(Trace.identity(active), { sid: 's', appId: 'app', uid: 'u', chatId: 'c' })
})
