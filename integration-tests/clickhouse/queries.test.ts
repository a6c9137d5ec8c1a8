import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  TEST_START_NS,
  testBatch,
  testFragment,
  testLog,
  testRecord,
  testSpan,
  testSpanId,
  testTraceId,
} from '../../src/sinks/fragments.testing.ts'
import { findTrace, loadTrace, tableCounts } from '../../src/storage/clickhouse/queries.ts'
import { useServers } from '../support/servers.ts'
import { freshTables } from './clickhouse-for-tests.ts'

const servers = await useServers('clickhouse')
const { client, sink } = await freshTables(servers)
const signal = new AbortController().signal
const DAY_NS = 86_400_000_000_000n

const one = [
  testRecord(
    testBatch({ sid: 'one', chatId: 'talk', uid: 'ann', spans: [testSpan({ traceId: testTraceId(1) })] }),
  ),
  testRecord(
    testBatch({
      sid: 'one',
      appId: 'app-2',
      chatId: '',
      uid: '',
      spans: [
        testSpan({
          traceId: testTraceId(2),
          spanId: testSpanId(9),
          startTimeNs: TEST_START_NS - 30n * DAY_NS,
        }),
      ],
    }),
    { offset: 1 },
  ),
  testRecord(testLog({ sid: 'one', chatId: 'talk', uid: 'ann', traceId: null }), { offset: 2 }),
]
const two = [
  testRecord(testBatch({ sid: 'two', chatId: 'talk', uid: '' }), {
    offset: 3,
    receivedAtMs: 1_781_600_000_000,
  }),
]
await sink.write([testFragment(one), testFragment(two)], signal)
await sink.write([testFragment(one)], signal)

test('a request is found by its SID, a trace id, its chat and its user, the newest first', async () => {
  const find = async (id: string) =>
    (await findTrace(client, id)).map(({ kind, sid, appId }) => `${kind} ${sid} ${appId}`)
  assert.deepEqual(await find('one'), ['sid one app-1', 'sid one app-2'])
  assert.deepEqual(await find(testTraceId(2)), ['trace one app-2'])
  assert.deepEqual(await find('talk'), ['chat two app-1', 'chat one app-1'])
  assert.deepEqual(await find('ann'), ['uid one app-1'])
  assert.deepEqual(await find('nobody'), [])
  assert.deepEqual(await find(''), [], 'an unknown id is none')
})

test('all rows of a SID are loaded, over apps and days, each once', async () => {
  const { trace, spans, logs, nodes } = await loadTrace(client, 'one')
  assert.deepEqual(trace?.app_ids, ['app-1', 'app-2'])
  assert.deepEqual(
    spans.map((span) => [span.app_id, span.span_id, span.start_ns]),
    [
      ['app-2', testSpanId(9), String(TEST_START_NS - 30n * DAY_NS)],
      ['app-1', testSpanId(1), String(TEST_START_NS)],
    ],
  )
  assert.equal(logs.length, 1)
  assert.equal(nodes.length, 1)
})

test('an unknown SID has nothing', async () => {
  assert.deepEqual(await loadTrace(client, 'nobody'), { trace: undefined, spans: [], logs: [], nodes: [] })
})

test('the counts of tables are those of the exact views', async () => {
  assert.deepEqual(await tableCounts(client), {
    spans: 3,
    node_trace_logs: 1,
    node_logs: 1,
    trace_fragments: 3,
    // one: a SID in two apps, two trace ids, a chat, a user; two: a SID, a trace id, a chat.
    id_lookup: 9,
  })
})

test('otel_traces shows a replayed span once, and reads through the same indexes as the table', async () => {
  const sid = 'replayed'
  await client.command('SYSTEM STOP MERGES spans')
  try {
    const record = testRecord(testBatch({ sid, spans: [testSpan({ traceId: testTraceId(77) })] }))
    await sink.write([testFragment([record])], signal)
    await sink.write([testFragment([record])], signal)
    const count = async (from: string, id: string) =>
      (await client.query(`SELECT 1 FROM ${from} WHERE ${id} = {id:String}`, { id: testTraceId(77) })).length
    assert.equal(await count('spans', 'trace_id'), 2, 'not merged yet')
    assert.equal(await count('otel_traces', 'TraceId'), 1)
  } finally {
    await client.command('SYSTEM START MERGES spans')
  }
  const plan = await client.query<{ explain: string }>(
    `EXPLAIN indexes = 1 SELECT SpanName FROM otel_traces
    WHERE TraceId = {id:String} AND Timestamp >= '2026-06-15 00:00:00' AND Timestamp < '2026-06-16 00:00:00'`,
    { id: testTraceId(77) },
  )
  const text = plan.map((line) => line.explain).join('\n')
  for (const index of [/toDate\(start_time\)/, /toStartOfMinute\(start_time\)/, /trace_id_bloom/]) {
    assert.match(text, index)
  }
})
