import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Admin, Message, Producer, ProducerRecord, RecordMetadata } from 'kafkajs'
import { silentLogger } from '../telemetry/logger.ts'
import { CheckedProducer, type CheckedProducerOptions } from './checked-producer.ts'
import { partitionFor } from './partitioner.ts'
import { BatchMessage } from './produce-request.ts'
import type { KafkaClients } from './producer-connection.ts'

/**
 * FAKE of kafkajs, for faults that a real broker cannot be made to show: a `send` that resolves although partitions
 * were never sent, and one that rejects although they were. It keeps a log for each partition.
 */
class FakeKafka implements KafkaClients {
  readonly logs = new Map<number, string[]>()
  readonly requests: Message[][] = []
  readonly inFlight = new Map<number, number>()
  maxInFlight = 0
  /** What becomes of each partition of a request, and whether the reply is lost. */
  behave: (request: number, partition: number) => 'written' | 'dropped' = () => 'written'
  fail: (request: number, messages: readonly Message[]) => { error: Error; isWritten: boolean } | undefined =
    () => undefined
  readonly #partitions: number

  constructor(partitions: number) {
    this.#partitions = partitions
  }

  producer(): Producer {
    const send = (record: ProducerRecord) => this.#send(record)
    return { connect: async () => undefined, disconnect: async () => undefined, send } as unknown as Producer
  }

  admin(): Admin {
    const partitions = Array.from({ length: this.#partitions }, (_, partitionId) => ({
      partitionId,
      leader: 1,
    }))
    const fetchTopicMetadata = async ({ topics }: { topics: string[] }) => ({
      topics: topics.map((name) => ({ name, partitions })),
    })
    return {
      connect: async () => undefined,
      disconnect: async () => undefined,
      fetchTopicMetadata,
    } as unknown as Admin
  }

  async #send({ topic, messages: sent }: ProducerRecord): Promise<RecordMetadata[]> {
    const messages = sent.flatMap(messagesOf)
    const number = this.requests.push(messages)
    const partitions = [...new Set(messages.map(({ partition }) => partition ?? -1))]
    for (const partition of partitions) {
      const count = (this.inFlight.get(partition) ?? 0) + 1
      this.inFlight.set(partition, count)
      this.maxInFlight = Math.max(this.maxInFlight, count)
    }
    await new Promise((resolve) => setImmediate(resolve))
    for (const partition of partitions) this.inFlight.set(partition, this.inFlight.get(partition)! - 1)
    const failure = this.fail(number, messages)
    if (failure !== undefined && !failure.isWritten) throw failure.error
    const reply: RecordMetadata[] = []
    for (const partition of partitions) {
      if (this.behave(number, partition) === 'dropped') continue
      const log = this.logs.get(partition) ?? []
      this.logs.set(partition, log)
      reply.push({ topicName: topic, partition, errorCode: 0, baseOffset: String(log.length) })
      for (const message of messages) if (message.partition === partition) log.push(String(message.value))
    }
    if (failure !== undefined) throw failure.error
    return reply
  }
}

function messagesOf(message: Message): Message[] {
  assert.ok(message instanceof BatchMessage)
  return message.records.map(({ key, value }) => ({ key, value, partition: message.partition }))
}

function open(kafka: KafkaClients, options: Partial<CheckedProducerOptions> = {}): CheckedProducer {
  return new CheckedProducer({
    kafka,
    brokers: ['fake:1'],
    logger: silentLogger,
    compression: 'none',
    retryPauseMs: 1,
    ...options,
  })
}

const record = (key: string, value: string) => ({ key: Buffer.from(key), value: Buffer.from(value) })
const kafkaError = (fields: { name?: string; type?: string; retriable: boolean }) =>
  Object.assign(new Error('fake'), { name: 'KafkaJSProtocolError', ...fields })

test('a partition that the reply lacks is sent again before anything newer of it', async () => {
  const kafka = new FakeKafka(1)
  kafka.behave = (request) => (request === 1 ? 'dropped' : 'written')
  await using producer = open(kafka)
  const first = producer.send('t', [record('a', '1'), record('a', '2')])
  await new Promise((resolve) => setTimeout(resolve, 0))
  const second = producer.send('t', [record('a', '3')])
  assert.deepEqual(await first, [
    { partition: 0, offset: 0 },
    { partition: 0, offset: 1 },
  ])
  assert.deepEqual(await second, [{ partition: 0, offset: 2 }])
  assert.deepEqual(kafka.logs.get(0), ['1', '2', '3'])
  assert.equal(producer.stats.incompleteReplies, 1)
})

