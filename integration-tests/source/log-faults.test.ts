import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { AssignerProtocol, type Consumer, type PartitionAssigner } from 'kafkajs'
import { waitForLeaders } from '../../src/audit/setup-topics.ts'
import { CheckedProducer } from '../../src/kafka/checked-producer.ts'
import { crc32c } from '../../src/kafka/crc32c.ts'
import { createPartitioner } from '../../src/kafka/partitioner.ts'
import { BatchMessage, ProduceEncoder, patchProduce } from '../../src/kafka/produce-request.ts'
import { ATTRIBUTES_AT, BATCH_HEADER_BYTES, CRC_AT } from '../../src/kafka/record-batch-layout.ts'
import type { SiderealError } from '../../src/model/errors.ts'
import type { Task, TaskHandler } from '../../src/model/task.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { assignPartitions } from '../../src/worker/source/assign-partitions.ts'
import type { Source } from '../../src/worker/source/source.ts'
import type { SourceOptions } from '../../src/worker/source/source-options.ts'
import { readTopic, runJava } from '../kafka/kafka-for-tests.ts'
import { freshName, freshTopic } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { isAllCommitted, kafkaFor, logEnds, makeSource, until, withAdmin } from './source-for-tests.ts'

// What other clients of a broker do to our topic and our group.

const servers = await useServers('kafka')
const { brokers } = servers

interface Reader {
  readonly source: Source
  readonly fatal: SiderealError[]
  /** Values of the records that were read, and settled at once, by offset. */
  readonly taken: Map<number, string>
}

async function startReader(
  topic: string,
  groupId: string,
  options: Partial<SourceOptions> = {},
): Promise<Reader> {
  const fatal: SiderealError[] = []
  const taken = new Map<number, string>()
  const nothing = () => undefined
  const handler = (task: Task): TaskHandler => ({
    onRecord: ({ offset, value }) => {
      taken.set(offset, String(value))
      task.settle([offset])
      return 'taken'
    },
    onSkipped: nothing,
    onQuiet: nothing,
    onTick: nothing,
    onLost: nothing,
  })
  const source = makeSource(brokers, { topic, groupId, ...options }, handler, (error) => fatal.push(error))
  await source.start()
  return { source, fatal, taken }
}

async function createAnew(topic: string): Promise<void> {
  await withAdmin(brokers, async (admin) => {
    await admin.deleteTopics({ topics: [topic] })
    await until('the topic is gone', async () => !(await admin.listTopics()).includes(topic))
    const configEntries = [{ name: 'message.timestamp.type', value: 'LogAppendTime' }]
    const wanted = { topic, numPartitions: 1, replicationFactor: 1, configEntries }
    await admin.createTopics({ waitForLeaders: false, topics: [wanted] })
    await waitForLeaders(admin, { topic, partitions: 1 })
  })
}

/** Puts values into a topic of one partition that no test has put there before. */
async function produceValues(topic: string, values: readonly string[]): Promise<void> {
  const producer = kafkaFor(brokers).producer({ allowAutoTopicCreation: false })
  await producer.connect()
  await producer.send({ topic, messages: values.map((value) => ({ key: 'k', value })) })
  await producer.disconnect()
}

