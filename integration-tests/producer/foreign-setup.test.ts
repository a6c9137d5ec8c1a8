import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ROOT_CONTEXT, trace } from '@opentelemetry/api'
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { createKafka } from '../../src/kafka/client.ts'
import { TracingService } from '../../src/producer/index.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { readTopic } from '../kafka/kafka-for-tests.ts'
import { freshTopic } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { readNames } from './topic-names.ts'

const servers = await useServers('kafka', 'registry')
const kafka = createKafka({ brokers: servers.brokers }, { clientId: 'tests', logger: silentLogger })

/** A service beside an OpenTelemetry that somebody else has set up. */
async function guest() {
  const topic = await freshTopic(servers, { partitions: 1 })
  const service = new TracingService({
    serviceName: 'guest',
    kafka: { brokers: servers.brokers },
    registry: { url: servers.registryUrl },
    topic,
    logger: silentLogger,
  })
  return { topic, service }
}

test('spanExporter in somebody else’s batch processor: spans arrive, keyed by their attribute sid, else by their trace id', async () => {
  const { topic, service } = await guest()
  const host = new TracerProvider({
    spanProcessors: [new BatchSpanProcessor({ exporter: service.spanExporter })],
  })
  const tracer = host.getTracer('host')
  tracer.startSpan('named', { attributes: { sid: 'sid-of-the-host' } }, ROOT_CONTEXT).end()
  const unnamed = tracer.startSpan('unnamed', {}, ROOT_CONTEXT)
  tracer.startSpan('child', {}, trace.setSpan(ROOT_CONTEXT, unnamed)).end()
  unnamed.end()
  await host.forceFlush()
  // It is the service's to shut down, and the host's provider does it first.
  await host.shutdown()
  assert.equal(await service.shutdown(), true)
  assert.equal(service.stats().spans.sent, 3)
  const keys = (await readTopic(kafka, topic, 2)).map(({ message }) => String(message.key))
  assert.deepEqual(keys.sort(), [unnamed.spanContext().traceId, 'sid-of-the-host'].sort())
  assert.deepEqual([...(await readNames(servers, topic)).spans].sort(), ['child', 'named', 'unnamed'])
})

test('spanProcessor in somebody else’s provider: spans of one request share a SID of ours, and one record', async () => {
  const { topic, service } = await guest()
  const host = new TracerProvider({ spanProcessors: [service.spanProcessor] })
  const tracer = host.getTracer('host')
  const root = tracer.startSpan('root', {}, ROOT_CONTEXT)
  tracer.startSpan('child', {}, trace.setSpan(ROOT_CONTEXT, root)).end()
  root.end()
  await host.shutdown()
  assert.equal(await service.shutdown(), true)
  const [record] = await readTopic(kafka, topic, 1)
  assert.match(String(record?.message.key), /^svc[0-9a-f]{8}@src/)
  assert.deepEqual([...(await readNames(servers, topic)).spans].sort(), ['child', 'root'])
})
