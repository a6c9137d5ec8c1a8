import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bundledSchema } from '../codec/bundled-schemas.ts'
import { compileRecordType } from '../codec/record-type.ts'
import { RecordWriter } from '../codec/record-writer.ts'
import { SiderealError } from '../model/errors.ts'
import type { Fragment } from '../model/fragment.ts'
import { ManualClock } from '../model/manual-clock.ts'
import type { Sink } from '../model/sink.ts'
import type { Span } from '../model/span.ts'
import type { Task } from '../model/task.ts'
import { WorkerCounters } from '../telemetry/counters.ts'
import { silentLogger } from '../telemetry/logger.ts'
import { Pipeline } from './pipeline.ts'

const SCHEMA_ID = 3
const spanType = compileRecordType(bundledSchema('sidereal.SpanBatch').json, SCHEMA_ID, {
  payloadLimitBytes: 5_120,
})
const writer = new RecordWriter()

/** One record of the log: a batch of one span, good or not. */
interface Entry {
  readonly sid: string
  readonly appendMs: number
  readonly hasParent: boolean
  readonly isBad: boolean
}

function encoded({ sid, hasParent, isBad }: Entry, offset: number): Buffer {
  const span: Span = {
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: (offset + 1).toString(16).padStart(16, '0'),
    parentSpanId: hasParent ? 'ffffffffffffffff' : null,
    flags: 1,
    name: 'work',
    kind: 1,
    startTimeNs: 1_700_000_000_000_000_000n,
    endTimeNs: 1_700_000_000_500_000_000n,
    statusCode: 0,
    statusMessage: '',
    traceState: '',
    attributes: [],
    droppedAttributesCount: 0,
    events: [],
    droppedEventsCount: 0,
    links: [],
    droppedLinksCount: 0,
  }
  const value = writer.encodeSpanBatch(
    {
      sid,
      appId: 'app',
      uid: '',
      chatId: '',
      batchId: offset.toString(16).padStart(32, '0'),
      resource: { attributes: [], droppedAttributesCount: 0, schemaUrl: '', entityRefs: [] },
      scope: { name: '', version: '', attributes: [], droppedAttributesCount: 0, schemaUrl: '' },
      spans: [span],
    },
    SCHEMA_ID,
  )
  return isBad ? value.subarray(0, value.length - 3) : value
}

/** A partition whose settled offsets outlive the worker, as the ledger in Kafka does. */
class LedgerTask implements Task {
  readonly topic = 'in'
  readonly partition = 0
  readonly streamTimeMs = 0
  readonly #settled: Set<number>
  readonly lost = new AbortController().signal
  isAlive = true
  constructor(settled: Set<number>) {
    this.#settled = settled
  }
  settle(offsets: readonly number[]): void {
    if (!this.isAlive) return
    for (const offset of offsets) this.#settled.add(offset)
  }
  unblock(): void {
    throw new Error('nothing blocks here')
  }
}

/** What the outside world holds after all workers: it survives them. */
class World {
  /** Span ids that the table has, and in which fragments each offset was written. */
  readonly rows = new Set<string>()
  readonly fragments: { sid: string; offsets: number[] }[] = []
  readonly deadLetters = new Set<string>()
  readonly settled = new Set<number>()
}

function sinkOf(world: World, isOut: () => boolean): Sink {
  const nothing = async (): Promise<void> => Promise.resolve()
  return {
    name: 'table',
    start: nothing,
    close: nothing,
    write: async (fragments: readonly Fragment[]) => {
      await Promise.resolve()
      // An outage in the middle: part of it may be stored, and nobody knows.
      for (const [index, fragment] of fragments.entries()) {
        if (index === 1 && isOut())
          throw new SiderealError('SIDEREAL_CLICKHOUSE_UNAVAILABLE', 'away', { retryable: true })
        for (const record of fragment.records) {
          const batch = record.decode()
          if ('spans' in batch) for (const { spanId } of batch.spans) world.rows.add(spanId)
        }
        world.fragments.push({ sid: fragment.sid, offsets: fragment.records.map(({ offset }) => offset) })
      }
      if (isOut())
        throw new SiderealError('SIDEREAL_CLICKHOUSE_UNAVAILABLE', 'the answer was lost', { retryable: true })
      return { refused: [] }
    },
  }
}

