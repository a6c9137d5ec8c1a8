import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ROOT_CONTEXT } from '@opentelemetry/api'
import { createKafka } from '../../src/kafka/client.ts'
import { initTracing, Span, Trace } from '../../src/producer/index.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { readTopic } from '../kafka/kafka-for-tests.ts'
import { freshTopic } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'

const servers = await useServers('kafka')

test('a request that goes through Kafka keeps its SID and its trace in the headers of the record', async () => {
  const topic = await freshTopic(servers)
  const kafka = createKafka({ brokers: servers.brokers }, { clientId: 'tests', logger: silentLogger })
  const tracing = initTracing({
    serviceName: 'both',
    kafka: { brokers: servers.brokers },
    logger: silentLogger,
  })
  const producer = kafka.producer()
  await producer.connect()
  try {
    const sent = await new Span({ appId: 'app', uid: '用户' }).start('produce', async (span) => {
      const headers = Trace.injectContext({} as Record<string, string>)
      await producer.send({ topic, messages: [{ value: 'x', headers }] })
      return { ...Trace.identity(), traceId: span.getOtlpSpan().spanContext().traceId }
    })
    const [record] = await readTopic(kafka, topic, 1)
    const traceContext = record?.message.headers ?? {}
    assert.equal(Trace.sid(Trace.extractContext(traceContext, ROOT_CONTEXT)), sent.sid)
    new Span().start('consume', { traceContext }, (span) => {
      assert.deepEqual({ ...Trace.identity(), traceId: span.getOtlpSpan().spanContext().traceId }, sent)
    })
  } finally {
    await producer.disconnect()
    await tracing.shutdown(0)
  }
})
