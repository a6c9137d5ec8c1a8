import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bundledSchema } from '../../codec/bundled-schemas.ts'
import { compileRecordType, type RecordType } from '../../codec/record-type.ts'
import { RecordWriter } from '../../codec/record-writer.ts'
import type { DeadLetter } from '../../model/dead-letter.ts'
import type { CappedRecord, DeadLetterCap, PartitionCaps } from '../../model/dead-letter-cap.ts'
import { SiderealError } from '../../model/errors.ts'
import { REPLAY_HEADERS } from '../../model/first-arrival.ts'
import { ManualClock } from '../../model/manual-clock.ts'
import type { Span, SpanBatch } from '../../model/span.ts'
import type { SourceRecord, Task, TaskHandler } from '../../model/task.ts'
import { WorkerCounters } from '../../telemetry/counters.ts'
import { silentLogger } from '../../telemetry/logger.ts'
import { Assembly, type AssemblyOptions } from './assembly.ts'
import type { ClosedFragment } from './closed-fragment.ts'
import { CLOSING_RULES } from './trace-table.ts'

const SPANS = 7
const spanType = compileRecordType(bundledSchema('sidereal.SpanBatch').json, SPANS, {
  payloadLimitBytes: 5_120,
})
const writer = new RecordWriter()

function span(id: number, parent: number | null, name = 'work'): Span {
  return {
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: id.toString(16).padStart(16, '0'),
    parentSpanId: parent === null ? null : parent.toString(16).padStart(16, '0'),
    flags: 1,
    name,
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
}

function batch(sid: string, spans: Span[]): SpanBatch {
  return {
    sid,
    appId: 'app',
    uid: 'u',
    chatId: 'c',
    batchId: '0190b8a7c3d14e5f8a9b0c1d2e3f4a5b',
    resource: { attributes: [], droppedAttributesCount: 0, schemaUrl: '', entityRefs: [] },
    scope: { name: 'scope', version: '', attributes: [], droppedAttributesCount: 0, schemaUrl: '' },
    spans,
  }
}

class FakeTask implements Task {
  readonly topic = 'in'
  readonly partition: number
  readonly settled: number[] = []
  readonly lost = new AbortController().signal
  isAlive = true
  streamTimeMs = 0
  unblocked = 0
  constructor(partition = 0) {
    this.partition = partition
  }
  settle(offsets: readonly number[]): void {
    this.settled.push(...offsets)
  }
  unblock(): void {
    this.unblocked += 1
  }
}

/** Caps as a test sets them. */
class FakeCap implements DeadLetterCap {
  isStopped = false
  isFull = false
  readonly noted: number[] = []
  readonly waiting: (() => void)[] = []
  admit(_record: CappedRecord, _position: number, tryAgain: () => void): boolean {
    if (this.isFull) {
      this.isStopped = true
      this.waiting.push(tryAgain)
    }
    return !this.isFull
  }
  note(position: number): void {
    this.noted.push(position)
  }
  release(): void {
    this.isStopped = false
    for (const callback of this.waiting.splice(0)) callback()
  }
  whenReleased(callback: () => void): void {
    this.waiting.push(callback)
  }
}

function setUp(change: Partial<AssemblyOptions> = {}) {
  const caps = { reading: new FakeCap(), refused: new FakeCap(), isClosed: false }
  const clock = new ManualClock()
  const counters = new WorkerCounters()
  const letters: DeadLetter[] = []
  const closed: ClosedFragment[] = []
  const queue = { isFull: false, wantRoom: [] as (() => void)[] }
  const assembly = new Assembly({
    rules: CLOSING_RULES,
    maxOpenBytes: 64 * 1024 * 1024,
    schemas: {
      cached: (id) => (id === SPANS ? spanType : undefined),
      fetch: () => Promise.resolve(spanType),
    },
    deadLetters: {
      offer: (letter) => !queue.isFull && letters.push(letter) > 0,
      whenRoom: (callback) => void queue.wantRoom.push(callback),
    },
    openCaps: () => ({
      ...caps,
      close: () => {
        caps.isClosed = true
      },
    }),
    onFragment: (fragment) => void closed.push(fragment),
    clock,
    random: () => 1,
    logger: silentLogger,
    counters,
    ...change,
  })
  return { clock, counters, letters, closed, queue, assembly, caps }
}

function record(
  offset: number,
  appendTimeMs: number,
  key: string | null,
  value: Buffer | null,
): SourceRecord {
  return { offset, appendTimeMs, key: key === null ? null : Buffer.from(key), value, headers: {} }
}

function spansRecord(offset: number, appendTimeMs: number, sid: string, spans: Span[]): SourceRecord {
  return record(offset, appendTimeMs, sid, writer.encodeSpanBatch(batch(sid, spans), SPANS))
}

test('records of one SID become a complete fragment that decodes to what was sent, and its memory is free after release', () => {
  const { assembly, closed } = setUp()
  const task = new FakeTask(3)
  const handler = assembly.handlerFor(task)
  const [root, child] = [span(1, null), span(2, 1, 'child')]
  const first = spansRecord(10, 1_000, 'sid-1', [child])
  assert.equal(handler.onRecord(first), 'taken')
  first.value?.fill(0)
  handler.onRecord(spansRecord(12, 2_000, 'sid-1', [root]))
  handler.onRecord(spansRecord(13, 11_999, 'sid-2', [root]))
  assert.equal(closed.length, 0)
  assert.equal(assembly.openTraces, 2)
  handler.onRecord(spansRecord(14, 12_000, 'sid-3', [root]))
  const { fragment } = closed[0] ?? assert.fail('nothing was closed')
  assert.deepEqual([fragment.sid, fragment.reason, fragment.rowCount], ['sid-1', 'complete', 2])
  assert.deepEqual(
    fragment.records.map((one) => [
      one.kind,
      one.topic,
      one.partition,
      one.offset,
      one.receivedAtMs,
      one.schemaId,
    ]),
    [
      ['spans', 'in', 3, 10, 1_000, SPANS],
      ['spans', 'in', 3, 12, 2_000, SPANS],
    ],
  )
  assert.deepEqual(fragment.records[0]?.decode(), batch('sid-1', [child]))
  assert.equal(
    fragment.byteLength,
    fragment.records.reduce((sum, one) => sum + one.bytes.length - one.bodyStart, 0),
  )
  const facts = fragment.facts[0]
  assert.deepEqual([facts?.appId, facts?.spanKeys.length, facts?.missingParents.length], ['app', 2, 0])
  assert.deepEqual([facts?.firstReceivedAtMs, facts?.lastReceivedAtMs], [1_000, 2_000])
  assert.equal(String(closed[0]?.original(12)?.key), 'sid-1')
  closed[0]?.release()
  assert.throws(() => fragment.records[0]?.bytes, /released/)
})

test('a trace that misses a parent waits until it is idle, says so, and what comes later is late', () => {
  const { assembly, closed } = setUp()
  const handler = assembly.handlerFor(new FakeTask())
  handler.onRecord(spansRecord(0, 1_000, 'sid-1', [span(2, 1)]))
  handler.onQuiet(120_999)
  assert.equal(closed.length, 0)
  handler.onQuiet(121_000)
  assert.equal(closed[0]?.fragment.reason, 'idle')
  assert.equal(closed[0]?.fragment.facts[0]?.missingParents.length, 1)
  handler.onRecord(spansRecord(1, 122_000, 'sid-1', [span(1, null)]))
  handler.onQuiet(132_000)
  assert.equal(closed[1]?.fragment.reason, 'late')
})

test('the facts of a fragment are those of its own records, whatever was looked at between the look at it and its end', () => {
  const { assembly, closed } = setUp({ rules: { ...CLOSING_RULES, maxRows: 2 } })
  const [left, right] = [0, 1].map((partition) => assembly.handlerFor(new FakeTask(partition)))
  // Both wait for a parent: each is looked at when it falls quiet, the one of the other partition last.
  left?.onRecord(spansRecord(0, 1_000, 'sid-left', [span(2, 1)]))
  right?.onRecord(spansRecord(0, 1_000, 'sid-right', [span(3, 1), span(4, 1)]))
  left?.onQuiet(20_000)
  right?.onQuiet(20_000)
  left?.onQuiet(121_000)
  assert.deepEqual(factsOf(closed[0]), ['sid-left', 'idle', 1, 1_000])

  // A record comes after the look, and a limit closes the trace before the next one.
  left?.onRecord(spansRecord(1, 200_000, 'sid-more', [span(2, 1)]))
  left?.onQuiet(215_000)
  left?.onRecord(spansRecord(2, 216_000, 'sid-more', [span(5, 1)]))
  left?.onRecord(spansRecord(3, 217_000, 'sid-more', [span(6, 1)]))
  assert.deepEqual(factsOf(closed[1]), ['sid-more', 'span_limit', 2, 216_000])
})

function factsOf(closed: ClosedFragment | undefined): unknown[] {
  const { fragment } = closed ?? assert.fail('nothing was closed')
  const [facts] = fragment.facts
  return [fragment.sid, fragment.reason, facts?.spanKeys.length, facts?.lastReceivedAtMs]
}

test('every kind of bad record is a dead letter with its reason, is settled only after it is stored, and the rest goes on', () => {
  const { assembly, letters, closed, counters } = setUp({
    schemas: {
      cached: (id) => (id === SPANS ? spanType : undefined),
      fetch: () => Promise.reject(new Error('not asked for')),
    },
  })
  const task = new FakeTask()
  const handler = assembly.handlerFor(task)
  const good = writer.encodeSpanBatch(batch('sid-1', [span(1, null)]), SPANS)
  const cases: [string | null, Buffer | null, string, string][] = [
    ['sid-1', null, 'tombstone', 'VALUE_CONVERTER'],
    [null, good, 'null_key', 'KEY_CONVERTER'],
    ['sid-1', Buffer.from('{"json": true}'), 'bad_frame', 'VALUE_CONVERTER'],
    ['sid-1', Buffer.alloc(0), 'bad_frame', 'VALUE_CONVERTER'],
    ['sid-1', good.subarray(0, good.length - 7), 'record_invalid', 'VALUE_CONVERTER'],
    ['sid-1', Buffer.concat([good, Buffer.from([1])]), 'record_invalid', 'VALUE_CONVERTER'],
    ['another', good, 'key_mismatch', 'KEY_CONVERTER'],
  ]
  for (const [index, [key, value, reason, stage]] of cases.entries()) {
    assert.equal(handler.onRecord(record(index, 1_000, key, value)), 'taken', reason)
    const letter = letters[index] ?? assert.fail(reason)
    assert.deepEqual([letter.reason, letter.stage, letter.offset], [reason, stage, index])
    assert.equal(letter.value, value, 'the value is untouched')
  }
  handler.onRecord(record(99, 1_001, 'sid-1', good))
  handler.onQuiet(20_000)
  assert.equal(closed[0]?.fragment.records[0]?.offset, 99)
  assert.deepEqual(task.settled, [])
  for (const letter of letters) letter.onStored()
  assert.deepEqual(task.settled, [0, 1, 2, 3, 4, 5, 6])
  assert.equal(counters.recordsConsumed, 8)
})

test('whatever bytes come, no record makes assembly throw', () => {
  const { assembly } = setUp()
  const handler = assembly.handlerFor(new FakeTask())
  const good = writer.encodeSpanBatch(batch('sid-1', [span(1, null), span(2, 1)]), SPANS)
  let offset = 0
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, byte, cut) => {
      const value = Buffer.from(good)
      value[at] = byte
      offset += 1
      handler.onRecord(record(offset, 1_000, 'sid-1', value.subarray(0, cut)))
      handler.onRecord(record(offset, 1_000, 'sid-1', value))
    }),
    { numRuns: 2_000 },
  )
  handler.onQuiet(10_000_000)
})