test('whatever replies lack or are lost: every acknowledged record is at its offset, in order, one request a partition in flight', async () => {
  const fate = fc.constantFrom('written', 'dropped', 'rejected', 'reply lost')
  const sends = fc.array(fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 6 }), {
    minLength: 1,
    maxLength: 12,
  })
  await fc.assert(
    fc.asyncProperty(sends, fc.array(fate, { maxLength: 12 }), async (keys, fates) => {
      const kafka = new FakeKafka(3)
      kafka.behave = (request, partition) =>
        fates[request - 1] === 'dropped' && partition !== 0 ? 'dropped' : 'written'
      kafka.fail = (request) => {
        const wanted = fates[request - 1]
        if (wanted !== 'rejected' && wanted !== 'reply lost') return undefined
        return {
          error: kafkaError({ name: 'KafkaJSConnectionClosedError', retriable: true }),
          isWritten: wanted === 'reply lost',
        }
      }
      const producer = open(kafka, { maxRequestRecords: 4 })
      let number = 0
      const batches = keys.map((batch) => batch.map((key) => record(`key-${key}`, `${key}:${number++}`)))
      const results = await Promise.all(batches.map((batch) => producer.send('t', batch)))
      await producer.close()
      const expected = new Map<number, string[]>()
      batches.forEach((batch, i) => {
        batch.forEach(({ key, value }, j) => {
          const partition = partitionFor(key, 3)
          expected.set(partition, [...(expected.get(partition) ?? []), value.toString()])
          assert.equal(results[i]![j]!.partition, partition)
          assert.equal(kafka.logs.get(partition)![results[i]![j]!.offset], value.toString())
        })
      })
      for (const [partition, values] of expected)
        assert.deepEqual([...new Set(kafka.logs.get(partition))], values)
      assert.equal(kafka.maxInFlight, 1)
    }),
    { numRuns: 40 },
  )
})

test('a record over the limit fails alone; its neighbours arrive', async () => {
  const kafka = new FakeKafka(1)
  kafka.fail = (_request, messages) =>
    messages.some(({ value }) => String(value) === 'big')
      ? { error: kafkaError({ type: 'MESSAGE_TOO_LARGE', retriable: false }), isWritten: false }
      : undefined
  await using producer = open(kafka)
  const results = await Promise.allSettled(
    ['1', 'big', '3'].map((value) => producer.send('t', [record('a', value)])),
  )
  assert.deepEqual(kafka.logs.get(0), ['1', '3'])
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
  assert.deepEqual(
    results[1]?.status === 'rejected' && [results[1].reason.code, results[1].reason.retryable],
    ['SIDEREAL_RECORD_TOO_LARGE', false],
  )
})

test('when its time is up a send rejects as retryable and is not sent later', async () => {
  const kafka = new FakeKafka(1)
  const holdsLate = (messages: readonly { value: Buffer | string | null }[]) =>
    messages.some(({ value }) => String(value) === 'late')
  kafka.fail = (_request, messages) =>
    holdsLate(messages)
      ? { error: kafkaError({ name: 'KafkaJSConnectionError', retriable: true }), isWritten: false }
      : undefined
  await using producer = open(kafka, { sendTimeoutMs: 50 })
  await assert.rejects(producer.send('t', [record('a', 'late')]), {
    code: 'SIDEREAL_KAFKA_UNAVAILABLE',
    retryable: true,
  })
  const before = kafka.requests.length
  assert.ok(kafka.requests.some(holdsLate))
  await producer.send('t', [record('a', 'next')], { timeoutMs: 30_000 })
  assert.ok(!kafka.requests.slice(before).some(holdsLate))
})

