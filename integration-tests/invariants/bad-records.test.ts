import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createKafka } from '../../src/kafka/client.ts'
import { DEAD_LETTER_HEADERS, type DeadLetterReason } from '../../src/model/dead-letter.ts'
import { testBatch, testLog, testSpan } from '../../src/sinks/fragments.testing.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { readTopic } from '../kafka/kafka-for-tests.ts'
import { freshName } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { endWell, FreshPipeline } from './pipeline-for-tests.ts'
import { RecordSender } from './records-for-tests.ts'

const PARTITIONS = 6
const servers = await useServers()

interface BadRecord {
  readonly what: string
  readonly reason: DeadLetterReason
  readonly key: string | null
  readonly value: Buffer | null
}

/** Every way to be bad that a sender has, made from a good record. */
function badRecords(spans: Buffer, log: Buffer, foreignSchemaId: number): BadRecord[] {
  const changed = (at: number, byte: number) => {
    const value = Buffer.from(spans)
    value[at] = byte
    return value
  }
  const withSchema = (id: number) => {
    const value = Buffer.from(spans)
    value.writeUInt32BE(id, 1)
    return value
  }
  const bad = (
    what: string,
    reason: DeadLetterReason,
    value: Buffer | null,
    key: string | null = 'sid-bad',
  ) => ({
    what,
    reason,
    key,
    value,
  })
  return [
    bad('garbage', 'bad_frame', Buffer.from('{"sid":"json, as the services of today send it"}')),
    bad('garbage of a megabyte', 'bad_frame', Buffer.alloc(1024 * 1024, 0xa5)),
    bad('nothing at all', 'bad_frame', Buffer.alloc(0)),
    bad('half a frame', 'bad_frame', spans.subarray(0, 4)),
    bad('another magic byte', 'bad_frame', changed(0, 1)),
    bad('a schema id that nobody registered', 'schema_unknown', withSchema(987_654)),
    bad('the schema of something else', 'schema_unusable', withSchema(foreignSchemaId)),
    bad('a frame without a record', 'record_invalid', spans.subarray(0, 5)),
    bad('a batch that is cut', 'record_invalid', spans.subarray(0, spans.length - 9)),
    bad('a batch that is cut after its SID', 'record_invalid', spans.subarray(0, 14)),
    bad('bytes after the record', 'record_invalid', Buffer.concat([spans, Buffer.from('more')])),
    bad('a log that is cut', 'record_invalid', log.subarray(0, log.length - 3)),
    bad('a length beyond the record', 'record_invalid', changed(5, 0xfe)),
    bad('zeros behind the frame', 'record_invalid', Buffer.concat([spans.subarray(0, 5), Buffer.alloc(200)])),
    bad('no key', 'null_key', spans, null),
    bad('a tombstone', 'tombstone', null),
    bad('a key that is not the SID', 'key_mismatch', spans, 'another'),
    bad('an empty key', 'key_mismatch', spans, ''),
    bad('the SID in other letters', 'key_mismatch', spans, 'SID-BAD'),
  ]
}

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
      const kinds = badRecords(
        sender.spanBatch(testBatch({ sid: 'sid-bad', spans: [testSpan()] })),
        sender.nodeTraceLog(testLog({ sid: 'sid-bad' })),
        await sender.registry.register(freshName('orders'), foreign),
      )
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