test('a schema that is not known blocks the partition until the registry has it, however long the registry is away', async () => {
  const known = new Map<number, RecordType>()
  let isAway = true
  let asked = 0
  const { assembly, clock, letters } = setUp({
    schemas: {
      cached: (id) => known.get(id),
      fetch: async (id) => {
        asked += 1
        await Promise.resolve()
        if (isAway) throw new SiderealError('SIDEREAL_REGISTRY_UNAVAILABLE', 'away', { retryable: true })
        known.set(id, spanType)
        return spanType
      },
    },
  })
  const [one, two] = [new FakeTask(0), new FakeTask(1)]
  const handlers = [assembly.handlerFor(one), assembly.handlerFor(two)]
  const first = spansRecord(0, 1_000, 'sid-1', [span(1, null)])
  for (const handler of handlers) assert.equal(handler.onRecord(first), 'blocked')
  await clock.advance(600_000)
  assert.deepEqual([one.unblocked, letters.length], [0, 0])
  assert.ok(asked > 20 && asked < 200, `${asked} questions in ten minutes: one loop for both partitions`)
  isAway = false
  await clock.advance(20_000)
  assert.deepEqual([one.unblocked, two.unblocked], [1, 1])
  for (const handler of handlers) assert.equal(handler.onRecord(first), 'taken')
  assert.equal(letters.length, 0)
})

