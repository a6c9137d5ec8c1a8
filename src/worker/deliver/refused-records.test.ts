import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import type { DeadLetter } from '../../model/dead-letter.ts'
import type { FragmentRecord } from '../../model/fragment.ts'
import type { Delivery } from './delivery.ts'
import { storeRefused } from './refused-records.ts'

const TASK = {
  topic: 'in',
  partition: 0,
  isAlive: true,
  streamTimeMs: 0,
  settle: () => undefined,
  unblock: () => undefined,
}

function deliveryOf(offset: number): { delivery: Delivery; record: FragmentRecord } {
  const value = Buffer.from(`value ${offset}`)
  const record: FragmentRecord = {
    kind: 'spans',
    topic: 'in',
    partition: 0,
    offset,
    receivedAtMs: 1,
    byteLength: value.length,
    rowCount: 1,
    hasLargeValue: false,
    bytes: value,
    bodyStart: 5,
    schemaId: 7,
    decode: () => assert.fail('not needed here'),
  }
  const fragment = {
    sid: 's',
    reason: 'complete' as const,
    records: [record],
    facts: [],
    byteLength: 1,
    rowCount: 1,
  }
  const original = () => ({ key: Buffer.from('s'), value, headers: {} })
  return { delivery: { fragment, task: TASK, heldBytes: 1, original, release: () => undefined }, record }
}

test('a record that was refused and stored is not held by the signal of the worker’s end', async () => {
  const closing = new AbortController()
  const letters: DeadLetter[] = []
  const queue = {
    offer: (letter: DeadLetter) => {
      letters.push(letter)
      queueMicrotask(() => letter.onStored())
      return true
    },
    whenRoom: () => assert.fail('there is room'),
  }
  for (let offset = 0; offset < 20; offset++) {
    const { delivery, record } = deliveryOf(offset)
    await storeRefused([delivery], [{ record, reason: 'no' }], queue, closing.signal)
  }
  assert.equal(letters.length, 20)
  assert.equal(getEventListeners(closing.signal, 'abort').length, 0)
})

test('when the worker ends, nobody waits for room in a full queue any more', async () => {
  const closing = new AbortController()
  const { delivery, record } = deliveryOf(1)
  const stored = storeRefused(
    [delivery],
    [{ record, reason: 'no' }],
    { offer: () => false, whenRoom: () => undefined },
    closing.signal,
  )
  closing.abort()
  await stored
})
