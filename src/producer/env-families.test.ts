import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { context, defaultTextMapGetter, propagation, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import { silentLogger } from '../telemetry/logger.ts'
import { boxOfContext } from './identity.ts'
import { NodeTraceLog } from './node-trace-log.ts'
import { Spool } from './spool.ts'
import { Trace } from './trace-context.ts'
import { tracingConfigFromEnv } from './tracing-config.ts'
import { initTracing, TracingService } from './tracing-service.ts'

function read(env: Record<string, string>) {
  const warnings: string[][] = []
  const logger = {
    ...silentLogger,
    warn: ({ problems }: Readonly<Record<string, unknown>>) => void warnings.push(problems as string[]),
  }
  return { config: tracingConfigFromEnv(env, logger), warnings }
}

test('the variables of the source and of OpenTelemetry both work', () => {
  const source = read({
    SERVICE_NAME: 'workflow',
    SERVICE_SUB: 'spf',
    SERVICE_LOCATION: 'hf',
    SERVICE_PORT: '7880',
    KAFKA_SERVERS: 'kafka:9092',
    OTLP_TRACE_SCHEDULE_DELAY_MILLIS: '3000',
  })
  assert.deepEqual(source.config, {
    serviceName: 'workflow',
    resourceAttributes: {},
    sid: { sub: 'spf', location: 'hf', port: '7880' },
    kafka: { brokers: ['kafka:9092'], tls: undefined },
    lingerMs: 3000,
  })
  const standard = read({
    OTEL_SERVICE_NAME: 'workflow',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=prod,service.version=1%202',
    OTEL_BSP_SCHEDULE_DELAY: '200',
    OTEL_SPAN_EVENT_COUNT_LIMIT: '10',
    OTEL_ATTRIBUTE_COUNT_LIMIT: '20',
    OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: '30',
    OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT: '40',
    OTEL_PROPAGATORS: 'tracecontext,baggage',
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: '0.25',
    OTEL_SDK_DISABLED: 'true',
  })
  const { sampler, ...others } = standard.config
  assert.match(String(sampler), /^ParentBased\{root=TraceIdRatioBased\{0\.25\}/)
  assert.deepEqual(others, {
    serviceName: 'workflow',
    resourceAttributes: { 'deployment.environment.name': 'prod', 'service.version': '1 2' },
    sid: {},
    lingerMs: 200,
    spanLimits: { eventCountLimit: 10, attributeCountLimit: 30, attributePerEventCountLimit: 40 },
    isDisabled: true,
  })
  assert.deepEqual([source.warnings, standard.warnings], [[], []])
})

test('where both say the same nothing is told; where they contradict each other there is one warning, and the documented one counts', () => {
  const same = read({ OTEL_SERVICE_NAME: 'a', SERVICE_NAME: 'a' })
  assert.deepEqual([same.config.serviceName, same.warnings], ['a', []])
  const { config, warnings } = read({
    OTEL_SERVICE_NAME: 'a',
    SERVICE_NAME: 'b',
    SIDEREAL_KAFKA_BROKERS: 'one:1',
    KAFKA_SERVERS: 'two:2',
    OTEL_BSP_SCHEDULE_DELAY: '100',
    OTLP_TRACE_SCHEDULE_DELAY_MILLIS: '3000',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318',
    OTLP_ENABLE: '0',
  })
  assert.deepEqual([config.serviceName, config.kafka?.brokers, config.lingerMs], ['a', ['one:1'], 100])
  assert.deepEqual(warnings, [
    [
      'OTEL_SERVICE_NAME and SERVICE_NAME differ: OTEL_SERVICE_NAME counts',
      'SIDEREAL_KAFKA_BROKERS and KAFKA_SERVERS differ: SIDEREAL_KAFKA_BROKERS counts',
      'OTEL_BSP_SCHEDULE_DELAY and OTLP_TRACE_SCHEDULE_DELAY_MILLIS differ: OTEL_BSP_SCHEDULE_DELAY counts',
      'OTEL_EXPORTER_OTLP_ENDPOINT and OTLP_ENABLE contradict each other: OTEL_EXPORTER_OTLP_ENDPOINT counts',
    ],
  ])
})

test('a value that cannot be used is told with the others, and the default is used', () => {
  const { config, warnings } = read({
    OTEL_BSP_SCHEDULE_DELAY: 'soon',
    OTEL_SPAN_EVENT_COUNT_LIMIT: '-1',
    OTEL_TRACES_SAMPLER: 'sometimes',
    OTEL_PROPAGATORS: 'tracecontext,baggage,b3',
  })
  assert.deepEqual([config.lingerMs, config.spanLimits, config.sampler], [undefined, undefined, undefined])
  assert.equal(warnings.length, 1)
  assert.equal(warnings[0]?.length, 4)
  const ratio = read({ OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '7' })
  assert.equal(String(ratio.config.sampler), 'AlwaysOnSampler')
})

test('a word that is neither true nor false is told, and the safer of both counts', () => {
  const { config, warnings } = read({
    SIDEREAL_PRODUCER_PUBLIC_ENDPOINT: 'ture',
    OTEL_SDK_DISABLED: 'ture',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4317',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    OTEL_EXPORTER_OTLP_INSECURE: 'ture',
  })
  assert.deepEqual(
    [config.identityPeers?.publicEndpoint, config.isDisabled, config.exporters],
    [true, undefined, [{ kind: 'otlp', protocol: 'grpc', url: 'https://collector:4317' }]],
  )
  assert.deepEqual(warnings, [
    [
      'OTEL_EXPORTER_OTLP_INSECURE is neither true nor false: false is used',
      'OTEL_SDK_DISABLED is neither true nor false: false is used',
      'SIDEREAL_PRODUCER_PUBLIC_ENDPOINT is neither true nor false: true is used',
    ],
  ])
  const off = read({ SIDEREAL_PRODUCER_PUBLIC_ENDPOINT: 'off', OTEL_SDK_DISABLED: '0' })
  assert.deepEqual(
    [off.config.identityPeers, off.config.isDisabled, off.warnings],
    [undefined, undefined, []],
  )
})

test('what does nothing here, and what is left out of the resource, is told', () => {
  const { config, warnings } = read({
    SERVICE_NAME: 'a',
    OTEL_RESOURCE_ATTRIBUTES: 'service.name=b,broken',
    OTEL_BSP_MAX_QUEUE_SIZE: '2048',
    OTLP_TRACE_MAX_EXPORT_BATCH_SIZE: '512',
    SIDEREAL_PRODUCER_SPOOL_MAX_BYTES: '1000',
    SIDEREAL_REGISTRY_TLS_CA: '/ca.pem',
  })
  assert.deepEqual([config.serviceName, config.resourceAttributes], ['a', { 'service.name': 'b' }])
  assert.deepEqual(warnings, [
    [
      'OTEL_BSP_MAX_QUEUE_SIZE, OTLP_TRACE_MAX_EXPORT_BATCH_SIZE: without effect, the queue for Kafka is bounded by SIDEREAL_PRODUCER_QUEUE_BYTES',
      'OTEL_RESOURCE_ATTRIBUTES has entries that are not key=value: they are left out',
      'SERVICE_NAME and service.name of OTEL_RESOURCE_ATTRIBUTES differ: SERVICE_NAME counts',
      'SIDEREAL_REGISTRY_TLS_CA: nothing is done with it without SIDEREAL_REGISTRY_URL',
      'SIDEREAL_PRODUCER_SPOOL_MAX_BYTES does nothing without SIDEREAL_PRODUCER_SPOOL_DIR',
    ],
  ])
})

test('a network that is none is told and left out: it must not seem to be denied', () => {
  const { config, warnings } = read({
    SIDEREAL_PRODUCER_IDENTITY_PEERS_DENY: '10.0.0.0/, 10.1.0.0/16',
    SIDEREAL_PRODUCER_BAGGAGE_HOSTS_ALLOW: '10.0.0.0/8.5',
  })
  assert.deepEqual(config.identityPeers?.deny, ['10.1.0.0/16'])
  assert.equal(config.baggageHosts, undefined)
  assert.deepEqual(warnings, [
    [
      'SIDEREAL_PRODUCER_IDENTITY_PEERS_DENY: 10.0.0.0/ is no network such as 10.1.0.0/16: it is left out',
      'SIDEREAL_PRODUCER_BAGGAGE_HOSTS_ALLOW: 10.0.0.0/8.5 is no network such as 10.1.0.0/16: it is left out',
    ],
  ])
})

test('who may learn and who may name an identity can be said by variables', () => {
  const { config } = read({
    SIDEREAL_PRODUCER_BAGGAGE_HOSTS_ALLOW: '.example.com, api.partner.net',
    SIDEREAL_PRODUCER_BAGGAGE_HOSTS_DENY: '10.0.0.0/8',
    SIDEREAL_PRODUCER_IDENTITY_PEERS_ALLOW: '100.64.0.0/10',
    SIDEREAL_PRODUCER_PUBLIC_ENDPOINT: 'yes',
  })
  assert.deepEqual(config.baggageHosts, { allow: ['.example.com', 'api.partner.net'], deny: ['10.0.0.0/8'] })
  assert.deepEqual(config.identityPeers, { allow: ['100.64.0.0/10'], deny: [], publicEndpoint: true })
  assert.deepEqual([read({}).config.identityPeers, read({}).config.baggageHosts], [undefined, undefined])
})

test('a disabled service records and publishes nothing, nor what others have left on disk', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sidereal-disabled-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const ignore = () => undefined
  const left = new Spool({ root: folder, logger: silentLogger, onRecovered: ignore, onLost: ignore })
  await left.append([{ kind: 'spans', sid: 's', items: 1, framed: Buffer.alloc(50), number: 0 }], 0)
  await left.close()
  const service = new TracingService({
    ...read({ OTEL_SDK_DISABLED: 'true', SIDEREAL_KAFKA_BROKERS: '127.0.0.1:1' }).config,
    spool: { folder },
    logger: silentLogger,
  })
  service.tracer.startSpan('x', {}, ROOT_CONTEXT).end()
  ;new (service.getSpan())().start('y', (span) => span.addInfoEvent('nothing'))
  service.publishNodeTraceLog(new NodeTraceLog())
  assert.deepEqual([service.stats().spans.accepted, service.stats().logs.accepted], [0, 0])
  assert.equal(await service.shutdown(), true)
  assert.equal(service.stats().spans.recovered, 0)
})

test('a disabled service passes a caller’s trace on as it came, with its sampling decision and identity, and begins none', (t) => {
  const service = initTracing({ serviceName: 'off', isDisabled: true, logger: silentLogger })
  t.after(() => service.shutdown(0))
  const came = { traceparent: `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`, baggage: 'sid=s-1,app_id=app' }
  const below = Trace.extractContext(came)
  const sent = context.with(below, () =>
    new (service.getSpan())().start('by hand', () =>
      service.tracer.startActiveSpan('by tracer', () =>
        trace.getTracer('other').startActiveSpan('instrumented', () => Trace.injectContext()),
      ),
    ),
  )
  assert.equal(sent['traceparent'], came.traceparent)
  assert.deepEqual(new Set(String(sent['baggage']).split(',')), new Set(came.baggage.split(',')))
  const own = service.tracer.startActiveSpan('root', () => Trace.injectContext())
  assert.equal(own['traceparent'], undefined)
})

/** What a caller writes who may not say who the request belongs to. */
const EVIL = { traceparent: `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`, baggage: 'sid=evil,app_id=evil' }

test('a disabled service believes no more callers than another one', (t) => {
  const service = initTracing({
    serviceName: 'off',
    isDisabled: true,
    identityPeers: { publicEndpoint: true },
    logger: silentLogger,
  })
  t.after(() => service.shutdown(0))
  const inbound = propagation.extract(ROOT_CONTEXT, EVIL)
  service.tracer.startActiveSpan(
    'server',
    { attributes: { 'network.peer.address': '10.0.0.1' } },
    inbound,
    () => assert.ok(!JSON.stringify(Trace.injectContext()).includes('evil')),
  )
})

test('the propagator for an OpenTelemetry of somebody else’s has the rules of the configuration', (t) => {
  const service = new TracingService({
    serviceName: 'beside',
    identityPeers: { publicEndpoint: true },
    logger: silentLogger,
  })
  t.after(() => service.shutdown(0))
  const inbound = service.propagator.extract(ROOT_CONTEXT, EVIL, defaultTextMapGetter)
  assert.notEqual(boxOfContext(inbound)?.identity.sid, 'evil')
  const open = new TracingService({ serviceName: 'beside', logger: silentLogger })
  t.after(() => open.shutdown(0))
  assert.equal(
    boxOfContext(open.propagator.extract(ROOT_CONTEXT, EVIL, defaultTextMapGetter))?.identity.sid,
    'evil',
  )
})

test('variables of the source that nothing reads are told', () => {
  const { warnings } = read({ KAFKA_TOPIC: 'logs', KAFKA_TIMEOUT: '5', OTEL_TRACES_SAMPLER_ARG: '0.5' })
  const [problems = []] = warnings
  for (const name of ['KAFKA_TOPIC', 'KAFKA_TIMEOUT', 'OTEL_TRACES_SAMPLER_ARG'])
    assert.ok(
      problems.some((problem) => problem.startsWith(`${name}: without effect`)),
      name,
    )
  assert.deepEqual(read({ KAFKA_TOPIC: 'logs', SIDEREAL_TOPIC: 'traces' }).warnings, [])
})

test('a ratio for a sampler that has none is told', () => {
  const { warnings } = read({ OTEL_TRACES_SAMPLER: 'parentbased_always_on', OTEL_TRACES_SAMPLER_ARG: '0.1' })
  assert.deepEqual(warnings, [
    ['OTEL_TRACES_SAMPLER_ARG: without effect, OTEL_TRACES_SAMPLER is parentbased_always_on'],
  ])
})
