import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSiderealError } from '../model/errors.ts'
import { FakeKafka, kafkaError, openFake, record } from './fake-kafka.testing.ts'
import { partitionFor } from './partitioner.ts'
import type { KafkaClients } from './producer-connection.ts'

test('sent each by itself: a record fails alone, is told once, and those of its call go on', async () => {
  const kafka = new FakeKafka(2)
  kafka.behave = (request) => (request === 1 ? 'dropped' : 'written')
  kafka.fail = (_request, messages) =>
    messages.some(({ value }) => String(value) === 'big')
      ? { error: kafkaError({ type: 'MESSAGE_TOO_LARGE', retriable: false }), isWritten: false }
      : undefined
  const producer = openFake(kafka)
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
  const producer = openFake(kafka)
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

test('sent each by itself: what is sent again when its time is up is not overtaken by what lay behind it, and other partitions go on', async () => {
  for (const isTopicKnown of [true, false]) {
    const kafka = new FakeKafka(2)
    const away = partitionFor(Buffer.from('a'), 2)
    const other = 'key-b'
    assert.notEqual(partitionFor(Buffer.from(other), 2), away)
    let isAway = true
    const error = kafkaError({ name: 'KafkaJSConnectionError', retriable: true })
    kafka.fail = (_request, messages) =>
      isAway && messages.some(({ partition }) => partition === away) ? { error, isWritten: false } : undefined
    kafka.behave = (_request, partition) => (isAway && partition === away ? 'dropped' : 'written')
    const admin = kafka.admin()
    const clients: KafkaClients = {
      producer: () => kafka.producer(),
      admin: () => ({
        ...admin,
        fetchTopicMetadata: async (topics: { topics: string[] }) => {
          if (isAway && !isTopicKnown) throw error
          return await admin.fetchTopicMetadata(topics)
        },
      }),
    }
    const producer = openFake(clients)
    if (isTopicKnown) await producer.send('t', [record(other, 'first')])
    const told: string[] = []
    const tell = (value: string) => (_index: number, failure: { retryable: boolean } | undefined) =>
      void told.push(`${value}: ${failure === undefined ? 'written' : failure.retryable}`)
    const isOver = new Promise<void>((resolve) => {
      const onSettled = (index: number, failure: { retryable: boolean } | undefined) => {
        tell('1')(index, failure)
        resolve()
      }
      producer.sendEach('t', [record('a', '1')], onSettled, { timeoutMs: 60 })
    })
    producer.sendEach('t', [record('a', '2'), record(other, 'else')], (index, failure) =>
      tell(index === 0 ? '2' : 'else')(index, failure),
    )
    const patient = producer.send('t', [record('a', 'patient')])
    await isOver
    isAway = false
    // What its sender does then.
    for (const value of ['1', '2']) producer.sendEach('t', [record('a', value)], tell(`${value} again`))
    await patient
    await producer.close()
    const written = kafka.logs.get(away)?.filter((value) => value !== 'patient')
    assert.deepEqual(written, ['1', '2'], told.join())
    assert.ok(told.includes('2: true') && told.includes('1: true'), told.join())
    if (isTopicKnown) assert.ok(told.includes('else: written'))
  }
})

test('sent each by itself: nor is what failed for a topic that was gone overtaken by what lay behind it', async () => {
  const kafka = new FakeKafka(1)
  let requests = 0
  let isGone = true
  kafka.fail = () => {
    requests += 1
    return isGone
      ? { error: kafkaError({ type: 'UNKNOWN_TOPIC_OR_PARTITION', retriable: true }), isWritten: false }
      : undefined
  }
  const producer = openFake(kafka, { maxRequestRecords: 1 })
  const told: string[] = []
  const values = ['1', '2', '3']
  const failed = new Promise<void>((resolve) => {
    for (const value of values) {
      producer.sendEach('t', [record('a', value)], (_index, error) => {
        told.push(`${value}: ${error?.code}`)
        // Its sender tries again later.
        isGone = false
        if (told.length === values.length) resolve()
      })
    }
  })
  await failed
  for (const value of values) producer.sendEach('t', [record('a', value)], () => undefined)
  await producer.close()
  assert.deepEqual(kafka.logs.get(0), values)
  assert.deepEqual(
    told.sort(),
    values.map((value) => `${value}: SIDEREAL_TOPIC_INVALID`),
  )
  assert.ok(requests >= 4, `${requests} requests`)
})

test('without the right to write, records fail as what may pass, and are written once the right is given', async () => {
  const kafka = new FakeKafka(1)
  kafka.fail = () => ({
    error: kafkaError({ type: 'TOPIC_AUTHORIZATION_FAILED', retriable: false }),
    isWritten: false,
  })
  const producer = openFake(kafka)
  const send = (value: string) =>
    new Promise<Error | undefined>((resolve) =>
      producer.sendEach('t', [record('a', value)], (_index, error) => resolve(error)),
    )
  const error = await send('early')
  assert.ok(isSiderealError(error, 'SIDEREAL_KAFKA_UNAVAILABLE'))
  assert.match(error.message, /for topic t .* give its user the rights/)
  kafka.fail = () => undefined
  assert.equal(await send('late'), undefined)
  await producer.close()
  assert.deepEqual([...kafka.logs.values()].flat(), ['late'])
})
