import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { endOfHidden, FetchedEnd } from './fetched-end.ts'

type Batch = new (
  topic: string,
  fetchedOffset: string,
  partition: { partition: number; highWatermark: string; messages: readonly object[] },
) => {
  readonly messages: readonly object[]
  readonly fetchedOffset: string
  isEmptyDueToFiltering(): boolean
  lastOffset(): string
}
const KafkajsBatch = createRequire(import.meta.url)('kafkajs/src/consumer/batch') as Batch

const record = (offset: number, isControlRecord: boolean, lastOffset = offset) => ({
  offset: String(offset),
  isControlRecord,
  batchContext: { producerId: '7', inTransaction: true, lastOffset },
})

/** What kafkajs makes of an answer when its records are replaced by their end. */
function batchOf(messages: readonly ReturnType<typeof record>[], fetchedOffset: number) {
  const end = endOfHidden(messages, fetchedOffset)
  return new KafkajsBatch('in', String(fetchedOffset), {
    partition: 0,
    highWatermark: '100',
    messages: end === undefined ? messages : [end],
  })
}

test('a fetch that brought nothing to show is handed over with where it began and ended', () => {
  const batch = batchOf([record(10, true), record(11, true), record(12, true)], 10)
  assert.equal(batch.isEmptyDueToFiltering(), false)
  assert.ok(batch.messages[0] instanceof FetchedEnd)
  assert.equal(batch.messages.length, 1)
  assert.deepEqual([batch.fetchedOffset, batch.lastOffset()], ['10', '12'])
})

test('what compaction left of a batch before the offset that was asked for ends where the batch does', () => {
  assert.equal(batchOf([record(3, false, 19), record(5, false, 19)], 10).lastOffset(), '19')
  assert.equal(batchOf([record(3, false, 5)], 10).lastOffset(), '10', 'and never before that offset')
})

test('a fetch that shows a record, or brought none, stays as it is', () => {
  assert.equal(endOfHidden([record(10, true), record(11, false), record(12, true)], 10), undefined)
  assert.equal(endOfHidden([], 10), undefined)
})