describe('a topic that is deleted and created anew under its name', { concurrency: 3 }, () => {
  const first = Array.from({ length: 100 }, (_, i) => `former ${i}`)
  for (const [what, count] of [
    ['is shorter than what was read', 40],
    ['has outgrown what was read', 300],
  ] as const) {
    test(`is read from its start by a running source when it ${what}`, async () => {
      const topic = await freshTopic(servers, { partitions: 1 })
      const groupId = freshName('group')
      const { source, fatal, taken } = await startReader(topic, groupId)
      await produceValues(topic, first)
      await until('all is committed', () => isAllCommitted(brokers, topic, groupId))
      await createAnew(topic)
      const second = Array.from({ length: count }, (_, i) => `new ${i}`)
      await produceValues(topic, second)
      await until('everything new is read', () =>
        second.every((value, offset) => taken.get(offset) === value),
      )
      await until('all is committed', () => isAllCommitted(brokers, topic, groupId))
      assert.deepEqual(fatal, [])
      await source.close()
    })
  }

  test('is read from its start by the next source, however far the one before had come', async () => {
    const topic = await freshTopic(servers, { partitions: 1 })
    const groupId = freshName('group')
    const before = await startReader(topic, groupId)
    await produceValues(topic, first)
    await until('all is committed', () => isAllCommitted(brokers, topic, groupId))
    await before.source.close()
    await createAnew(topic)
    const second = Array.from({ length: 300 }, (_, i) => `new ${i}`)
    await produceValues(topic, second)
    const { source, taken } = await startReader(topic, groupId)
    await until('all is committed', () => isAllCommitted(brokers, topic, groupId))
    assert.deepEqual([...taken.values()], second)
    await source.close()
  })
})

describe('what the Java client writes', () => {
  const performance = (topic: string, ...args: readonly string[]) => {
    const to = ['--producer-props', `bootstrap.servers=${brokers.join(',')}`]
    const tool = 'org.apache.kafka.tools.ProducerPerformance'
    return runJava(tool, [
      '--topic',
      topic,
      '--record-size',
      '8',
      ...args.slice(0, -1),
      ...to,
      ...args.slice(-1)[0]!.split(' '),
    ])
  }

  test('a batch of 150,000 records, and batches of one, are read whole', async () => {
    const topic = await freshTopic(servers, { partitions: 1 })
    const groupId = freshName('group')
    await produceValues(topic, ['one'])
    const large = 'batch.size=6000000 linger.ms=30000 max.request.size=8000000'
    await performance(topic, '--num-records', '150000', '--throughput', '-1', large)
    await produceValues(topic, ['one'])
    const { source, taken } = await startReader(topic, groupId)
    await until('all is committed', () => isAllCommitted(brokers, topic, groupId))
    assert.equal(taken.size, 150_002)
    assert.equal(source.stats().jumps, 0)
    await source.close()

    const [, ofBatch] = await readTopic(kafkaFor(brokers), topic, 150_002)
    // Not in kafkajs's types.
    const { batchContext } = (ofBatch ?? assert.fail()).message as unknown as {
      batchContext: { lastOffset: number }
    }
    assert.equal(batchContext.lastOffset, 150_000, 'it was one batch')
  })

  test('of transactions only what was committed is read, and their control records hold nothing', async () => {
    const topic = await freshTopic(servers, { partitions: 1 })
    const groupId = freshName('group')
    const transactions = ['--transactional-id', freshName('transactions'), '--transaction-duration-ms', '20']
    await performance(topic, '--num-records', '100', '--throughput', '400', ...transactions, 'acks=all')
    // The tool aborts none. What lies in the log of one that is aborted is the same whoever wrote it.
    const producer = kafkaFor(brokers).producer({
      transactionalId: freshName('transactions'),
      maxInFlightRequests: 1,
      idempotent: true,
      allowAutoTopicCreation: false,
    })
    await producer.connect()
    for (const [index, end] of ['abort', 'commit', 'abort', 'abort', 'commit', 'abort'].entries()) {
      const transaction = await producer.transaction()
      const messages = Array.from({ length: 5 }, (_, i) => ({ key: 'k', value: `${end} ${index} ${i}` }))
      await transaction.send({ topic, messages })
      await (end === 'abort' ? transaction.abort() : transaction.commit())
    }
    await producer.disconnect()

    const { source, taken } = await startReader(topic, groupId)
    await until('all is committed', () => isAllCommitted(brokers, topic, groupId))
    const values = [...taken.values()]
    assert.equal(values.filter((value) => value.startsWith('commit')).length, 10)
    assert.equal(values.filter((value) => value.startsWith('abort')).length, 0)
    assert.equal(values.length, 110)
    const end = (await logEnds(brokers, topic)).get(0) ?? 0
    assert.ok(end > 110 + 20 + 6, `${end} offsets: control records are among them`)
    assert.equal(source.stats().jumps, 0)
    await source.close()
  })

  test('of transactions that overlap, nothing that was aborted is read, whichever began or ended first', async () => {
    const topic = await freshTopic(servers, { partitions: 1 })
    const groupId = freshName('group')
    const producers = Array.from({ length: 2 }, () =>
      kafkaFor(brokers).producer({
        transactionalId: freshName('transactions'),
        maxInFlightRequests: 1,
        idempotent: true,
        allowAutoTopicCreation: false,
      }),
    )
    for (const producer of producers) await producer.connect()
    for (let round = 0; round < 3; round++) {
      const [outer, inner] = [await producers[0]!.transaction(), await producers[1]!.transaction()]
      const send = (transaction: typeof outer, value: string) =>
        transaction.send({ topic, messages: [{ key: 'k', value: `${value} ${round}` }] })
      await send(outer, 'abort')
      await send(inner, 'abort')
      await send(outer, 'abort')
      await inner.abort()
      await send(outer, 'abort')
      await outer.abort()
      const committed = await producers[1]!.transaction()
      await send(committed, 'commit')
      await committed.commit()
    }
    for (const producer of producers) await producer.disconnect()
    const { source, taken } = await startReader(topic, groupId)
    await until('all is committed', () => isAllCommitted(brokers, topic, groupId))
    assert.deepEqual([...taken.values()], ['commit 0', 'commit 1', 'commit 2'])
    assert.equal(source.stats().jumps, 0)
    await source.close()
  })
})