test('a schema that the registry does not have makes dead letters, without another question for each record', async () => {
  let asked = 0
  const { assembly, clock, letters } = setUp({
    schemas: {
      cached: () => undefined,
      fetch: async () => {
        asked += 1
        await Promise.resolve()
        throw new SiderealError('SIDEREAL_SCHEMA_UNKNOWN', 'no schema 7')
      },
    },
  })
  const task = new FakeTask()
  const handler = assembly.handlerFor(task)
  const value = spansRecord(0, 1_000, 'sid-1', [span(1, null)])
  assert.equal(handler.onRecord(value), 'blocked')
  await clock.advance(10)
  assert.equal(task.unblocked, 1)
  for (let i = 0; i < 5; i++) assert.equal(handler.onRecord(value), 'taken')
  assert.deepEqual(
    [asked, letters.length, letters[0]?.reason, letters[0]?.schemaId],
    [1, 5, 'schema_unknown', SPANS],
  )
})

test('a full dead-letter queue blocks the partition and drops nothing', () => {
  const { assembly, letters, queue } = setUp()
  const task = new FakeTask()
  const handler = assembly.handlerFor(task)
  queue.isFull = true
  const bad = record(0, 1_000, null, Buffer.from('x'))
  assert.equal(handler.onRecord(bad), 'blocked')
  assert.equal(letters.length, 0)
  queue.isFull = false
  for (const callback of queue.wantRoom) callback()
  assert.equal(task.unblocked, 1)
  assert.equal(handler.onRecord(bad), 'taken')
  assert.equal(letters.length, 1)
})

