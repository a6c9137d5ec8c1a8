import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { CheckedProducer } from '../../src/kafka/checked-producer.ts'
import { createKafka } from '../../src/kafka/client.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { freshTopic } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { readTopic } from './kafka-for-tests.ts'

const servers = await useServers('kafka')
const { brokers } = servers
const kafka = createKafka({ brokers }, { clientId: 'tests', logger: silentLogger })

const open = (options: { metadataMaxAgeMs?: number } = {}) =>
  new CheckedProducer({ kafka, brokers, logger: silentLogger, ...options })
const record = (key: string, value: string) => ({ key: Buffer.from(key), value: Buffer.from(value) })

test('many concurrent sends arrive once each, those of one key in order, at the offsets that were promised', async () => {
  const topic = await freshTopic(servers, { partitions: 12 })
  await using producer = open()
  const sends = Array.from({ length: 5_000 }, (_, i) =>
    producer.send(topic, [record(`key-${i % 50}`, String(i))]),
  )
  const places = await Promise.all(sends)
  const read = await readTopic(kafka, topic, 5_000)
  assert.equal(read.length, 5_000)
  const last = new Map<string, number>()
  for (const { partition, message } of read) {
    const i = Number(message.value)
    const key = String(message.key)
    assert.ok(i > (last.get(key) ?? -1), `${i} after ${last.get(key)} of ${key}`)
    last.set(key, i)
    assert.deepEqual(places[i], [{ partition, offset: Number(message.offset) }])
  }
})

test('a topic that is not there is named, with what to do', async () => {
  await using producer = open()
  await assert.rejects(producer.send('no-such-topic', [record('a', '1')]), {
    code: 'SIDEREAL_TOPIC_INVALID',
    retryable: false,
    message: /topic no-such-topic does not exist.*sidereal setup/,
  })
})

test('a record over the topic’s limit is refused by name; others of the same moment arrive', async () => {
  const topic = await freshTopic(servers, { partitions: 1, config: { 'max.message.bytes': '2000' } })
  await using producer = new CheckedProducer({
    kafka,
    brokers,
    logger: silentLogger,
    compression: 'none',
  })
  const results = await Promise.allSettled([
    producer.send(topic, [record('a', 'before')]),
    producer.send(topic, [record('a', 'x'.repeat(3_000))]),
    producer.send(topic, [record('a', 'after')]),
  ])
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
  assert.equal(results[1]?.status === 'rejected' && results[1].reason.code, 'SIDEREAL_RECORD_TOO_LARGE')
  const read = await readTopic(kafka, topic, 2)
  assert.deepEqual(
    read.map(({ message }) => String(message.value)),
    ['before', 'after'],
  )
})

test('records for partitions that were added a moment ago are not lost', async () => {
  const topic = await freshTopic(servers, { partitions: 1 })
  await using producer = open({ metadataMaxAgeMs: 0 })
  await producer.send(topic, [record('warm', 'up')])
  const admin = kafka.admin()
  await admin.connect()
  await admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] })
  await admin.disconnect()
  // kafkajs's own metadata is a minute from its end; ours is refreshed at each send until it shows the partitions.
  const deadline = Date.now() + 30_000
  const partitions = new Set<number>()
  let sent = 1
  while (partitions.size < 4 && Date.now() < deadline) {
    const places = await producer.send(
      topic,
      Array.from({ length: 20 }, (_, i) => record(`key-${i}`, 'x')),
    )
    sent += places.length
    for (const { partition } of places) partitions.add(partition)
  }
  assert.equal(partitions.size, 4)
  assert.equal((await readTopic(kafka, topic, sent)).length, sent)
})

test('with no broker there a send rejects as retryable within its time, and names the address', async () => {
  const probe = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => probe.once('listening', resolve))
  const address = `127.0.0.1:${(probe.address() as { port: number }).port}`
  await new Promise((resolve) => probe.close(resolve))
  const kafka = createKafka(
    { brokers: [address] },
    { clientId: 'tests', logger: silentLogger, retry: { retries: 1 } },
  )
  await using producer = new CheckedProducer({
    kafka,
    brokers: [address],
    logger: silentLogger,
    sendTimeoutMs: 1_000,
  })
  await assert.rejects(producer.start(), { code: 'SIDEREAL_KAFKA_UNAVAILABLE', retryable: true })
  await assert.rejects(producer.send('t', [record('a', '1')]), {
    code: 'SIDEREAL_KAFKA_UNAVAILABLE',
    message: new RegExp(address),
  })
})

test('an idle connection does not wake the process a thousand times a second', async () => {
  const require = createRequire(import.meta.url)
  const { prototype } = require('kafkajs/src/network/requestQueue') as {
    prototype: { checkPendingRequests(): void }
  }
  const original = prototype.checkPendingRequests
  let wakes = 0
  prototype.checkPendingRequests = function () {
    wakes++
    original.call(this)
  }
  try {
    const admin = kafka.admin()
    await admin.connect()
    await admin.listTopics()
    const before = wakes
    // Not a wait for something: the second of idleness is what is counted.
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    assert.ok(wakes - before <= 5, `${wakes - before} wake-ups`)
    await admin.disconnect()
  } finally {
    prototype.checkPendingRequests = original
  }
})
