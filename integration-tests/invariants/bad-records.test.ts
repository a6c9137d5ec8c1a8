import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createKafka } from '../../src/kafka/client.ts'
import { DEAD_LETTER_HEADERS } from '../../src/model/dead-letter.ts'
import { testBatch, testLog, testSpan } from '../../src/sinks/fragments.testing.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { readTopic } from '../kafka/kafka-for-tests.ts'
import { badRecords } from '../support/bad-records.ts'
import { freshName } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { endWell, FreshPipeline } from './pipeline-for-tests.ts'
import { RecordSender } from './records-for-tests.ts'

const PARTITIONS = 6
const servers = await useServers()

describe('bad records among good ones', () => {
  test('each becomes a dead letter with its place, stage and reason, on every partition; the good ones go on', async () => {
    const pipeline = await FreshPipeline.open(servers, { SIDEREAL_TOPIC_PARTITIONS: String(PARTITIONS) })
    const sender = await RecordSender.open(servers, pipeline.topic)
    try {
      const foreign = JSON.stringify({
        type: 'record',
        name: 'Order',
        fields: [{ name: 'id', type: 'string' }],
      })
      const kinds = badRecords({
        sid: 'sid-bad',
        spans: sender.spanBatch(testBatch({ sid: 'sid-bad', spans: [testSpan()] })),
        log: sender.nodeTraceLog(testLog({ sid: 'sid-bad' })),
        foreignSchemaId: await sender.registry.register(freshName('orders'), foreign),
      })
      const worker = pipeline.startWorker()
      await worker.metricsUrl()
      const load = pipeline.startLoad(600)
      await pipeline.untilStored(500)
      const sent = await sender.send(
        kinds.flatMap(({ key, value }) =>
          Array.from({ length: PARTITIONS }, (_, partition) => ({
            key: key === null ? null : Buffer.from(key),
            value,
            partition,
          })),
        ),
      )
      await pipeline.untilStored((await pipeline.storedSpans()) + 1_000)
      await load.stop()
      await pipeline.verifyClean([load.ledger])
      await endWell(worker)

      const kafka = createKafka(
        { brokers: servers.brokers },
        { clientId: freshName('client'), logger: silentLogger },
      )
      const letters = await readTopic(kafka, pipeline.env['SIDEREAL_DEAD_LETTER_TOPIC'] ?? '', sent.length)
      assert.equal(letters.length, sent.length, 'each once, since no worker was killed')
      const byPlace = new Map(
        letters.map(({ message }) => {
          const header = (name: string) => String(message.headers?.[name])
          const { topic, partition, offset } = DEAD_LETTER_HEADERS
          return [`${header(topic)}/${header(partition)}/${header(offset)}`, { message, header }]
        }),
      )
      for (const [index, { partition, offset }] of sent.entries()) {
        const { what, reason, key, value } = kinds[Math.floor(index / PARTITIONS)] ?? assert.fail()
        const letter = byPlace.get(`${pipeline.topic}/${partition}/${offset}`)
        assert.ok(letter !== undefined, `no dead letter for ${what} at ${partition}/${offset}`)
        assert.equal(letter.header(DEAD_LETTER_HEADERS.reason), reason, what)
        const isOfKey = ['null_key', 'key_mismatch'].includes(reason)
        const stage = letter.header(DEAD_LETTER_HEADERS.stage)
        assert.match(stage, isOfKey ? /^(KEY|VALUE)_CONVERTER$/ : /^VALUE_CONVERTER$/, what)
        const ofConnect = Object.values(DEAD_LETTER_HEADERS).filter((name) =>
          name.startsWith('__connect.errors.'),
        )
        assert.equal(ofConnect.length, 10)
        for (const name of ofConnect) assert.notEqual(letter.header(name), 'undefined', `${what}: ${name}`)
        assert.equal(letter.message.key === null ? null : String(letter.message.key), key, what)
        assert.deepEqual(letter.message.value, value, what)
      }
    } finally {
      await sender.close()
    }
  })
})