test('a record whose time is up is not sent later, not even behind one that still waits', async () => {
  const kafka = new FakeKafka(1)
  let isAway = true
  kafka.fail = () =>
    isAway
      ? { error: kafkaError({ name: 'KafkaJSConnectionError', retriable: true }), isWritten: false }
      : undefined
  await using producer = open(kafka)
  const patient = producer.send('t', [record('a', 'patient')])
  await assert.rejects(producer.send('t', [record('a', 'late')], { timeoutMs: 50 }))
  // A request that was on its way at that moment may still arrive.
  const onTheWay = kafka.requests.length
  while (kafka.requests.length <= onTheWay) await new Promise((resolve) => setTimeout(resolve, 1))
  isAway = false
  await patient
  await producer.send('t', [record('a', 'next')])
  assert.deepEqual(kafka.logs.get(0), ['patient', 'next'])
})

test('requests stay within their limits of records and bytes', async () => {
  const kafka = new FakeKafka(2)
  await using producer = open(kafka, { maxRequestRecords: 10, maxBatchBytes: 500 })
  await Promise.all(
    Array.from({ length: 200 }, (_, i) => producer.send('t', [record(`k${i}`, 'x'.repeat(60))])),
  )
  for (const messages of kafka.requests) {
    assert.ok(messages.length <= 10)
    for (const partition of [0, 1])
      assert.ok(messages.filter((message) => message.partition === partition).length <= 4)
  }
})

test('sent each by itself: a record fails alone, is told once, and those of its call go on', async () => {
  const kafka = new FakeKafka(2)
  kafka.behave = (request) => (request === 1 ? 'dropped' : 'written')
  kafka.fail = (_request, messages) =>
    messages.some(({ value }) => String(value) === 'big')
      ? { error: kafkaError({ type: 'MESSAGE_TOO_LARGE', retriable: false }), isWritten: false }
      : undefined
  const producer = open(kafka)
  const told: string[] = []
  const values = ['1', 'big', '3', '4', '5']
  producer.sendEach(
    't',
    values.map((value, i) => record(i < 3 ? 'a' : 'key-b', value)),
    (index, error) => told.push(`${values[index]}: ${error?.code ?? 'written'}`),
  )
  await producer.close()
  assert.deepEqual(told.sort(), [
    '1: written',
    '3: written',
    '4: written',
    '5: written',
    'big: SIDEREAL_RECORD_TOO_LARGE',
  ])
  assert.deepEqual([...kafka.logs.values()].flat().sort(), ['1', '3', '4', '5'])
  const late: string[] = []
  producer.sendEach('t', [record('a', 'late')], (_index, error) => late.push(String(error?.code)))
  assert.deepEqual(late, [])
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(late, ['SIDEREAL_KAFKA_SEND_FAILED'])
})

test('when the time of records that are sent each by itself is up, those that are written stay so, and the others are told', async () => {
  const kafka = new FakeKafka(2)
  const [first, second] = [record('a', 'one'), record('key-b', 'two')]
  assert.notEqual(partitionFor(first.key, 2), partitionFor(second.key, 2))
  kafka.behave = (_request, partition) => (partition === partitionFor(first.key, 2) ? 'written' : 'dropped')
  const producer = open(kafka)
  const told: (string | undefined)[] = []
  await new Promise<void>((resolve) => {
    const onSettled = (index: number, error: Error | undefined) => {
      told[index] = error === undefined ? 'written' : error.message
      if (index === 1) resolve()
    }
    producer.sendEach('t', [first, second], onSettled, { timeoutMs: 100 })
  })
  await producer.close()
  assert.equal(told[0], 'written')
  assert.match(told[1] ?? '', /the reply lacked partitions/)
})

test('a broker that does not answer the goodbye is not waited for beyond the time that closing was given', async (t) => {
  const kafka = new FakeKafka(1)
  const silent: KafkaClients = {
    producer: () => Object.assign(kafka.producer(), { disconnect: () => new Promise<void>(() => undefined) }),
    admin: () => kafka.admin(),
  }
  const producer = open(silent)
  await producer.send('t', [record('a', '1')])
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let isClosed = false
  const closed = producer.close({ timeoutMs: 1_000 }).then(() => {
    isClosed = true
  })
  await new Promise(setImmediate)
  assert.equal(isClosed, false)
  t.mock.timers.tick(1_000)
  await new Promise(setImmediate)
  assert.equal(isClosed, true)
  await closed
})
