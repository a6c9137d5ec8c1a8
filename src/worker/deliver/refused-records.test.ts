import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import type { DeadLetter } from '../../model/dead-letter.ts'
import type { FragmentRecord } from '../../model/fragment.ts'
import type { Task } from '../../model/task.ts'
import type { Delivery } from './delivery.ts'
import { storeRefused } from './refused-records.ts'

function taskOf(loss = new AbortController()): Task {
  return {
    topic: 'in',
    partition: 0,
    get isAlive() {
      return !loss.signal.aborted
    },
    lost: loss.signal,
    streamTimeMs: 0,
    settle: () => undefined,
    unblock: () => undefined,
  }
}

function deliveryOf(offset: number, task = taskOf()): { delivery: Delivery; record: FragmentRecord } {
  const value = Buffer.from(`value ${offset}`)
  const record: FragmentRecord = {
    kind: 'spans',
    topic: 'in',
    partition: 0,
    offset,
    receivedAtMs: 1,
    byteLength: value.length,
    rowCount: 1,
    repeatedBytes: 0,
    hasLargeValue: false,
    bytes: value,
    bodyStart: 5,
    day: -1,
    memory: value,
    contentStart: 5,
    contentEnd: value.length,
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
  return { delivery: { fragment, task, heldBytes: 1, original, release: () => undefined }, record }
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
  const loss = new AbortController()
  for (let offset = 0; offset < 20; offset++) {
    const { delivery, record } = deliveryOf(offset, taskOf(loss))
    await storeRefused([delivery], [{ record, reason: 'no' }], queue, closing.signal)
  }
  assert.equal(letters.length, 20)
  assert.equal(getEventListeners(closing.signal, 'abort').length, 0)
  assert.equal(getEventListeners(loss.signal, 'abort').length, 0)
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

for (const [state, isTaken] of [
  ['waits for room in a full queue', false],
  ['waits in the queue of a topic that is away', true],
] as const) {
  test(`a record of a partition that is lost ${state} no longer: what else was in its batch goes on`, async () => {
    const closing = new AbortController()
    const loss = new AbortController()
    const { delivery, record } = deliveryOf(1, taskOf(loss))
    const stored = storeRefused(
      [delivery],
      [{ record, reason: 'no' }],
      { offer: () => isTaken, whenRoom: () => undefined },
      closing.signal,
    )
    loss.abort()
    const late = new Promise((_, reject) => {
      setTimeout(() => reject(new Error('it still waits')), 2_000).unref()
    })
    await Promise.race([stored, late])
    assert.equal(getEventListeners(closing.signal, 'abort').length, 0)
  })
}
