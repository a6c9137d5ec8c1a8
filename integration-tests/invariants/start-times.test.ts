import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { NodeTraceLog } from '../../src/model/node-trace-log.ts'
import type { SpanBatch } from '../../src/model/span.ts'
import { testBatch, testLog, testNode, testSpan, testSpanId } from '../../src/sinks/fragments.testing.ts'
import { freshName } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { endWell, FreshPipeline } from './pipeline-for-tests.ts'
import { logLine, RecordSender, spanLine, writeContentLedger } from './records-for-tests.ts'

const DAY_MS = 86_400_000
const MS_NS = 1_000_000n
const DAYS = 150
const servers = await useServers()
const nowMs = Date.now()
const TABLES = ['spans', 'node_trace_logs', 'node_logs', 'trace_fragments', 'id_lookup']

/** 2000-01-01: where a row stands that has no usable time at all. */
const FIRST_MS = Date.UTC(2000, 0, 1)

const STRANGE: { what: string; startMs: number }[] = [
  { what: '0', startMs: 0 },
  { what: '−1', startMs: -1 },
  { what: '1971', startMs: Date.UTC(1971, 1, 3) },
  { what: '2107', startMs: Date.UTC(2107, 1, 3) },
  { what: '2150', startMs: Date.UTC(2150, 1, 3) },
  { what: '2262', startMs: Date.UTC(2262, 3, 1) },
  { what: '40 days ago', startMs: nowMs - 40 * DAY_MS },
]

interface StrangeTrace {
  readonly what: string
  readonly batch: SpanBatch
  readonly log: NodeTraceLog
  /** Where the rows of its spans and of its log must stand, as Unix milliseconds. */
  readonly spansAt: readonly number[]
  readonly logAt: number
}

/**
 * A trace of two spans and a log that all start at a strange time. The first span ends now, so that it has one usable time; the second
 * ends where it starts, and has none.
 */
function strangeTrace(what: string, startMs: number): StrangeTrace {
  const sid = freshName('strange')
  const startNs = BigInt(startMs) * MS_NS
  const root = testSpan({ startTimeNs: startNs, endTimeNs: BigInt(nowMs) * MS_NS })
  const child = testSpan({
    spanId: testSpanId(2),
    parentSpanId: root.spanId,
    startTimeNs: startNs,
    endTimeNs: startNs,
  })
  const isUsable = startMs >= FIRST_MS && startMs < Date.UTC(2100, 0, 1)
  const node = testNode({ sid, startTimeMs: startMs, endTimeMs: startMs })
  return {
    what,
    batch: testBatch({ sid, spans: [root, child] }),
    log: testLog({ sid, startTimeMs: startMs, endTimeMs: nowMs, trace: [node] }),
    spansAt: isUsable ? [startMs, startMs] : [nowMs, FIRST_MS],
    logAt: isUsable ? startMs : nowMs,
  }
}

/** One trace whose spans lie on so many days that one insert may not take them all. */
function manyDays(): SpanBatch {
  const spans = Array.from({ length: DAYS }, (_, day) => {
    const startNs = BigInt(nowMs - day * DAY_MS) * MS_NS
    const id = testSpanId(day + 1)
    const times = { startTimeNs: startNs, endTimeNs: startNs + 5n }
    return testSpan({ spanId: id, parentSpanId: day === 0 ? null : testSpanId(1), ...times })
  })
  return testBatch({ sid: freshName('days'), spans })
}

describe('start times that no clock should give', () => {
  test('every row arrives, is found by SID and by its clamped time, and outlives a merge', async () => {
    const pipeline = await FreshPipeline.open(servers)
    const sender = await RecordSender.open(servers, pipeline.topic)
    const strange = STRANGE.map(({ what, startMs }) => strangeTrace(what, startMs))
    const days = manyDays()
    try {
      const worker = pipeline.startWorker()
      await worker.metricsUrl()
      await sender.send(
        [...strange.map(({ batch }) => batch), days].map((batch) => ({
          key: Buffer.from(batch.sid),
          value: sender.spanBatch(batch),
        })),
      )
      await sender.send(
        strange.map(({ log }) => ({ key: Buffer.from(log.sid), value: sender.nodeTraceLog(log) })),
      )
      const ledger = pipeline.newFile('content.jsonl')
      const batches = [...strange.map(({ batch }) => batch), days]
      writeContentLedger(ledger, [
        ...batches.flatMap((batch) => batch.spans.map((span) => spanLine(batch, span))),
        ...strange.map(({ log }) => logLine(log)),
      ])
      await pipeline.verifyClean([ledger])
      await everythingIsFound(pipeline, strange, days)

      for (const table of TABLES) await pipeline.clickHouse.command(`OPTIMIZE TABLE ${table} FINAL`)
      await everythingIsFound(pipeline, strange, days)
      await pipeline.verifyClean([ledger])
      for (const { what, batch } of strange) {
        const { code, output } = await pipeline.run(['trace', batch.sid])
        assert.equal(code, 0, `${what}: ${output}`)
        assert.match(output, /complete/, what)
      }
      await endWell(worker)
    } finally {
      await sender.close()
    }
  })
})

async function everythingIsFound(
  pipeline: FreshPipeline,
  strange: readonly StrangeTrace[],
  days: SpanBatch,
): Promise<void> {
  for (const { what, batch, spansAt, logAt } of strange) {
    const { sid, appId } = batch
    const counts = await Promise.all(
      ['spans_exact', 'node_trace_logs_exact', 'node_logs_exact'].map((view) => rowsOf(pipeline, view, sid)),
    )
    assert.deepEqual(counts, [2, 1, 1], what)
    for (const [place, atMs] of spansAt.entries()) {
      const found = await rowsAt(pipeline, 'spans_exact', 'span_id', appId, atMs)
      assert.ok(found.includes(`${sid}/${batch.spans[place]?.spanId}`), `${what}, span ${place}`)
    }
    const logs = await rowsAt(pipeline, 'node_trace_logs_exact', 'log_id', appId, logAt)
    assert.ok(
      logs.some((found) => found.startsWith(`${sid}/`)),
      `${what}, log`,
    )
  }
  const [found] = await pipeline.clickHouse.query<{ spans: string; days: string }>(
    'SELECT count() AS spans, uniqExact(toDate(start_time)) AS days FROM spans_exact WHERE sid = {sid:String}',
    { sid: days.sid },
  )
  assert.deepEqual([Number(found?.spans), Number(found?.days)], [DAYS, DAYS])
}

async function rowsOf(pipeline: FreshPipeline, view: string, sid: string): Promise<number> {
  const [row] = await pipeline.clickHouse.query<{ n: string }>(
    `SELECT count() AS n FROM ${view} WHERE sid = {sid:String}`,
    { sid },
  )
  return Number(row?.n)
}

/** SID and id of each row of an app within a millisecond: a question by time, as pruning answers it. */
async function rowsAt(
  pipeline: FreshPipeline,
  view: string,
  id: string,
  appId: string,
  atMs: number,
): Promise<string[]> {
  const rows = await pipeline.clickHouse.query<{ found: string }>(
    `SELECT concat(sid, '/', ${id}) AS found FROM ${view}
    WHERE app_id = {appId:String}
      AND start_time >= fromUnixTimestamp64Milli({atMs:Int64}, 'UTC')
      AND start_time < fromUnixTimestamp64Milli({atMs:Int64} + 1, 'UTC')`,
    { appId, atMs },
  )
  return rows.map(({ found }) => found)
}