test('a partition that may have no more dead letters stops at the record, keeps nothing of it, and goes on when it can be read', () => {
  const types = new Map<number, RecordType>()
  const { assembly, letters, caps, closed } = setUp({
    schemas: {
      cached: (id) => types.get(id),
      fetch: () => Promise.resolve(spanType),
    },
  })
  const task = new FakeTask()
  const handler = assembly.handlerFor(task)
  types.set(SPANS, spanType)
  const good = spansRecord(1, 1_000, 'sid-1', [span(1, null)])
  const bad = record(1, 1_000, 'another', good.value)
  assert.equal(handler.onRecord(record(0, 1_000, null, good.value)), 'taken')
  assert.deepEqual(caps.reading.noted, [0])
  caps.reading.isFull = true
  assert.equal(handler.onRecord(bad), 'blocked')
  assert.deepEqual([letters.length, task.unblocked, caps.reading.noted], [1, 0, [0]])
  for (const tryAgain of caps.reading.waiting.splice(0)) tryAgain()
  assert.equal(task.unblocked, 1, 'the same record is asked for again')
  assert.equal(handler.onRecord(bad), 'blocked')
  assert.equal(handler.onRecord(good), 'taken')
  assert.equal(caps.reading.isStopped, false)
  handler.onQuiet(20_000)
  assert.equal(closed.length, 1)
  handler.onLost()
  assert.equal(caps.isClosed, true)
})

test('while a sink refuses too much of a partition, no record of it is taken and none of its traces is cut', () => {
  const { assembly, caps, closed } = setUp()
  const task = new FakeTask()
  const handler = assembly.handlerFor(task)
  handler.onRecord(spansRecord(0, 1_000, 'sid-1', [span(1, null)]))
  caps.refused.isStopped = true
  const later = spansRecord(1, 500_000, 'sid-2', [span(1, null)])
  assert.equal(handler.onRecord(later), 'blocked')
  assert.equal(closed.length, 0)
  caps.refused.release()
  assert.equal(task.unblocked, 1)
  assert.equal(handler.onRecord(later), 'taken')
  assert.equal(closed.length, 1)
})

