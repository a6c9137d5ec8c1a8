import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Message } from 'kafkajs'
import { FakeKafka, kafkaError, openFake, record } from './fake-kafka.testing.ts'
import { partitionFor } from './partitioner.ts'
import type { KafkaClients } from './producer-connection.ts'

test('a partition that the reply lacks is sent again before anything newer of it', async () => {
  const kafka = new FakeKafka(1)
  kafka.behave = (request) => (request === 1 ? 'dropped' : 'written')
  await using producer = openFake(kafka)
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
      const producer = openFake(kafka, { maxRequestRecords: 4 })
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
  await using producer = openFake(kafka)
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

test('a partition that its broker cannot take now holds up none of the others, and doubles them at most once', async () => {
  const partitions = 4
  const bad = partitionFor(Buffer.from('bad'), partitions)
  const kafka = new FakeKafka(partitions)
  let isBad = true
  const holdsBad = (messages: readonly Message[]) => messages.some(({ partition }) => partition === bad)
  kafka.behave = (_request, partition) => (isBad && partition === bad ? 'dropped' : 'written')
  // As kafkajs reads a reply: the first partition with an error is all that is told.
  kafka.fail = (_request, messages) =>
    isBad && holdsBad(messages)
      ? { error: kafkaError({ type: 'NOT_ENOUGH_REPLICAS', retriable: true }), isWritten: true }
      : undefined
  await using producer = openFake(kafka)
  const keys = Array.from({ length: 40 }, (_, i) => `key-${i}`)
  const ofBad = keys.filter((key) => partitionFor(Buffer.from(key), partitions) === bad)
  const settled = new Map<string, unknown>()
  producer.sendEach(
    't',
    keys.map((key) => record(key, key)),
    (index, error) => settled.set(keys[index]!, error),
  )
  while (settled.size < keys.length - ofBad.length) await new Promise((resolve) => setTimeout(resolve, 1))
  assert.deepEqual(
    [...settled.values()].filter((error) => error !== undefined),
    [],
  )
  isBad = false
  while (settled.size < keys.length) await new Promise((resolve) => setTimeout(resolve, 1))
  const written = [...kafka.logs.values()].flat()
  for (const key of keys) {
    const times = written.filter((value) => value === key).length
    assert.ok(times === 1 || (times === 2 && !ofBad.includes(key)), `${key}: ${times} times`)
  }
})

test('when its time is up a send rejects as retryable and is not sent later', async () => {
  const kafka = new FakeKafka(1)
  const holdsLate = (messages: readonly { value: Buffer | string | null }[]) =>
    messages.some(({ value }) => String(value) === 'late')
  kafka.fail = (_request, messages) =>
    holdsLate(messages)
      ? { error: kafkaError({ name: 'KafkaJSConnectionError', retriable: true }), isWritten: false }
      : undefined
  await using producer = openFake(kafka, { sendTimeoutMs: 50 })
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
  await using producer = openFake(kafka)
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
  await using producer = openFake(kafka, { maxRequestRecords: 10, maxBatchBytes: 500 })
  await Promise.all(
    Array.from({ length: 200 }, (_, i) => producer.send('t', [record(`k${i}`, 'x'.repeat(60))])),
  )
  for (const messages of kafka.requests) {
    assert.ok(messages.length <= 10)
    for (const partition of [0, 1])
      assert.ok(messages.filter((message) => message.partition === partition).length <= 4)
  }
})

test('a broker that does not answer the goodbye is not waited for beyond the time that closing was given', async (t) => {
  const kafka = new FakeKafka(1)
  const silent: KafkaClients = {
    producer: () => Object.assign(kafka.producer(), { disconnect: () => new Promise<void>(() => undefined) }),
    admin: () => kafka.admin(),
  }
  const producer = openFake(silent)
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
