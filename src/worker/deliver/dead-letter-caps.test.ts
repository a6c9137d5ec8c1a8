import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DeadLetterCap, DeadLetterLimits } from '../../model/dead-letter-cap.ts'
import { DEAD_LETTER_LIMITS } from '../../model/dead-letter-cap.ts'
import { SiderealError } from '../../model/errors.ts'
import { ManualClock } from '../../model/manual-clock.ts'
import type { Task } from '../../model/task.ts'
import type { LogFields } from '../../telemetry/logger.ts'
import { DeadLetterCaps } from './dead-letter-caps.ts'

const task: Task = {
  topic: 'in',
  partition: 3,
  isAlive: true,
  lost: new AbortController().signal,
  streamTimeMs: 0,
  settle: () => undefined,
  unblock: () => undefined,
}

function setUp(limits: DeadLetterLimits) {
  const clock = new ManualClock()
  const lines: { fields: LogFields; message: string }[] = []
  const log = (fields: LogFields, message: string): void => void lines.push({ fields, message })
  const caps = new DeadLetterCaps({
    limits,
    clock,
    random: () => 1,
    logger: { debug: log, info: log, warn: log, error: log },
  })
  const opened = caps.open(task)
  const probes: number[] = []
  const offer = (position: number, cap: DeadLetterCap = opened.reading): boolean => {
    const error = new SiderealError('SIDEREAL_SCHEMA_UNKNOWN', 'no schema 7')
    const record = { offset: position, reason: 'schema_unknown' as const, error }
    const isAdmitted = cap.admit(record, position, () => probes.push(position))
    if (isAdmitted) cap.note(position)
    return isAdmitted
  }
  return { clock, lines, caps, opened, probes, offer }
}

test('one record too many in a row stops the partition, and one good record in between does not', () => {
  const { opened, offer } = setUp({ maxConsecutive: 5, maxRatio: 0 })
  for (const position of [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]) assert.ok(offer(position), `position ${position}`)
  assert.equal(opened.reading.isStopped, false)
  assert.equal(offer(11), false)
  assert.equal(opened.reading.isStopped, true)
  assert.equal(opened.refused.isStopped, false, 'each step has its own count')
})

test('more than the share of the last 1,000 records stops the partition, however they are spread', () => {
  const { offer } = setUp({ maxConsecutive: 0, maxRatio: 0.2 })
  for (let letter = 0; letter < 1_000; letter++) assert.ok(offer(letter * 5), 'one in five, for ever')
  // From here on one in four: 201 of 1,000 are reached after 50 records or so of the window have turned over.
  let position = 1_000 * 5
  while (position < 20_000 && offer(position)) position += 4
  assert.ok(position > 5_000 && position < 6_000, `it stopped at ${position}`)
})

test('a small sample never trips the ratio: it is always taken of 1,000 records', () => {
  const { offer } = setUp({ maxConsecutive: 0, maxRatio: 0.2 })
  for (let position = 0; position < 200; position++) assert.ok(offer(position))
  assert.equal(offer(200), false)
})

test('a poison record in every thousand, and bursts of nineteen, never trip the defaults', () => {
  const { offer } = setUp(DEAD_LETTER_LIMITS)
  for (let thousand = 0; thousand < 5_000; thousand++) assert.ok(offer(thousand * 1_000))
  for (let burst = 0; burst < 100; burst++) {
    for (let i = 0; i < 19; i++) assert.ok(offer(5_000_000 + burst * 200 + i))
  }
})

test('without limits nothing stops', () => {
  const { offer } = setUp({ maxConsecutive: 0, maxRatio: 0 })
  for (let position = 0; position < 5_000; position++) assert.ok(offer(position))
})

test('a stop is one log line with code, place, cause and what to do; the record is tried again, less and less often, at least once a minute', async () => {
  const { clock, lines, caps, probes, offer } = setUp({ maxConsecutive: 1, maxRatio: 0 })
  offer(41)
  for (let i = 0; i < 20; i++) {
    assert.equal(offer(42), false)
    await clock.advance(61_000)
    assert.equal(probes.length, i + 1)
  }
  assert.equal(lines.length, 1)
  const { fields, message } = lines[0] ?? assert.fail('no line')
  assert.equal(fields['code'], 'SIDEREAL_DEAD_LETTER_CAP')
  assert.deepEqual([fields['topic'], fields['partition'], fields['offset']], ['in', 3, 42])
  assert.match(String(fields['cause']), /SIDEREAL_SCHEMA_UNKNOWN: no schema 7/)
  assert.match(message, /SIDEREAL_DEAD_LETTER_MAX_CONSECUTIVE=0 and SIDEREAL_DEAD_LETTER_MAX_RATIO=0/)
  assert.deepEqual(
    caps.stops.map((stop) => [stop.partition, stop.offset, stop.reason]),
    [[3, 42, 'schema_unknown']],
  )
})

test('when the record goes through the partition goes on, counting begins anew, and whoever waited is called', async () => {
  const { clock, lines, caps, opened, probes, offer } = setUp({ maxConsecutive: 2, maxRatio: 0 })
  for (const position of [0, 1, 2]) offer(position)
  let released = 0
  opened.reading.whenReleased(() => {
    released += 1
  })
  opened.reading.release()
  assert.deepEqual([released, opened.reading.isStopped, caps.stops.length], [1, false, 0])
  assert.match(lines[1]?.message ?? '', /goes on/)
  await clock.advance(600_000)
  assert.deepEqual(probes, [], 'no attempt is left behind')
  assert.ok(offer(3) && offer(4))
  assert.equal(offer(5), false)
})

test('a ratio that was reached counts from nothing when the partition goes on', () => {
  const { opened, offer } = setUp({ maxConsecutive: 0, maxRatio: 0.1 })
  for (let position = 0; position < 100; position++) assert.ok(offer(position))
  assert.equal(offer(100), false)
  opened.reading.release()
  for (let position = 101; position < 201; position++) assert.ok(offer(position))
  assert.equal(offer(201), false)
})

test('a lost partition leaves no timer behind, and whoever waited is called', async () => {
  const { clock, caps, opened, probes, offer } = setUp({ maxConsecutive: 1, maxRatio: 0 })
  for (const position of [0, 1]) offer(position)
  let released = 0
  opened.reading.whenReleased(() => {
    released += 1
  })
  opened.close()
  await clock.advance(600_000)
  assert.deepEqual([released, probes.length, caps.stops.length, caps.of(task)], [1, 0, 0, undefined])
})
