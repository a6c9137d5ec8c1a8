import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createKafka } from '../../src/kafka/client.ts'
import { initTracing, NodeTraceLog, Span } from '../../src/producer/index.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { freshTopic } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'

const servers = await useServers('kafka', 'registry')
const REQUESTS = 20
/** So long that nothing would leave by itself. */
const LINGER_MS = 60_000

test('a flush after each request, as a function does that may be frozen then: when it says true, Kafka has all of the request', async () => {
  const topic = await freshTopic(servers, { partitions: 3 })
  const tracing = initTracing({
    serviceName: 'function',
    kafka: { brokers: servers.brokers },
    registry: { url: servers.registryUrl },
    topic,
    lingerMs: LINGER_MS,
    logger: silentLogger,
  })
  const admin = createKafka({ brokers: servers.brokers }, { clientId: 'tests', logger: silentLogger }).admin()
  await admin.connect()
  const recordsInTopic = async () =>
    (await admin.fetchTopicOffsets(topic)).reduce((sum, { high }) => sum + Number(high), 0)
  try {
    for (let request = 1; request <= REQUESTS; request++) {
      new Span().start(`request-${request}`, (span: Span) => span.start('work', () => undefined))
      tracing.publishNodeTraceLog(new NodeTraceLog({ question: `question-${request}` }))
      assert.equal(await tracing.flush(10_000), true)
      const { spans, logs } = tracing.stats()
      assert.deepEqual([spans.sent, spans.waiting, logs.sent, logs.waiting], [2 * request, 0, request, 0])
      // One record with both spans, and one with the log.
      assert.equal(await recordsInTopic(), 2 * request)
    }
  } finally {
    await admin.disconnect()
    await tracing.shutdown(0)
  }
})
