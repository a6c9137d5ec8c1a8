import assert from 'node:assert/strict'
import { test } from 'node:test'
import { REPLAY_HEADERS } from '../model/first-arrival.ts'
import { LetterReplay, type ReplayOptions, type ReplayRecord } from './dead-letter-replay.ts'
import type { StoredLetter } from './stored-letter.ts'

const NOW_MS = 1_700_000_000_000

function letter(offset: number, fields: Partial<StoredLetter> = {}): StoredLetter {
  return {
    topic: 'in',
    partition: 2,
    offset,
    letter: { partition: 0, offset, writtenMs: NOW_MS },
    reason: 'refused',
    stage: 'TASK_PUT',
    schemaId: '7',
    errorClass: 'SIDEREAL_ROW_REFUSED',
    errorMessage: '',
    stacktrace: '',
    connectorName: '',
    taskId: '',
    key: Buffer.from('sid'),
    value: Buffer.from('value'),
    omitted: undefined,
    headers: { own: 'yes' },
    firstArrival: { topic: 'in', partition: 2, offset, appendTimeMs: NOW_MS - 1 },
    ...fields,
  }
}

function setUp(change: Partial<ReplayOptions> = {}) {
  const sent: ReplayRecord[][] = []
  const replay = new LetterReplay({
    topic: 'in',
    expiredBeforeMs: NOW_MS - 1_000,
    limit: Number.POSITIVE_INFINITY,
    send: async (records) => void sent.push([...records]),
    ...change,
  })
  return { replay, sent }
}

test('each record is sent once however often its letter lies there, with its own headers and those of its first arrival', async () => {
  const { replay, sent } = setUp()
  for (const offset of [1, 1, 2, 1]) assert.equal(await replay.add(letter(offset)), 'next')
  await replay.finish()
  assert.equal(replay.counts.records, 2)
  const [first] = sent.flat()
  assert.deepEqual(Object.entries(first?.headers ?? {}), [
    ['own', 'yes'],
    [REPLAY_HEADERS.topic, 'in'],
    [REPLAY_HEADERS.partition, '2'],
    [REPLAY_HEADERS.offset, '1'],
    [REPLAY_HEADERS.appendTimeMs, String(NOW_MS - 1)],
  ])
})

test('letters of other topics, values that are not there and rows past their time to live are counted and left alone', async () => {
  const { replay, sent } = setUp()
  await replay.add(letter(1, { topic: 'other' }))
  await replay.add(letter(2, { value: null, omitted: { bytes: 9, sha256: 'ab' } }))
  await replay.add(
    letter(3, { firstArrival: { topic: 'in', partition: 2, offset: 3, appendTimeMs: NOW_MS - 1_001 } }),
  )
  await replay.add(letter(4, { value: null, reason: 'tombstone' }))
  await replay.finish()
  const { records, otherTopic, omitted, expired } = replay.counts
  assert.deepEqual([records, otherTopic, omitted, expired], [1, 1, 1, 1])
  assert.equal(sent.flat().length, 1)
})

test('a dry run counts and keeps nothing; a limit ends the scan; batches are bounded by number and by bytes', async () => {
  const dry = setUp({ send: null, limit: 2 })
  assert.equal(await dry.replay.add(letter(1)), 'next')
  assert.equal(await dry.replay.add(letter(2)), 'stop')
  assert.deepEqual([dry.replay.counts.records, dry.replay.counts.bytes], [2, 16])
  const { replay, sent } = setUp()
  for (let offset = 0; offset < 450; offset++) await replay.add(letter(offset))
  for (let offset = 450; offset < 454; offset++)
    await replay.add(letter(offset, { value: Buffer.alloc(3_000_000) }))
  await replay.finish()
  assert.ok(
    sent.every((batch) => batch.length <= 200),
    'by number',
  )
  assert.deepEqual(
    sent.map((batch) => batch.length),
    [200, 200, 52, 2],
  )
})
