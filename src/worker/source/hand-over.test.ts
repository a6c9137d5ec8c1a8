import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Batch, KafkaMessage } from 'kafkajs'
import { handOver } from './hand-over.ts'
import { NOTHING_TAKEN } from './intake.ts'
import type { SourceBatch } from './source-port.ts'

interface Part {
  readonly fetchedOffset: number
  readonly lastOffset: number
  readonly offsets: readonly number[]
  readonly isStale: boolean
}

/** A batch of kafkajs that was asked for from `first` on; what lies behind its messages, up to `lastOffset`, is not shown. */
function batchOf(first: number, messages: readonly KafkaMessage[], lastOffset: number): Batch {
  const batch = {
    topic: 't',
    partition: 3,
    highWatermark: String(lastOffset + 1),
    fetchedOffset: String(first),
    messages: [...messages],
    lastOffset: () => String(lastOffset),
  }
  return batch as unknown as Batch
}

function messageAt(offset: number, bytes = 10): KafkaMessage {
  return {
    key: null,
    value: Buffer.alloc(bytes),
    timestamp: '5',
    attributes: 0,
    offset: String(offset),
    headers: {},
  } as KafkaMessage
}

function messagesAt(from: number, count: number, bytes?: number): KafkaMessage[] {
  return Array.from({ length: count }, (_, index) => messageAt(from + index, bytes))
}

/** Takes every part, and notes it. */
class Taker {
  readonly parts: Part[] = []
  readonly resolved: number[] = []
  isStale = false
  answer = ({ lastOffset }: SourceBatch): number => lastOffset

  readonly to = {
    isStale: () => this.isStale,
    take: (part: SourceBatch) => {
      const offsets = Array.from(part.records, ({ offset }) => offset)
      this.parts.push({
        fetchedOffset: part.fetchedOffset,
        lastOffset: part.lastOffset,
        offsets,
        isStale: part.isStale,
      })
      return this.answer(part)
    },
    resolve: (offset: number) => {
      this.resolved.push(offset)
    },
  }
}

test('parts follow each other without a gap, and only the last one covers what is hidden at the end', async () => {
  const messages = messagesAt(100, 600)
  const taker = new Taker()
  await handOver(batchOf(95, messages, 720), taker.to)
  assert.deepEqual(
    taker.parts.map(({ fetchedOffset, lastOffset }) => [fetchedOffset, lastOffset]),
    [
      [95, 355],
      [356, 611],
      [612, 720],
    ],
  )
  assert.deepEqual(
    taker.parts.flatMap(({ offsets }) => offsets),
    messages.map(({ offset }) => Number(offset)),
  )
  assert.deepEqual(taker.resolved, [355, 611, 720])
})

test('a part ends before the bytes of a turn are exceeded, and a record that is larger is a part of its own', async () => {
  const taker = new Taker()
  const messages = [
    ...messagesAt(0, 3, 100_000),
    messageAt(3, 1_000_000),
    messageAt(4, 1_000_000),
    messageAt(5),
  ]
  await handOver(batchOf(0, messages, 5), taker.to)
  assert.deepEqual(
    taker.parts.map(({ offsets }) => offsets),
    [[0, 1], [2], [3], [4], [5]],
  )
})

test('timers fire between two parts', async () => {
  const taker = new Taker()
  let partsAtTurn = 0
  setImmediate(() => {
    partsAtTurn = taker.parts.length
  })
  await handOver(batchOf(0, messagesAt(0, 1_000), 999), taker.to)
  assert.equal(taker.parts.length, 4)
  assert.equal(partsAtTurn, 1)
})

test('the rest of a batch is not offered when a part was taken in half, or not at all', async () => {
  const half = new Taker()
  half.answer = ({ fetchedOffset, lastOffset }) => (fetchedOffset === 0 ? lastOffset : 300)
  await handOver(batchOf(0, messagesAt(0, 1_000), 999), half.to)
  assert.equal(half.parts.length, 2)
  assert.deepEqual(half.resolved, [255, 300])

  const none = new Taker()
  none.answer = () => NOTHING_TAKEN
  await handOver(batchOf(0, messagesAt(0, 1_000), 999), none.to)
  assert.equal(none.parts.length, 1)
  assert.deepEqual(none.resolved, [])
})

test('each part says anew whether the batch is of an earlier position', async () => {
  const taker = new Taker()
  setImmediate(() => {
    taker.isStale = true
  })
  await handOver(batchOf(0, messagesAt(0, 600), 599), taker.to)
  assert.deepEqual(
    taker.parts.map(({ isStale }) => isStale),
    [false, true, true],
  )
})