function startPipeline(world: World, clock: ManualClock, isOut: () => boolean): Pipeline {
  return new Pipeline(
    {
      rules: { quietMs: 1_000, idleMs: 4_000, maxAgeMs: 10_000, maxRows: 6, maxBytes: 10_000 },
      maxMemoryBytes: 512 * 1024 * 1024,
      batchRows: 20,
      batchMs: 500,
      bestEffortQueueBytes: 1_000_000,
      deadLetterTopic: 'dead',
      groupId: 'group',
    },
    {
      schemas: { cached: () => spanType, fetch: () => Promise.resolve(spanType) },
      processor: null,
      required: [sinkOf(world, isOut)],
      bestEffort: [],
      deadLetterProducer: {
        send: async (_topic, records) => {
          await Promise.resolve()
          if (isOut()) throw new SiderealError('SIDEREAL_KAFKA_UNAVAILABLE', 'away', { retryable: true })
          for (const { headers } of records) world.deadLetters.add(String(headers['__connect.errors.offset']))
        },
      },
      gate: { mayDeliver: () => true, pause: () => undefined, resume: () => undefined },
      instanceId: 'one',
      metrics: {
        observeWrite: () => undefined,
        countError: () => undefined,
        countLost: () => undefined,
        countRefused: () => undefined,
      },
      counters: new WorkerCounters(),
      clock,
      random: () => 0.5,
      logger: silentLogger,
      readRss: () => 0,
      collectGarbage: () => undefined,
    },
  )
}

test('after kill -9 at any points and outages in between, every record is in the table or a dead letter, and nothing unsettled was forgotten', async () => {
  const entries = fc.array(
    fc.record({
      sid: fc.constantFrom('a', 'b', 'c', 'd'),
      stepMs: fc.integer({ min: 0, max: 1_500 }),
      hasParent: fc.boolean(),
      isBad: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
    }),
    { minLength: 1, maxLength: 60 },
  )
  const crashes = fc.array(fc.record({ after: fc.integer({ min: 1, max: 40 }), forgets: fc.nat() }), {
    maxLength: 4,
  })
  await fc.assert(
    fc.asyncProperty(entries, crashes, fc.nat(), async (steps, plan, outageSeed) => {
      let appendMs = 1_000
      const log = steps.map((step): Entry => {
        appendMs += step.stepMs
        return { ...step, appendMs }
      })
      const values = log.map(encoded)
      const world = new World()
      let turn = 0
      const isOut = (): boolean => {
        turn += 1
        return turn < 40 && ((outageSeed >>> (turn % 20)) & 3) === 0
      }
      for (const life of [...plan, null]) {
        const clock = new ManualClock()
        const pipeline = startPipeline(world, clock, isOut)
        // What was settled but not yet committed is forgotten by a crash; a commit always ends at some moment before it.
        if (life !== null && world.settled.size > 0) {
          for (const offset of [...world.settled].slice(-(life.forgets % 4))) world.settled.delete(offset)
        }
        const committed = new Set(world.settled)
        const task = new LedgerTask(world.settled)
        const handler = pipeline.handlerFor(task)
        let first = 0
        while (committed.has(first)) first += 1
        let read = 0
        for (const [index, entry] of log.entries()) {
          if (index < first) continue
          if (life !== null && read === life.after) break
          read += 1
          const record = {
            offset: index,
            appendTimeMs: entry.appendMs,
            key: Buffer.from(entry.sid),
            value: values[index] ?? null,
            headers: {},
          }
          if (committed.has(index)) handler.onSkipped(record)
          else assert.equal(handler.onRecord(record), 'taken')
          if (index % 7 === 0) await clock.advance(700)
        }
        if (life === null) {
          handler.onQuiet(appendMs + 1_000_000)
          const drained = pipeline.drained()
          await clock.advance(2_000_000)
          await drained
          assert.equal(pipeline.deliverer.undeliveredBytes, 0)
          assert.equal(pipeline.assembly.openTraces, 0)
        }
        task.isAlive = false
        handler.onLost()
        await pipeline.close()
      }
      const good = log.flatMap((entry, offset) => (entry.isBad ? [] : [offset]))
      const bad = log.flatMap((entry, offset) => (entry.isBad ? [String(offset)] : []))
      assert.deepEqual(
        [...world.rows].sort(),
        good.map((offset) => (offset + 1).toString(16).padStart(16, '0')).sort(),
      )
      assert.deepEqual([...world.deadLetters].sort(), bad.sort())
      assert.deepEqual(
        [...world.settled].sort((a, b) => a - b),
        [...log.keys()],
      )
      for (const { sid, offsets } of world.fragments) {
        for (const offset of offsets) assert.equal(log[offset]?.sid, sid, 'no fragment mixes SIDs')
      }
    }),
    { numRuns: 60 },
  )
})