/** Writes the records of a batch, and then a second one that says it had a far offset: what a broken producer may send. */
class FarOffsetEncoder extends ProduceEncoder {
  override async encode(...args: Parameters<ProduceEncoder['encode']>): Promise<Buffer> {
    const body = await super.encode(...args)
    const batch = body.indexOf(Buffer.from(args[0])) + Buffer.byteLength(args[0]) + 4 + 4 + 4
    const first = batch + BATCH_HEADER_BYTES
    // Length, attributes and timestamp delta of the second record have one byte each; lengths are zigzag.
    const offsetAt = first + 1 + body[first]! / 2 + 3
    assert.equal(body[offsetAt], 2, 'offset delta 1')
    body[offsetAt] = 2 * 50
    body.writeUInt32BE(crc32c(body, batch + ATTRIBUTES_AT, body.length), batch + CRC_AT)
    return body
  }
}

test('a record that names an offset beyond its batch takes no other out of the log', async () => {
  const topic = await freshTopic(servers, { partitions: 1 })
  const groupId = freshName('group')
  assert.equal(patchProduce(), true)
  const records = ['a', 'b', 'c'].map((value) => ({ key: Buffer.from('k'), value: Buffer.from(value) }))
  const producer = kafkaFor(brokers).producer({ allowAutoTopicCreation: false, createPartitioner })
  await producer.connect()
  await producer.send({ topic, messages: [new BatchMessage(0, records, new FarOffsetEncoder('none'))] })
  await producer.disconnect()
  const others = Array.from({ length: 100 }, (_, i) => `other ${i}`)
  await produceValues(topic, others)
  const { source, fatal, taken } = await startReader(topic, groupId)
  await until('all is committed', () => isAllCommitted(brokers, topic, groupId))
  assert.deepEqual([...taken.values()], ['a', 'b', 'c', ...others])
  assert.deepEqual(
    [...taken.keys()],
    Array.from({ length: 103 }, (_, offset) => offset),
  )
  assert.equal(source.stats().jumps, 0)
  assert.deepEqual(fatal, [])
  await source.close()
})