test('while a sink refuses too much of a partition, neither memory nor quiet cuts its traces, and the others stay within their share', () => {
  const refused = new FakeCap()
  const own = (): PartitionCaps => ({
    reading: new FakeCap(),
    refused: new FakeCap(),
    close: () => undefined,
  })
  const maxOpenBytes = 1024 * 1024
  const { assembly, closed } = setUp({
    maxOpenBytes,
    openCaps: (task) => (task.partition === 0 ? { ...own(), refused } : own()),
  })
  const [stopped, other] = [0, 1].map((partition) => assembly.handlerFor(new FakeTask(partition)))
  const bulk = 'x'.repeat(3_000)
  for (let i = 0; i < 100; i++)
    stopped?.onRecord(spansRecord(i, 1_000, `stopped-${i}`, [span(1, null, bulk)]))
  refused.isStopped = true
  for (let i = 0; i < 1_000; i++) other?.onRecord(spansRecord(i, 2_000, `other-${i}`, [span(1, null, bulk)]))
  stopped?.onQuiet(10_000_000)
  stopped?.onTick()
  assert.ok(assembly.openBytes <= maxOpenBytes + 10_000)
  assert.ok(closed.length > 500)
  assert.ok(closed.every(({ fragment }) => fragment.sid.startsWith('other')))
  refused.release()
  stopped?.onQuiet(10_000_000)
  assert.equal(closed.filter(({ fragment }) => fragment.sid.startsWith('stopped')).length, 100)
})

test('a replayed record has the time of its first arrival in rows, facts and dead letters, and never in the clock that closes traces', () => {
  const { assembly, closed, letters, counters } = setUp()
  const handler = assembly.handlerFor(new FakeTask())
  const firstMs = 1_600_000_000_000
  const nowMs = 1_700_000_000_000
  const headers = {
    [REPLAY_HEADERS.topic]: Buffer.from('in'),
    [REPLAY_HEADERS.partition]: Buffer.from('4'),
    [REPLAY_HEADERS.offset]: Buffer.from('77'),
    [REPLAY_HEADERS.appendTimeMs]: Buffer.from(String(firstMs)),
  }
  handler.onRecord(spansRecord(0, nowMs, 'sid-1', [span(1, null)]))
  handler.onRecord({ ...spansRecord(1, nowMs + 1, 'sid-2', [span(1, null)]), headers })
  handler.onRecord({ ...record(2, nowMs + 2, null, Buffer.from('x')), headers })
  assert.equal(closed.length, 0)
  // The clock goes by when the broker took a record now, of a replayed one too.
  handler.onRecord({ ...spansRecord(4, nowMs + 10_001, 'sid-4', [span(1, null)]), headers })
  const [ordinary, replayed] = closed
  assert.deepEqual(
    [ordinary?.fragment.records[0]?.receivedAtMs, replayed?.fragment.records[0]?.receivedAtMs],
    [nowMs, firstMs],
  )
  assert.deepEqual(replayed?.fragment.records[0]?.firstArrival, {
    topic: 'in',
    partition: 4,
    offset: 77,
    appendTimeMs: firstMs,
  })
  assert.equal(replayed?.fragment.records[0]?.offset, 1, 'what is settled is where it lies now')
  const facts = replayed?.fragment.facts[0]
  assert.deepEqual([facts?.firstReceivedAtMs, facts?.lastReceivedAtMs], [firstMs, firstMs])
  assert.equal(letters[0]?.appendTimeMs, firstMs)
  assert.deepEqual([counters.recordsReplayed, counters.recordsOutOfOrder], [2, 0])
  const lateMs = nowMs + 20_000
  const future = { ...headers, [REPLAY_HEADERS.appendTimeMs]: Buffer.from(String(lateMs + 1)) }
  handler.onRecord({ ...spansRecord(5, lateMs, 'sid-5', [span(1, null)]), headers: future })
  handler.onQuiet(lateMs + 20_000)
  const claimed = closed.find(({ fragment }) => fragment.sid === 'sid-5')?.fragment.records[0]
  assert.deepEqual(
    [claimed?.receivedAtMs, claimed?.firstArrival],
    [lateMs, undefined],
    'a claim of a later time is not believed',
  )
  assert.deepEqual([counters.recordsReplayed, counters.replayHeadersIgnored], [2, 1])
})

