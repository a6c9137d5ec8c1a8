import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import fc from 'fast-check'
import { hideAborted, type PartitionWithAborted } from './aborted-records.ts'

type Batch = new (
  topic: string,
  fetchedOffset: string,
  partition: PartitionWithAborted & { partition: number; highWatermark: string },
) => {
  readonly messages: readonly { readonly offset: string }[]
  isEmptyDueToFiltering(): boolean
  firstOffset(): string | null
  lastOffset(): string
}
const KafkajsBatch = createRequire(import.meta.url)('kafkajs/src/consumer/batch') as Batch

type Step = { producer: number; what: 'record' | 'abort' | 'commit' | 'plain' }

interface Logged {
  readonly offset: number
  readonly producer: number
  readonly kind: Step['what']
  /** Whether a reader of what is committed sees it. */
  isVisible: boolean
}

interface Ended {
  readonly producer: number
  readonly first: number
  readonly last: number
}

/** A log that some producers wrote, each with one transaction at a time; all have ended. Aborted ones are in the order of their ends, as in Kafka's index. */
function writeLog(steps: readonly Step[]): { log: Logged[]; aborted: Ended[] } {
  const log: Logged[] = []
  const aborted: Ended[] = []
  const open = new Map<number, Logged[]>()
  const end = (producer: number, kind: 'abort' | 'commit'): void => {
    const records = open.get(producer)
    if (records === undefined) return
    open.delete(producer)
    for (const record of records) record.isVisible = kind === 'commit'
    if (kind === 'abort') aborted.push({ producer, first: records[0]!.offset, last: log.length })
    log.push({ offset: log.length, producer, kind, isVisible: false })
  }
  for (const { producer, what } of steps) {
    if (what === 'abort' || what === 'commit') {
      end(producer, what)
      continue
    }
    const record = { offset: log.length, producer, kind: what, isVisible: what === 'plain' }
    log.push(record)
    if (what === 'record') open.set(producer, [...(open.get(producer) ?? []), record])
  }
  for (const producer of open.keys()) end(producer, producer % 2 === 0 ? 'abort' : 'commit')
  return { log, aborted }
}

/** What the broker answers to a fetch of `[from, to)`. */
function fetched({ log, aborted }: ReturnType<typeof writeLog>, from: number, to: number) {
  return {
    partition: 0,
    highWatermark: String(log.length),
    abortedTransactions: aborted
      .filter(({ first, last }) => first < to && last >= from)
      .map(({ producer, first }) => ({ producerId: String(producer), firstOffset: String(first) })),
    messages: log.slice(from, to).map(({ offset, producer, kind }) => {
      const isControlRecord = kind === 'abort' || kind === 'commit'
      const type = kind === 'commit' ? 1 : 0
      return {
        offset: String(offset),
        // A SID may have any characters, those of an abort marker too.
        key: isControlRecord ? Buffer.from([0, 0, 0, type]) : Buffer.alloc(offset % 3 === 0 ? 4 : 3),
        isControlRecord,
        batchContext: {
          producerId: kind === 'plain' ? '-1' : String(producer),
          inTransaction: kind !== 'plain',
        },
      }
    }),
  }
}

const anySteps = fc.array(
  fc.record({
    producer: fc.integer({ min: 1, max: 4 }),
    what: fc.constantFrom<Step['what']>('record', 'record', 'record', 'plain', 'abort', 'commit'),
  }),
  { minLength: 1, maxLength: 60 },
)

test('of transactions that overlap, kafkajs hands out what was committed and nothing else, wherever a fetch begins and ends', () => {
  let hidden = 0
  fc.assert(
    fc.property(anySteps, fc.nat(), fc.nat(), (steps, a, b) => {
      const written = writeLog(steps)
      const { log } = written
      fc.pre(log.length > 0)
      const from = a % log.length
      const to = from + 1 + (b % (log.length - from))
      const partition = fetched(written, from, to)
      hideAborted(partition)
      const batch = new KafkajsBatch('in', String(from), partition)
      const expected = log.slice(from, to).filter(({ isVisible }) => isVisible)
      assert.deepEqual(
        batch.messages.map(({ offset }) => Number(offset)),
        expected.map(({ offset }) => offset),
      )
      hidden += to - from - expected.length
      // kafkajs goes over what it does not show.
      assert.equal(Number(batch.firstOffset()), from)
      assert.equal(Number(batch.lastOffset()), to - 1)
      assert.equal(batch.isEmptyDueToFiltering(), expected.length === 0)
    }),
    { numRuns: 500 },
  )
  assert.ok(hidden > 500, `${hidden} records were hidden`)
})

test('a fetch without aborted transactions stays as it is', () => {
  const partition = fetched(writeLog([{ producer: 1, what: 'plain' }]), 0, 1)
  const { messages } = partition
  hideAborted(partition)
  assert.equal(partition.messages, messages)
})
