import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import {
  type Attributes,
  type Context,
  context,
  defaultTextMapGetter,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  trace,
} from '@opentelemetry/api'
import type { IdentityPeerRules } from './inbound-identity.ts'
import { recordSpans } from './recorded-spans.testing.ts'
import { SidPropagator, Trace } from './trace-context.ts'

const spans = recordSpans()
after(() => spans.close())
const TRACE_ID = '0af7651916cd43dd8448eb211c80319c'
const traceparent = (flags = '01') => `00-${TRACE_ID}-b7ad6b7169203331-${flags}`
const BAGGAGE = 'sid=named,app_id=app,uid=u,chat_id=c,vendor=x'
const tracer = trace.getTracer('test')

interface Request {
  readonly peer?: string
  readonly headers?: Record<string, string>
  readonly rules?: IdentityPeerRules
  readonly flags?: string
}

const extract = ({ headers, rules, flags }: Request): Context =>
  new SidPropagator({}, rules).extract(
    ROOT_CONTEXT,
    { host: 'api', traceparent: traceparent(flags), baggage: BAGGAGE, ...headers },
    defaultTextMapGetter,
  )

/** The context within the server span of a request. */
function serve(request: Request): Context {
  const parent = extract(request)
  const attributes: Attributes = request.peer === undefined ? {} : { 'network.peer.address': request.peer }
  return trace.setSpan(parent, tracer.startSpan('server', { kind: SpanKind.SERVER, attributes }, parent))
}

const believed: [string, Request][] = [
  ['loopback', { peer: '127.0.0.1' }],
  ['loopback, IPv6', { peer: '::1' }],
  ['loopback in IPv6 clothes', { peer: '::ffff:127.0.0.1' }],
  ['a private address', { peer: '10.1.2.3' }],
  ['link-local with a zone', { peer: 'fe80::1%eth0' }],
  [
    'a private peer that speaks for a private one',
    { peer: '10.0.0.1', headers: { 'x-forwarded-for': '10.0.0.2, 192.168.1.1:80' } },
  ],
  [
    'as the standard header says it',
    { peer: '10.0.0.1', headers: { forwarded: 'for="[::1]:80";proto=http, for=10.0.0.2' } },
  ],
  ['an address that is allowed', { peer: '8.8.8.8', rules: { allow: ['8.8.8.8'] } }],
  ['a network that is allowed', { peer: '100.64.3.4', rules: { allow: ['100.64.0.0/10'] } }],
  [
    'anybody, when everybody is allowed',
    { rules: { allow: ['*'] }, peer: '8.8.8.8', headers: { 'x-forwarded-for': '9.9.9.9' } },
  ],
]
const doubted: [string, Request][] = [
  ['a public address', { peer: '8.8.8.8' }],
  ['a public address in IPv6 clothes', { peer: '::ffff:8.8.8.8' }],
  ['HTTP of nobody that is known', {}],
  ['no address', { peer: 'localhost' }],
  ...[
    'x-forwarded-for',
    'x-real-ip',
    'x-client-ip',
    'x-envoy-external-address',
    'cf-connecting-ip',
    'true-client-ip',
  ].map((name): [string, Request] => [
    `a proxy that says so in ${name}`,
    { peer: '10.0.0.1', headers: { [name]: '8.8.8.8' } },
  ]),
  ['the first of several', { peer: '10.0.0.1', headers: { 'x-forwarded-for': '8.8.8.8, 10.0.0.2' } }],
  ['the last of several', { peer: '10.0.0.1', headers: { 'x-forwarded-for': '10.0.0.2,8.8.8.8:443' } }],
  ['one that hides', { peer: '10.0.0.1', headers: { 'x-forwarded-for': 'unknown' } }],
  ['the standard header', { peer: '10.0.0.1', headers: { forwarded: 'for=10.0.0.2, For="8.8.8.8:4711"' } }],
  ['the standard header that hides', { peer: '10.0.0.1', headers: { forwarded: 'for=_secret' } }],
  ['a private peer that is denied', { peer: '10.0.0.1', rules: { deny: ['10.0.0.0/8'], allow: ['*'] } }],
  ['everybody, at a public endpoint', { peer: '127.0.0.1', rules: { publicEndpoint: true, allow: ['*'] } }],
]