test('a header without a value, or by the name of __proto__, is no trouble for a good record nor for a bad one', () => {
  const { assembly, closed, letters } = setUp()
  const handler = assembly.handlerFor(new FakeTask())
  const headers = { none: null, some: [Buffer.from('a'), null], ['__proto__']: Buffer.from('b') }
  handler.onRecord({ ...spansRecord(0, 1_000, 'sid-1', [span(1, null)]), headers })
  handler.onRecord({ ...record(1, 1_000, null, Buffer.from('x')), headers })
  handler.onQuiet(20_000)
  const kept = closed[0]?.original(0)?.headers ?? {}
  assert.deepEqual(
    Object.entries(kept).map(([name, value]) => [name, String(value)]),
    [
      ['none', ''],
      ['some', 'a,'],
      ['__proto__', 'b'],
    ],
  )
  assert.equal(letters.length, 1)
})

test('a lost partition leaves nothing behind: no fragment, no memory', () => {
  const { assembly, closed } = setUp()
  const handler = assembly.handlerFor(new FakeTask())
  for (let i = 0; i < 2_000; i++) handler.onRecord(spansRecord(i, 1_000, `sid-${i}`, [span(1, null)]))
  assert.ok(assembly.openBytes > 0)
  handler.onLost()
  assert.deepEqual([assembly.openBytes, assembly.openTraces, closed.length], [0, 0, 0])
  assert.ok(assembly.slabBytes <= 2 * 1024 * 1024)
})

test('headers count: records with small values and large headers stay within the share as well', () => {
  const maxOpenBytes = 4 * 1024 * 1024
  const { assembly, closed } = setUp({ maxOpenBytes })
  const handler = assembly.handlerFor(new FakeTask())
  for (let i = 0; i < 100; i++) {
    const headers = { baggage: Buffer.alloc(100_000), twice: ['a', Buffer.alloc(50_000)] }
    handler.onRecord({ ...spansRecord(i, 1_000 + i, `sid-${i}`, [span(1, null)]), headers })
  }
  assert.ok(assembly.openTraces < 30, `${assembly.openTraces} open traces hold 150 KB of headers each`)
  assert.equal(closed.length + assembly.openTraces, 100)
  handler.onLost()
  assert.equal(assembly.openBytes, 0)
})

test('open traces stay within their share: the oldest of all partitions are closed, and nothing is lost', () => {
  const maxOpenBytes = 4 * 1024 * 1024
  const { assembly, closed, counters } = setUp({ maxOpenBytes })
  const handlers: TaskHandler[] = [0, 1, 2].map((partition) => assembly.handlerFor(new FakeTask(partition)))
  const bulk = 'x'.repeat(3_000)
  let most = 0
  for (let i = 0; i < 6_000; i++) {
    handlers[i % 3]?.onRecord(spansRecord(i, 1_000 + Math.floor(i / 3), `sid-${i}`, [span(1, null, bulk)]))
    most = Math.max(most, assembly.openBytes)
  }
  assert.ok(most <= maxOpenBytes + 10_000, `${most}`)
  assert.ok(closed.length > 4_000, `${closed.length} closed, ${assembly.openTraces} open, ${most}`)
  assert.ok(closed.every(({ fragment }) => fragment.reason === 'memory_pressure'))
  assert.equal(counters.fragmentsClosed.memory_pressure, closed.length)
  assert.deepEqual(
    closed.slice(0, 300).map(({ fragment }) => fragment.sid),
    Array.from({ length: 300 }, (_, i) => `sid-${i}`),
    'oldest first, over all partitions',
  )
  assert.equal(closed.length + assembly.openTraces, 6_000)
  for (const one of closed) one.release()
  assembly.scaleShare(0.5)
  assert.ok(assembly.openBytes <= maxOpenBytes / 2)
})
