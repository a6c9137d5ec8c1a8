import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEAD_LETTER_HEADERS, type DeadLetter, lastHeader } from '../../model/dead-letter.ts'
import { SiderealError } from '../../model/errors.ts'
import { ManualClock, settlePromises } from '../../model/manual-clock.ts'
import { WorkerCounters } from '../../telemetry/counters.ts'
import { silentLogger } from '../../telemetry/logger.ts'
import { type DeadLetterRecord, DeadLetters, type DeadLettersOptions } from './dead-letters.ts'

function setUp(change: Partial<DeadLettersOptions> = {}) {
  const clock = new ManualClock()
  const counters = new WorkerCounters()
  const sent: DeadLetterRecord[] = []
  const state = { isAway: false, maxValueBytes: Number.POSITIVE_INFINITY, attempts: 0 }
  const letters = new DeadLetters({
    producer: {
      send: async (_topic, records) => {
        state.attempts += 1
        await Promise.resolve()
        if (state.isAway) throw new SiderealError('SIDEREAL_KAFKA_UNAVAILABLE', 'away', { retryable: true })
        if (records.some((record) => (record.value?.length ?? 0) > state.maxValueBytes)) {
          throw new SiderealError('SIDEREAL_RECORD_TOO_LARGE', 'too large')
        }
        sent.push(...records)
      },
    },
    topic: 'dead',
    connectorName: 'group-1',
    taskId: 'worker-1',
    clock,
    random: () => 1,
    logger: silentLogger,
    counters,
    ...change,
  })
  const stored: number[] = []
  const letter = (offset: number, fields: Partial<DeadLetter> = {}): DeadLetter => ({
    topic: 'in',
    partition: 2,
    offset,
    appendTimeMs: 1_000,
    key: Buffer.from('sid-1'),
    value: Buffer.from('value'),
    headers: { traceparent: Buffer.from('00-1'), twice: [Buffer.from('a'), Buffer.from('b')] },
    reason: 'record_invalid',
    stage: 'VALUE_CONVERTER',
    schemaId: 7,
    error: new SiderealError('SIDEREAL_RECORD_INVALID', 'ends in the middle of a span'),
    isWanted: () => true,
    onStored: () => void stored.push(offset),
    ...fields,
  })
  return { clock, counters, sent, state, letters, stored, letter }
}

test('a dead letter has the untouched key, value and headers, and headers that say where it came from and why', async () => {
  const { letters, letter, sent, stored, counters } = setUp()
  const value = Buffer.from('value')
  assert.ok(letters.offer(letter(5, { value })))
  value.fill(0)
  await settlePromises()
  const record = sent[0]
  assert.equal(String(record?.key), 'sid-1')
  assert.equal(String(record?.value), 'value', 'copied: the caller may use its memory again')
  assert.deepEqual(record?.headers['twice'], [Buffer.from('a'), Buffer.from('b')])
  const names = DEAD_LETTER_HEADERS
  const expected: Record<string, string> = {
    traceparent: '00-1',
    [names.topic]: 'in',
    [names.partition]: '2',
    [names.offset]: '5',
    [names.connectorName]: 'group-1',
    [names.taskId]: 'worker-1',
    [names.stage]: 'VALUE_CONVERTER',
    [names.exceptionClassName]: 'SIDEREAL_RECORD_INVALID',
    [names.exceptionMessage]: 'ends in the middle of a span',
    [names.reason]: 'record_invalid',
    [names.schemaId]: '7',
    [names.appendTimeMs]: '1000',
  }
  for (const [name, text] of Object.entries(expected)) assert.equal(String(record?.headers[name]), text, name)
  assert.deepEqual(stored, [5])
  assert.equal(counters.deadLetters.record_invalid, 1)
})

test('a header of the record that has the name of one of the letter’s stays, and the letter’s is the last of them', async () => {
  const { letters, letter, sent } = setUp()
  const names = DEAD_LETTER_HEADERS
  const headers = {
    [names.topic]: Buffer.from('other'),
    [names.reason]: [Buffer.from('a'), Buffer.from('b')],
  }
  letters.offer(letter(5, { headers, schemaId: null }))
  await settlePromises()
  const record = sent[0] ?? assert.fail('nothing was sent')
  assert.equal(String(record.headers[names.topic]), 'other,in')
  assert.equal(String(record.headers[names.reason]), 'a,b,record_invalid')
  assert.equal(
    record.headers[names.schemaId],
    '',
    'every name is there, so that a reader knows whose value is the last',
  )
  assert.equal(lastHeader(record.headers, names.topic), 'in')
})

test('while the dead-letter topic is away letters wait, a full queue says so, and nothing is dropped', async () => {
  const { letters, letter, state, stored, clock } = setUp({ maxRecords: 3 })
  state.isAway = true
  for (let offset = 0; offset < 3; offset++) assert.ok(letters.offer(letter(offset)))
  assert.equal(letters.offer(letter(3)), false)
  let hasRoom = false
  letters.whenRoom(() => {
    hasRoom = true
  })
  await clock.advance(120_000)
  assert.deepEqual(stored, [])
  assert.equal(hasRoom, false)
  assert.ok(state.attempts >= 10 && state.attempts < 60, `${state.attempts} attempts in two minutes`)
  state.isAway = false
  await clock.advance(10_000)
  assert.deepEqual(stored, [0, 1, 2])
  assert.equal(hasRoom, true)
  assert.ok(letters.offer(letter(3)))
})

test('the queue is bounded by bytes too, and one letter over the bound is still taken', async () => {
  const { letters, letter, state } = setUp({ maxBytes: 1_000 })
  state.isAway = true
  assert.ok(letters.offer(letter(0, { value: Buffer.alloc(5_000), headers: {} })))
  assert.equal(letters.offer(letter(1)), false)
  assert.equal(letters.queuedBytes, 5_005)
  letters.close()
  const second = setUp({ maxBytes: 1_000 })
  second.state.isAway = true
  const headers = { baggage: [Buffer.alloc(700), Buffer.alloc(700)] }
  assert.ok(second.letters.offer(letter(0, { headers })))
  assert.equal(second.letters.offer(letter(1)), false, 'headers count')
  second.letters.close()
})

test('a value over the limit of the topic is left out with its size and sha256, and its neighbours go whole', async () => {
  const { letters, letter, sent, state, stored, counters } = setUp()
  state.maxValueBytes = 1_000
  letters.offer(letter(0))
  letters.offer(letter(1, { value: Buffer.alloc(2_000) }))
  letters.offer(letter(2))
  await settlePromises()
  assert.deepEqual(stored, [0, 1, 2])
  assert.deepEqual(
    sent.map((record) => [
      record.value === null ? null : record.value.length,
      record.headers[DEAD_LETTER_HEADERS.omittedValueBytes],
    ]),
    [
      [5, undefined],
      [null, '2000'],
      [5, undefined],
    ],
  )
  assert.match(String(sent[1]?.headers[DEAD_LETTER_HEADERS.omittedValueSha256]), /^[0-9a-f]{64}$/)
  assert.equal(counters.deadLetterValuesOmitted, 1)
})

test('a letter whose partition was lost is not sent', async () => {
  const { letters, letter, sent, stored } = setUp()
  letters.offer(letter(0, { isWanted: () => false }))
  letters.offer(letter(1))
  await letters.drained()
  assert.deepEqual(stored, [1])
  assert.equal(sent.length, 1)
})
