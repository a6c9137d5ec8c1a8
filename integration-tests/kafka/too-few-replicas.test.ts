import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { CheckedProducer } from '../../src/kafka/checked-producer.ts'
import { createKafka } from '../../src/kafka/client.ts'
import { partitionFor } from '../../src/kafka/partitioner.ts'
import { KafkaServer } from '../../src/local/kafka-server.ts'
import { makeTemporaryFolder } from '../../src/local/local-folders.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { freshTopic } from '../support/fresh.ts'
import { readTopic } from './kafka-for-tests.ts'

/** Both partitions have the same leader, and one of them its only other replica on the broker that dies. */
const LEADER = 1
const DYING = 2
const HEALTHY_PARTITION = 1
const RECORDS = 200

const folder = makeTemporaryFolder('too-few-replicas')
const server = new KafkaServer({
  dataFolder: join(folder, 'kafka'),
  logFolder: join(folder, 'logs'),
  brokers: 3,
})
await server.start()
after(() => server.close())
await server.ready()
const brokers = server.address.split(',')
const kafka = createKafka({ brokers }, { clientId: 'tests', logger: silentLogger })

test('a partition with too few replicas in sync holds up none of its leader’s others, and has its records once it has them', async () => {
  const replicas = [
    [LEADER, DYING],
    [LEADER, 3],
  ]
  const topic = await freshTopic({ brokers }, { replicas, config: { 'min.insync.replicas': '2' } })
  await using producer = new CheckedProducer({ kafka, brokers, logger: silentLogger, sendTimeoutMs: 120_000 })
  await producer.send(topic, [{ key: Buffer.from('warm'), value: Buffer.from('warm') }])
  await server.brokers[DYING - 1]!.kill()
  // Until its replica is out of sync the partition waits for it, and then it refuses.
  await sleep(1_000)
  const keys = Array.from({ length: RECORDS }, (_, i) => `key-${i}`)
  const settled = new Map<string, unknown>()
  producer.sendEach(
    topic,
    keys.map((key) => ({ key: Buffer.from(key), value: Buffer.from(key) })),
    (index, error) => settled.set(keys[index]!, error),
  )
  const healthy = keys.filter((key) => partitionFor(Buffer.from(key), 2) === HEALTHY_PARTITION)
  const deadline = performance.now() + 90_000
  while (!healthy.every((key) => settled.has(key))) {
    assert.ok(performance.now() < deadline, `${settled.size} of ${healthy.length} records are written`)
    await sleep(50)
  }
  assert.equal(settled.size, healthy.length)
  await server.brokers[DYING - 1]!.start()
  while (settled.size < RECORDS) {
    assert.ok(performance.now() < deadline, `${settled.size} of ${RECORDS} records are written`)
    await sleep(50)
  }
  assert.deepEqual([...new Set(settled.values())], [undefined])
  const admin = kafka.admin()
  await admin.connect()
  const ends = await admin.fetchTopicOffsets(topic)
  await admin.disconnect()
  const count = ends.reduce((sum, { high }) => sum + Number(high), 0)
  const values = (await readTopic(kafka, topic, count)).map(({ message }) => String(message.value))
  assert.deepEqual(new Set(values), new Set(['warm', ...keys]))
  // kafkajs repeats a request three times by itself; then the partition has one of its own.
  const times = healthy.map((key) => values.filter((value) => value === key).length)
  assert.ok(Math.max(...times) <= 5, `a record is there ${Math.max(...times)} times`)
})