test('a batch that is larger unpacked than the memory for it: the source ends with one line that names the place and what to change', async () => {
  const topic = await freshTopic(servers, { partitions: 1 })
  await using producer = new CheckedProducer({
    kafka: kafkaFor(brokers),
    brokers,
    logger: silentLogger,
    compression: 'zstd',
  })
  await producer.send(topic, [{ key: Buffer.from('k'), value: Buffer.alloc(1_000_000) }])
  const share = { maxUnpackedBytes: 100_000, maxUnpackedBatchBytes: 100_000 }
  const { source, fatal, taken } = await startReader(topic, freshName('group'), share)
  await until('the source ends', () => fatal.length > 0)
  assert.equal(fatal[0]?.code, 'SIDEREAL_SOURCE_LOST')
  assert.match(
    fatal[0].message,
    new RegExp(`more than 100000 bytes.*SIDEREAL_MAX_MEMORY.*${topic}/0 at 0.*more memory.*smaller batches`),
  )
  assert.equal(taken.size, 0)
  await source.close()
})

describe('other members in the group', { concurrency: 3 }, () => {
  async function joinAs(groupId: string, topic: string, assigner?: PartitionAssigner): Promise<Consumer> {
    const consumer = kafkaFor(brokers).consumer({
      groupId,
      heartbeatInterval: 500,
      ...(assigner === undefined ? {} : { partitionAssigners: [assigner] }),
    })
    const joined = new Promise((resolve) => consumer.on(consumer.events.GROUP_JOIN, resolve))
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({ autoCommit: false, eachBatch: async () => undefined })
    await joined
    return consumer
  }

  test('with another assignor: the source ends with one line that says what to change', async () => {
    const topic = await freshTopic(servers, { partitions: 2 })
    const groupId = freshName('group')
    const stranger = await joinAs(groupId, topic)
    const { source, fatal } = await startReader(topic, groupId)
    await until('the source ends', () => fatal.length > 0)
    assert.equal(fatal[0]?.code, 'SIDEREAL_SOURCE_LOST')
    assert.match(fatal[0].message, new RegExp(`group ${groupId}.*no Sidereal workers; set SIDEREAL_GROUP`))
    await source.close()
    await stranger.disconnect()
  })

  for (const role of ['leads', 'follows'] as const) {
    test(`with the data of another version of the assignor: they share the partitions when it ${role}`, async () => {
      const topic = await freshTopic(servers, { partitions: 4 })
      const groupId = freshName('group')
      const join = () => joinAs(groupId, topic, nextVersion(topic))
      const early = role === 'leads' ? await join() : undefined
      const { source, fatal } = await startReader(topic, groupId)
      const ready = () => source.stats().tasks.filter((task) => task.isReady).length
      if (early === undefined) await until('it has all partitions', () => ready() === 4)
      const other = early ?? (await join())
      await until('they share the partitions', () => ready() === 2)
      await other.disconnect()
      await until('the source has all partitions', () => ready() === 4)
      assert.deepEqual(fatal, [])
      await source.close()
    })
  }
})

/** As a later version may be: the same name, since only then do both stand side by side; more in the data of a member. */
function nextVersion(topic: string): PartitionAssigner {
  const version = 2
  const name = 'sidereal-rendezvous'
  return ({ cluster }) => ({
    name,
    version,
    protocol: ({ topics }) => {
      const userData = Buffer.from([0, ...Buffer.from('{"instance":"later","rack":"a"}'), 0xff])
      return { name, metadata: AssignerProtocol.MemberMetadata.encode({ version, topics, userData }) }
    },
    assign: async ({ members }) => {
      const partitions = cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId)
      const named = members.map(({ memberId }) => ({ memberId, instanceId: memberId }))
      return [...assignPartitions(topic, partitions, named)].map(([memberId, own]) => ({
        memberId,
        memberAssignment: AssignerProtocol.MemberAssignment.encode({
          version,
          assignment: { [topic]: own },
          userData: Buffer.from('{"more":1}'),
        }),
      }))
    },
  })
}
