import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { propagation, ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api'
import {
  AlwaysOffSampler,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type SpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import { silentLogger } from '../telemetry/logger.ts'
import { Span } from './span.ts'
import { Trace } from './trace-context.ts'
import type { TracingConfig } from './tracing-config.ts'
import { initTracing, TracingService } from './tracing-service.ts'

function serviceWith(methods: Partial<SpanProcessor>): TracingService {
  const processor: SpanProcessor = {
    onStart: () => undefined,
    onEnd: () => undefined,
    forceFlush: async () => undefined,
    shutdown: async () => undefined,
    ...methods,
  }
  return new TracingService({
    serviceName: 'test',
    kafka: { brokers: ['127.0.0.1:1'] },
    spanProcessors: [processor],
    logger: silentLogger,
  })
}

test('shutdown also shuts down the processors of the service, which may hold spans for elsewhere', async () => {
  let isDone = false
  const service = serviceWith({
    shutdown: async () => {
      await new Promise(setImmediate)
      isDone = true
    },
  })
  assert.equal(await service.shutdown(), true)
  assert.ok(isDone)
})

test('a service that is declared with await using is shut down at the end of its block', async () => {
  let isDone = false
  {
    await using service = serviceWith({
      shutdown: async () => {
        await new Promise(setImmediate)
        isDone = true
      },
    })
    assert.equal(await service.flush(), true)
    assert.equal(isDone, false)
  }
  assert.equal(isDone, true)
})

test('a processor that fails, or never ends, neither rejects the shutdown nor holds it up', async () => {
  const failing = serviceWith({ shutdown: () => Promise.reject(new Error('no')) })
  assert.equal(await failing.shutdown(), true)
  const hanging = serviceWith({ shutdown: () => new Promise(() => undefined) })
  assert.equal(await hanging.shutdown(20), true)
})

test('flush also flushes the processors of the service, and one that fails, or never ends, neither rejects it nor holds it up', async () => {
  let flushed = 0
  const flushing = serviceWith({
    forceFlush: async () => {
      await new Promise(setImmediate)
      flushed += 1
    },
  })
  assert.equal(await flushing.flush(), true)
  assert.equal(flushed, 1)
  const failing = serviceWith({ forceFlush: () => Promise.reject(new Error('no')) })
  assert.equal(await failing.flush(), true)
  const hanging = serviceWith({ forceFlush: () => new Promise(() => undefined) })
  assert.equal(await hanging.flush(20), true)
  for (const service of [flushing, failing, hanging]) await service.shutdown(0)
})

test('who waits for ever waits, until the end of the service', async () => {
  const service = serviceWith({})
  service.tracer.startSpan('waits', {}, ROOT_CONTEXT).end()
  let isFlushed = false
  const flushed = service.flush(Number.POSITIVE_INFINITY).then(() => {
    isFlushed = true
  })
  // Longer than the millisecond that a timer makes of it.
  await new Promise((resolve) => setTimeout(resolve, 100))
  assert.equal(isFlushed, false)
  await service.shutdown(0)
  await flushed
})

test('whoever flushes the tracer provider flushes what goes to Kafka', async () => {
  const service = new TracingService({
    serviceName: 'guest',
    kafka: { brokers: ['127.0.0.1:1'] },
    registry: { url: 'http://127.0.0.1:1' },
    lingerMs: 60_000,
    logger: silentLogger,
  })
  const host = new TracerProvider({ spanProcessors: [service.spanProcessor] })
  host.getTracer('x').startSpan('waits', {}, ROOT_CONTEXT).end()
  assert.equal(service.stats().queueBytes, 0)
  const flushed = host.forceFlush()
  // A record now, that waits for Kafka no longer.
  assert.ok(service.stats().queueBytes > 0)
  let isFlushed = false
  void flushed.then(() => {
    isFlushed = true
  })
  await new Promise(setImmediate)
  assert.equal(isFlushed, false)
  await service.shutdown(0)
  await flushed
})

test('getSpan gives the class Span, bound to its service, whoever owns the process', async () => {
  const names: string[] = []
  const service = new TracingService({
    serviceName: 'bound',
    kafka: { brokers: ['127.0.0.1:1'] },
    spanProcessors: [
      {
        onStart: () => undefined,
        onEnd: ({ name, instrumentationScope }) => void names.push(`${instrumentationScope.name}/${name}`),
        forceFlush: async () => undefined,
        shutdown: async () => undefined,
      },
    ],
    logger: silentLogger,
  })
  const BoundSpan = service.getSpan()
  const span = new BoundSpan({ appId: 'app' })
  assert.ok(span instanceof Span)
  span.start('outer', (outer) => outer.start('inner', () => undefined))
  assert.deepEqual(names, ['bound/inner', 'bound/outer'])
  await service.shutdown(0)
})

test('a span that ends while the service shuts down is kept by the spool; without one it is dropped, counted, and said', async (t) => {
  for (const hasSpool of [true, false]) {
    const folder = mkdtempSync(join(tmpdir(), 'sidereal-shutdown-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const end = (name: string) => service.tracer.startSpan(name, {}, ROOT_CONTEXT).end()
    const service: TracingService = new TracingService({
      serviceName: 'ending',
      kafka: { brokers: ['127.0.0.1:1'] },
      registry: { url: 'http://127.0.0.1:1' },
      ...(hasSpool ? { spool: { folder } } : {}),
      spanProcessors: [
        {
          onStart: () => undefined,
          onEnd: () => undefined,
          forceFlush: async () => undefined,
          shutdown: async () => {
            await new Promise(setImmediate)
            end('meanwhile')
          },
        },
      ],
      logger: silentLogger,
    })
    assert.equal(await service.shutdown(2_000), hasSpool)
    end('after')
    const { accepted, waiting, spooled, dropped } = service.stats().spans
    assert.deepEqual([accepted, waiting, spooled, dropped.shutdown], hasSpool ? [2, 0, 1, 1] : [2, 0, 0, 2])
  }
})

test('neither flush nor shutdown says that all is well when something was dropped meanwhile, for whatever reason', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sidereal-dropping-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const open = (config: Partial<TracingConfig>) =>
    new TracingService({
      serviceName: 'dropping',
      kafka: { brokers: ['127.0.0.1:1'] },
      registry: { url: 'http://127.0.0.1:1' },
      logger: silentLogger,
      ...config,
    })
  // No room in memory: once it is a record nothing waits any more.
  const small = open({ maxQueueBytes: 1, lingerMs: 60_000 })
  const end = (service: TracingService) => service.tracer.startSpan('span', {}, ROOT_CONTEXT).end()
  end(small)
  assert.equal(await small.flush(30_000), false)
  assert.equal(small.stats().spans.dropped.queue_full, 1)
  assert.equal(await small.flush(30_000), true)
  end(small)
  assert.equal(await small.shutdown(30_000), false)
  // No room on disk for a second one.
  const spooling = open({ lingerMs: 60_000, spool: { folder, maxBytes: 1 } })
  end(spooling)
  assert.equal(await spooling.flush(1), false)
  const deadline = performance.now() + 30_000
  while (spooling.stats().spans.spooled === 0) {
    assert.ok(performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  end(spooling)
  assert.equal(await spooling.shutdown(2_000), false)
  const { dropped, spooled } = spooling.stats().spans
  assert.deepEqual([dropped.spool_full, spooled], [1, 1])
})

test('a disk that does not answer holds up no shutdown, which then does not say that all is well', {
  skip: process.platform === 'win32' && 'there is no mkfifo',
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sidereal-hanging-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  // Stands for a network file system that hangs: what another process left cannot be read to its end.
  const left = join(folder, '0'.repeat(32))
  mkdirSync(left)
  writeFileSync(join(left, 'lock'), '')
  const pipe = join(left, '0000000001.spool')
  execFileSync('mkfifo', [pipe])
  const service = new TracingService({
    serviceName: 'hanging',
    kafka: { brokers: ['127.0.0.1:1'] },
    registry: { url: 'http://127.0.0.1:1' },
    spool: { folder },
    logger: silentLogger,
  })
  service.tracer.startSpan('span', {}, ROOT_CONTEXT).end()
  assert.equal(await service.shutdown(100), false)
  const { accepted, waiting, dropped } = service.stats().spans
  assert.deepEqual([accepted, waiting + dropped.shutdown], [1, 1])
  // Lets the thread go that reads it.
  closeSync(openSync(pipe, 'w'))
})

test('where OpenTelemetry is set up already that is a warning, and its spans come by the span processor', async (t) => {
  const warnings: string[] = []
  const config = {
    serviceName: 'guest',
    kafka: { brokers: ['127.0.0.1:1'] },
    logger: { ...silentLogger, warn: (_fields: object, message: string) => void warnings.push(message) },
  }
  const service = new TracingService(config)
  const host = new TracerProvider({ spanProcessors: [service.spanProcessor] })
  trace.setGlobalTracerProvider(host)
  t.after(() => trace.disable())
  const second = initTracing(config)
  assert.equal(warnings.length, 1)
  assert.match(warnings[0]!, /was set up in this process before/)
  new Span().start('outer', (outer) => {
    assert.match(outer.sid, /^svc[0-9a-f]{8}@src/)
  })
  assert.deepEqual([service.stats().spans.accepted, second.stats().spans.accepted], [1, 0])
  for (const one of [service, second]) await one.shutdown(0)
})

test('the process’s propagator keeps the configuration’s rules of hosts and of peers', async (t) => {
  const service = initTracing({
    serviceName: 'ruled',
    kafka: { brokers: ['127.0.0.1:1'] },
    baggageHosts: {
      allow: ['.partner.example'],
      deny: ['refused.internal'],
      entries: { 'vendor.example': ['vendor.session'], 'sid.example': ['sid'] },
    },
    identityPeers: { deny: ['10.9.0.0/16'] },
    logger: silentLogger,
  })
  t.after(() => service.shutdown(0))
  const sentTo = (host: string) => {
    const attributes = { 'server.address': host }
    const span = service.tracer.startSpan('call', { kind: SpanKind.CLIENT, attributes }, ROOT_CONTEXT)
    const headers: Record<string, string> = {}
    const vendors = propagation.createBaggage({ 'vendor.session': { value: '1' } })
    propagation.inject(propagation.setBaggage(trace.setSpan(ROOT_CONTEXT, span), vendors), headers)
    const names = headers['baggage']?.split(',').map((entry) => entry.split('=')[0]!) ?? []
    return [...Object.keys(headers), ...names]
  }
  const all = ['traceparent', 'baggage', 'sid', 'vendor.session']
  assert.deepEqual(sentTo('api.partner.example'), all)
  assert.deepEqual(sentTo('node-1.internal'), all)
  assert.deepEqual(sentTo('vendor.example'), ['traceparent', 'baggage', 'vendor.session'])
  assert.deepEqual(sentTo('sid.example'), ['traceparent', 'baggage', 'sid'])
  assert.deepEqual(sentTo('refused.internal'), ['traceparent'])
  assert.deepEqual(sentTo('elsewhere.example'), ['traceparent'])
  const sidFrom = (peer: string) => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const carrier = { host: 'us.internal', traceparent, baggage: 'sid=theirs' }
    const attributes = { 'network.peer.address': peer }
    const parent = propagation.extract(ROOT_CONTEXT, carrier)
    const span = service.tracer.startSpan('server', { kind: SpanKind.SERVER, attributes }, parent)
    return Trace.sid(trace.setSpan(parent, span))
  }
  assert.equal(sidFrom('10.8.0.1'), 'theirs')
  assert.notEqual(sidFrom('10.9.0.1'), 'theirs')
})

test('a request that is under way while the service shuts down goes on with its trace, and calls others with it', async () => {
  let headers: Record<string, string> = {}
  const service: TracingService = initTracing({
    serviceName: 'ending',
    kafka: { brokers: ['127.0.0.1:1'] },
    spanProcessors: [
      {
        onStart: () => undefined,
        onEnd: () => undefined,
        forceFlush: async () => undefined,
        shutdown: async () => {
          await new Promise(setImmediate)
          new Span().start('late', () => {
            headers = Trace.injectContext()
          })
        },
      },
    ],
    logger: silentLogger,
  })
  await service.shutdown(100)
  assert.deepEqual(Object.keys(headers), ['traceparent', 'baggage'])
  assert.equal(service.stats().spans.accepted, 1)
  assert.equal(trace.getTracerProvider().getTracer('x').startSpan('after').isRecording(), false)
})

test('a logger that the service has closed already keeps nothing from being counted, and no shutdown from its end', async () => {
  const closed = () => assert.fail('the logger is closed')
  const service = new TracingService({
    serviceName: 'ending',
    kafka: { brokers: ['127.0.0.1:1'] },
    registry: { url: 'http://127.0.0.1:1' },
    logger: { debug: closed, info: closed, warn: closed, error: closed },
  })
  service.tracer.startSpan('lost', {}, ROOT_CONTEXT).end()
  assert.equal(await service.shutdown(50), false)
  assert.doesNotThrow(() => service.tracer.startSpan('after', {}, ROOT_CONTEXT).end())
  assert.equal(service.stats().spans.dropped.shutdown, 2)
})

test('sampler and limits of the configuration hold for its spans, and without limits a span has up to a thousand events', async (t) => {
  const eventsOf = async (config: Partial<TracingConfig>): Promise<number | undefined> => {
    const memory = new InMemorySpanExporter()
    const service = new TracingService({
      serviceName: 'limited',
      kafka: { brokers: ['127.0.0.1:1'] },
      logger: silentLogger,
      spanProcessors: [new SimpleSpanProcessor({ exporter: memory })],
      ...config,
    })
    t.after(() => service.shutdown(0))
    const span = service.tracer.startSpan('x', {}, ROOT_CONTEXT)
    for (let event = 0; event < 1_100; event++) span.addEvent(`event ${event}`)
    span.end()
    await service.flush(0)
    return memory.getFinishedSpans()[0]?.events.length
  }
  assert.equal(await eventsOf({}), 1_000)
  assert.equal(await eventsOf({ spanLimits: { eventCountLimit: 3 } }), 3)
  assert.equal(await eventsOf({ sampler: new AlwaysOffSampler() }), undefined)
})

test('a process may end its tracing and start it anew: spans of the class Span made before go to the new one', async () => {
  const config = { serviceName: 'again', kafka: { brokers: ['127.0.0.1:1'] }, logger: silentLogger }
  const first = initTracing(config)
  const kept = new Span()
  kept.start('first', () => undefined)
  await first.shutdown(0)
  const second = initTracing(config)
  kept.start('second', () => undefined)
  assert.deepEqual([first.stats().spans.accepted, second.stats().spans.accepted], [1, 1])
  await second.shutdown(0)
})

test('a shutdown of no time at all leaves to the spool what that can write', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sidereal-short-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const service = new TracingService({
    serviceName: 'short',
    kafka: { brokers: ['127.0.0.1:1'] },
    registry: { url: 'http://127.0.0.1:1' },
    spool: { folder },
    logger: silentLogger,
  })
  const text = 'x'.repeat(1_500)
  for (let i = 0; i < 5_000; i++)
    service.tracer.startSpan('span', { attributes: { text } }, ROOT_CONTEXT).end()
  await service.shutdown(0)
  const { accepted, spooled, waiting, dropped } = service.stats().spans
  assert.deepEqual([accepted, spooled + dropped.shutdown, waiting], [5_000, 5_000, 0])
  // It writes some 8 MB in its half second; one segment alone are 600 of them.
  assert.ok(spooled >= 1_000, `${spooled} spooled`)
})
