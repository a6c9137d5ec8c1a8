import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Completeness } from '../../codec/facts.ts'
import type { CloseReason } from '../../model/fragment.ts'
import type { OpenTrace } from './open-trace.ts'
import { type ClosingRules, TraceTable } from './trace-table.ts'

interface Entry {
  readonly offset: number
  readonly sid: string
  readonly appendMs: number
  readonly byteLength: number
  readonly rowCount: number
  readonly headerBytes: number
  readonly says: Completeness
}

interface Cut {
  readonly sid: string
  readonly reason: CloseReason
  readonly offsets: readonly number[]
}

const rules: ClosingRules = { quietMs: 10, idleMs: 60, maxAgeMs: 200, maxRows: 12, maxBytes: 500 }

/** The last record decides: so completeness is a function of the records, and changes with them. */
function judge(trace: { readonly records: readonly Entry[] }): Completeness {
  return trace.records.at(-1)?.says ?? 'incomplete'
}

const logs = fc
  .array(
    fc.record({
      sid: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
      stepMs: fc.oneof(
        { weight: 9, arbitrary: fc.integer({ min: -3, max: 12 }) },
        fc.integer({ min: 0, max: 250 }),
      ),
      byteLength: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 200 })),
      rowCount: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 5 })),
      headerBytes: fc.integer({ min: 0, max: 1_000 }),
      says: fc.constantFrom<Completeness>('complete', 'complete_if_idle', 'incomplete'),
    }),
    { maxLength: 120 },
  )
  .map((steps) => {
    let appendMs = 1_000
    return steps.map((step, offset): Entry => {
      appendMs += step.stepMs
      return { offset, ...step, appendMs }
    })
  })

function table(onCut: (cut: Cut) => void): TraceTable<Entry> {
  return new TraceTable<Entry>({
    rules,
    judge,
    onClose: (trace: OpenTrace<Entry>, reason) =>
      onCut({ sid: trace.sid, reason, offsets: trace.records.map((record) => record.offset) }),
  })
}

/** Runs a log through a table; `skip` says which offsets a former owner settled; `tick` how often somebody looks in between. */
function run(
  log: readonly Entry[],
  tick: (at: number) => boolean,
  skip?: ReadonlySet<number>,
  endMs = 10_000,
): Cut[] {
  const cuts: Cut[] = []
  const traces = table((cut) => cuts.push(cut))
  let streamMs = 0
  for (const entry of log) {
    streamMs = Math.max(streamMs, entry.appendMs)
    if (skip?.has(entry.offset)) {
      traces.advance(streamMs)
      traces.noteSettled(entry.sid)
    } else {
      traces.append(entry.sid, entry, streamMs)
    }
    if (tick(entry.offset)) traces.advance(streamMs)
  }
  traces.advance(streamMs + endMs)
  assert.equal(traces.size, 0)
  assert.equal(traces.heldBytes, 0)
  return cuts
}

/** The rule written down again, one SID at a time and without any queue. */
function oracle(log: readonly Entry[]): Cut[] {
  const cuts: Cut[] = []
  for (const sid of new Set(log.map((entry) => entry.sid))) {
    let open: { entry: Entry; atMs: number }[] = []
    let isLate = false
    let streamMs = 0
    const cut = (reason: CloseReason): void => {
      cuts.push({ sid, reason, offsets: open.map((one) => one.entry.offset) })
      open = []
      isLate = true
    }
    const closeDue = (nowMs: number): void => {
      const last = open.at(-1)
      const first = open[0]
      if (last === undefined || first === undefined) return
      const says = judge({ records: open.map((one) => one.entry) })
      const candidates: [number, CloseReason][] = []
      if (isLate) candidates.push([last.atMs + rules.quietMs, 'late'])
      else if (says === 'complete') candidates.push([last.atMs + rules.quietMs, 'complete'])
      else candidates.push([last.atMs + rules.idleMs, says === 'incomplete' ? 'idle' : 'complete'])
      candidates.push([first.atMs + rules.maxAgeMs, 'max_age'])
      const due = candidates.reduce((best, one) => (one[0] < best[0] ? one : best))
      if (due[0] <= nowMs) cut(due[1])
    }
    for (const entry of log) {
      streamMs = Math.max(streamMs, entry.appendMs)
      if (entry.sid !== sid) continue
      closeDue(streamMs)
      const rows = open.reduce((sum, one) => sum + one.entry.rowCount, 0)
      const bytes = open.reduce((sum, one) => sum + one.entry.byteLength, 0)
      const isFull = rows + entry.rowCount > rules.maxRows || open.length >= rules.maxRows
      if (open.length > 0 && isFull) cut('span_limit')
      else if (open.length > 0 && bytes + entry.byteLength > rules.maxBytes) cut('bytes_limit')
      open.push({ entry, atMs: streamMs })
    }
    closeDue(streamMs + 10_000)
  }
  return cuts
}