test('an identity in baggage is taken from private peers that speak for nobody else, and from those that are allowed', () => {
  for (const [name, request] of believed) {
    const inside = serve(request)
    assert.deepEqual(Trace.identity(inside), { sid: 'named', appId: 'app', uid: 'u', chatId: 'c' }, name)
    assert.match(Trace.injectContext({} as Record<string, string>, inside)['baggage']!, /^sid=named,/, name)
  }
})

test('of anybody else nothing is taken, not even the trace id as SID: the trace goes on under a SID of our own, and other baggage with it', () => {
  for (const [name, request] of doubted) {
    const inside = serve(request)
    const identity = Trace.identity(inside)
    assert.match(identity?.sid ?? '', /^sid-\d+$/, name)
    assert.deepEqual([identity?.appId, identity?.uid, identity?.chatId], ['', '', ''], name)
    assert.equal(trace.getSpanContext(inside)?.traceId, TRACE_ID, name)
    assert.equal(
      Trace.injectContext({} as Record<string, string>, inside)['baggage'],
      `sid=${identity?.sid},vendor=x`,
      name,
    )
    const child = tracer.startSpan('child', { attributes: { 'network.peer.address': '10.0.0.1' } }, inside)
    assert.equal(spans.identityOf(child).sid, identity?.sid, name)
  }
})

test('of a request that is sampled out the same holds, and its SID is one and the same', () => {
  for (const [name, request] of believed) {
    const inside = serve({ ...request, flags: '00' })
    assert.equal(Trace.sid(inside), 'named', name)
  }
  for (const [name, request] of doubted) {
    const inside = serve({ ...request, flags: '00' })
    const sid = Trace.sid(inside)
    assert.ok(sid !== undefined && sid !== 'named' && sid !== TRACE_ID, name)
    // What the service calls is nobody who called it.
    const attributes = { 'network.peer.address': '10.0.0.1' }
    const child = trace.setSpan(inside, tracer.startSpan('child', { attributes }, inside))
    assert.deepEqual([Trace.sid(inside), Trace.sid(child)], [sid, sid], name)
  }
})

test('gRPC metadata and Kafka headers, which have no host, are believed unless a proxy speaks for the public', () => {
  const carrier = (more: object) => ({ traceparent: traceparent(), baggage: BAGGAGE, ...more })
  const sidOf = (headers: object) => {
    const parent = propagation.extract(ROOT_CONTEXT, carrier(headers))
    return spans.identityOf(tracer.startSpan('consume', { kind: SpanKind.CONSUMER }, parent)).sid
  }
  assert.equal(sidOf({}), 'named')
  assert.match(sidOf({ 'x-forwarded-for': '8.8.8.8' }), /^sid-/)
})

test('extractContext, called by hand, believes its carrier, also within a request that is not believed', () => {
  const inside = serve({ peer: '8.8.8.8' })
  context.with(inside, () => {
    const headers = {
      host: 'x',
      'x-forwarded-for': '8.8.8.8',
      traceparent: traceparent(),
      baggage: 'sid=by-hand',
    }
    assert.equal(
      spans.identityOf(tracer.startSpan('by hand', {}, Trace.extractContext(headers, inside))).sid,
      'by-hand',
    )
  })
})

test('a request without any context is a request of ours', () => {
  const parent = propagation.extract(ROOT_CONTEXT, { host: 'x' })
  assert.equal(parent, ROOT_CONTEXT)
})

test('a request of HTTP/1.0 without a host is HTTP all the same: of a peer that nobody knows nothing is taken', () => {
  for (const name of ['http.request.method', 'http.method', 'url.path', 'http.target']) {
    const parent = propagation.extract(ROOT_CONTEXT, { traceparent: traceparent(), baggage: BAGGAGE })
    const server = tracer.startSpan(
      'server',
      { kind: SpanKind.SERVER, attributes: { [name]: 'GET' } },
      parent,
    )
    assert.notEqual(spans.identityOf(server).sid, 'named', name)
  }
})
