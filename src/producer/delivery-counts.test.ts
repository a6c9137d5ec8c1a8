import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '../telemetry/logger.ts'
import { DeliveryCounts, type ItemStats } from './delivery-counts.ts'

test('that something goes wrong is one line a minute at most, with all counts, and at the end what was not said yet', (t) => {
  let nowMs = 1_000_000
  t.mock.method(performance, 'now', () => nowMs)
  const lines: { message: string; fields: Readonly<Record<string, unknown>> }[] = []
  const logger = {
    ...silentLogger,
    warn: (fields: Readonly<Record<string, unknown>>, message: string) =>
      void lines.push({ message, fields }),
  }
  const counts = new DeliveryCounts(logger, 'topic', (kind) => ({
    waiting: 5,
    spooled: kind === 'spans' ? 3 : 0,
  }))
  counts.accept('spans', 1_000)
  counts.accept('log', 2)
  counts.send('spans', 10)
  for (let second = 0; second < 120; second++) {
    counts.report('sending to Kafka failed, and will be tried again', { cause: 'away' })
    counts.drop('spans', 1, 'queue_full')
    nowMs += 1_000
  }
  assert.deepEqual(
    lines.map(({ message }) => message),
    ['sending to Kafka failed, and will be tried again', 'sending to Kafka failed, and will be tried again'],
  )
  const { topic, cause, spans } = lines[1]!.fields as { topic: string; cause: string; spans: ItemStats }
  assert.deepEqual([topic, cause], ['topic', 'away'])
  assert.deepEqual([spans.accepted, spans.sent, spans.spooled, spans.dropped.queue_full], [1_000, 10, 3, 60])
  assert.equal(spans.waiting, 5)

  counts.reportRest()
  assert.equal(lines.length, 3)
  assert.equal((lines[2]!.fields as { spans: ItemStats }).spans.dropped.queue_full, 120)
  counts.reportRest()
  assert.equal(lines.length, 3)
})

test('what was dropped within the minute of a line is told at the end of it, though nothing happens any more', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const dropped: number[] = []
  const logger = {
    ...silentLogger,
    warn: (fields: Readonly<Record<string, unknown>>) =>
      void dropped.push((fields['spans'] as ItemStats).dropped.queue_full),
  }
  const counts = new DeliveryCounts(logger, 'topic', () => ({ waiting: 0, spooled: 0 }))
  counts.accept('spans', 100)
  for (let i = 0; i < 100; i++) counts.drop('spans', 1, 'queue_full')
  assert.deepEqual(dropped, [1])
  t.mock.timers.tick(60_000)
  assert.deepEqual(dropped, [1, 100])
  t.mock.timers.tick(600_000)
  assert.deepEqual(dropped, [1, 100])
})
