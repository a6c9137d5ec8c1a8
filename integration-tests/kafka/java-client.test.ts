import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CheckedProducer } from '../../src/kafka/checked-producer.ts'
import { createKafka } from '../../src/kafka/client.ts'
import { COMPRESSIONS } from '../../src/kafka/codecs.ts'
import { partitionFor } from '../../src/kafka/partitioner.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { freshTopic } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { readTopic, runJava } from './kafka-for-tests.ts'

const COUNT = 300
const PARTITIONS = 7
/** Keys of many lengths, so that murmur2's tail is used in all its ways. */
const RECORDS = Array.from({ length: COUNT }, (_, i) => ({
  key: `sid-${'x'.repeat(i % 40)}@${i}${i % 3 === 0 ? 'ü' : ''}`,
  value: `{"i":${i},"text":"${'你好, world. '.repeat(i % 50)}"}`,
}))
const asText = (records: readonly { key: string; value: string }[]) =>
  records.map(({ key, value }) => `${key}\t${value}`).sort()

const servers = await useServers('kafka')
const { brokers } = servers
const kafka = createKafka({ brokers }, { clientId: 'tests', logger: silentLogger })

for (const compression of COMPRESSIONS) {
  test(`${compression}: what the Java client writes is read here, in the partitions that we would choose`, async () => {
    const topic = await freshTopic(servers, { partitions: PARTITIONS })
    await runJava(
      'org.apache.kafka.tools.ConsoleProducer',
      [
        ...['--bootstrap-server', brokers.join(','), '--topic', topic, '--compression-codec', compression],
        ...['--batch-size', '65536', '--timeout', '200', '--property', 'parse.key=true'],
      ],
      RECORDS.map(({ key, value }) => `${key}\t${value}\n`).join(''),
    )
    const read = await readTopic(kafka, topic, COUNT)
    for (const { partition, message } of read) assert.equal(partitionFor(message.key!, PARTITIONS), partition)
    assert.deepEqual(
      asText(read.map(({ message }) => ({ key: String(message.key), value: String(message.value) }))),
      asText(RECORDS),
    )
  })

  test(`${compression}: what is written here is read here and by the Java client`, async () => {
    const topic = await freshTopic(servers, { partitions: PARTITIONS })
    await using producer = new CheckedProducer({
      kafka,
      brokers,
      logger: silentLogger,
      compression,
    })
    const sent = await producer.send(
      topic,
      RECORDS.map(({ key, value }) => ({ key: Buffer.from(key), value: Buffer.from(value) })),
    )
    const read = await readTopic(kafka, topic, COUNT)
    const places = new Map(read.map(({ partition, message }) => [`${partition}/${message.offset}`, message]))
    sent.forEach(({ partition, offset }, i) => {
      const message = places.get(`${partition}/${offset}`)
      assert.deepEqual({ key: String(message?.key), value: String(message?.value) }, RECORDS[i])
    })
    const printed = await runJava('org.apache.kafka.tools.consumer.ConsoleConsumer', [
      ...['--bootstrap-server', brokers.join(','), '--topic', topic, '--from-beginning'],
      ...['--max-messages', String(COUNT), '--timeout-ms', '30000', '--property', 'print.key=true'],
    ])
    assert.deepEqual(printed.trimEnd().split('\n').sort(), asText(RECORDS))
  })
}

test('records with headers, without a key and without a value are read by the Java client as they were written', async () => {
  const topic = await freshTopic(servers, { partitions: 1 })
  await using producer = new CheckedProducer({ kafka, brokers, logger: silentLogger })
  await producer.send(topic, [
    { key: Buffer.from('k'), value: null, headers: { one: 'ü', two: [Buffer.from('a'), 'b'] } },
    { key: null, value: Buffer.from('v'), headers: {} },
  ])
  const printed = await runJava('org.apache.kafka.tools.consumer.ConsoleConsumer', [
    ...['--bootstrap-server', brokers.join(','), '--topic', topic, '--from-beginning'],
    ...['--max-messages', '2', '--timeout-ms', '30000'],
    ...['--property', 'print.key=true', '--property', 'print.headers=true'],
  ])
  assert.deepEqual(printed.trimEnd().split('\n'), ['one:ü,two:a,two:b\tk\tnull', 'NO_HEADERS\tnull\tv'])
})