function sorted(cuts: readonly Cut[]): Cut[] {
  return [...cuts].sort((a, b) => (a.offsets[0] ?? 0) - (b.offsets[0] ?? 0))
}

test('the fragments and their order depend on the log alone, not on when somebody looks', () => {
  fc.assert(
    fc.property(logs, fc.array(fc.boolean(), { minLength: 120, maxLength: 120 }), (log, ticks) => {
      const never = run(log, () => false)
      assert.deepEqual(
        run(log, () => true),
        never,
      )
      assert.deepEqual(
        run(log, (at) => ticks[at] ?? false),
        never,
      )
    }),
    { numRuns: 300 },
  )
})

test('each SID is cut exactly where the rule says', () => {
  fc.assert(
    fc.property(logs, (log) => {
      assert.deepEqual(sorted(run(log, () => false)), sorted(oracle(log)))
    }),
    { numRuns: 300 },
  )
})

test('records without a span or a node are no more in a trace than spans may be: they cost as much', () => {
  const log = Array.from(
    { length: 30 },
    (_, offset): Entry => ({
      offset,
      sid: 'a',
      appendMs: 1_000,
      byteLength: 1,
      rowCount: 0,
      headerBytes: 0,
      says: 'incomplete',
    }),
  )
  assert.deepEqual(
    run(log, () => false).map(({ reason, offsets }) => [reason, offsets.length]),
    [
      ['span_limit', 12],
      ['span_limit', 12],
      ['late', 6],
    ],
  )
})

test('a reader that starts in the middle and skips what was settled covers every record with what came before', () => {
  fc.assert(
    fc.property(logs, fc.nat(), fc.nat(), (log, crashAt, pick) => {
      const crash = log.length === 0 ? 0 : crashAt % log.length
      const before: Cut[] = []
      const traces = table((cut) => before.push(cut))
      let streamMs = 0
      for (const entry of log.slice(0, crash)) {
        streamMs = Math.max(streamMs, entry.appendMs)
        traces.append(entry.sid, entry, streamMs)
      }
      // Of what was closed, some fragments were settled and committed; the watermark is the lowest unsettled offset.
      const committed = before.filter((_, index) => (pick >> (index % 20)) % 2 === 0)
      const settled = new Set(committed.flatMap((cut) => cut.offsets))
      let watermark = 0
      while (settled.has(watermark)) watermark += 1
      const after = run(log.slice(watermark), () => false, settled)
      const seen = after.flatMap((cut) => cut.offsets)
      assert.deepEqual(
        [...seen, ...settled].sort((a, b) => a - b),
        log.map((entry) => entry.offset),
        'each record exactly once in what was settled and what was made anew',
      )
    }),
    { numRuns: 300 },
  )
})

test('a record of a SID whose fragment a former owner settled makes a late fragment, closed after the quiet time', () => {
  const entry = (offset: number, appendMs: number): Entry => ({
    offset,
    sid: 'a',
    appendMs,
    byteLength: 1,
    rowCount: 1,
    headerBytes: 0,
    says: 'incomplete',
  })
  const cuts = run([entry(0, 1_000), entry(1, 1_015)], () => true, new Set([0]), 10)
  assert.deepEqual(cuts, [{ sid: 'a', reason: 'late', offsets: [1] }])
})

test('memory pressure closes the oldest trace first, and what a table is charged with stays the sum of its traces', () => {
  const cuts: Cut[] = []
  const traces = table((cut) => cuts.push(cut))
  for (let i = 0; i < 5; i++) {
    const sid = `sid-${i}`
    traces.append(
      sid,
      {
        offset: i,
        sid,
        appendMs: 1_000 + i,
        byteLength: 100,
        rowCount: 1,
        headerBytes: 7,
        says: 'incomplete',
      },
      1_000 + i,
    )
  }
  const each = traces.heldBytes / 5
  assert.equal(traces.oldestMs, 1_000)
  assert.ok(traces.closeOldest())
  assert.ok(traces.closeOldest())
  assert.deepEqual(
    cuts.map((cut) => [cut.sid, cut.reason]),
    [
      ['sid-0', 'memory_pressure'],
      ['sid-1', 'memory_pressure'],
    ],
  )
  assert.equal(traces.heldBytes, each * 3)
  const dropped: string[] = []
  traces.clear((trace) => dropped.push(trace.sid))
  assert.deepEqual(dropped, ['sid-2', 'sid-3', 'sid-4'])
  assert.equal(traces.heldBytes, 0)
  assert.equal(traces.closeOldest(), false)
})
