import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import type { CloseReason, Fragment, FragmentRecord } from '../../src/model/fragment.ts'
import {
  TEST_RECEIVED_AT_MS,
  TEST_START_NS,
  testBatch,
  testFragment,
  testLog,
  testNode,
  testRecord,
  testSpan,
  testSpanId,
  testTraceId,
} from '../../src/sinks/fragments.testing.ts'
import { loadTrace, type TraceRow } from '../../src/storage/clickhouse/queries.ts'
import { useServers } from '../support/servers.ts'
import { freshTables } from './clickhouse-for-tests.ts'

const servers = await useServers('clickhouse')
const { client, sink } = await freshTables(servers)
const signal = new AbortController().signal

async function write(...fragments: Fragment[]): Promise<void> {
  assert.deepEqual(await sink.write(fragments, signal), { refused: [] })
}

async function readTrace(sid: string): Promise<TraceRow> {
  const { trace } = await loadTrace(client, sid)
  assert.ok(trace, `no trace of ${sid}`)
  return trace
}

/** Three services, one error, a log with three nodes of which one announces another: the records of one request. */
function requestRecords(sid: string): FragmentRecord[] {
  const usage = (n: number) => ({
    questionTokens: 0,
    promptTokens: n,
    completionTokens: 2 * n,
    totalTokens: 3 * n,
  })
  const node = (n: number, next: string[], isWell = true) =>
    testNode({
      id: `id-${n}`,
      nodeId: `node-llm:${n}`,
      nextLogIds: next,
      runningStatus: isWell,
      data: { input: [], output: [], config: [], usage: usage(n) },
    })
  return [
    testRecord(testBatch({ sid, service: 'entry', spans: [testSpan({ name: 'root' }), child(2, 1)] }), {
      offset: 1,
    }),
    testRecord(
      testBatch({ sid, service: 'workflow', spans: [child(3, 2), { ...child(4, 3), statusCode: 2 }] }),
      {
        offset: 2,
        receivedAtMs: TEST_RECEIVED_AT_MS + 50,
      },
    ),
    testRecord(testBatch({ sid, service: 'tools', spans: [child(5, 4)] }), {
      offset: 3,
      receivedAtMs: TEST_RECEIVED_AT_MS + 99,
    }),
    testRecord(
      testLog({
        sid,
        trace: [node(1, ['id-2']), node(2, ['node-llm:3']), node(3, [], false)],
        usage: usage(7),
      }),
      { offset: 4, receivedAtMs: TEST_RECEIVED_AT_MS + 70 },
    ),
  ]
}

function child(n: number, parent: number) {
  return testSpan({ spanId: testSpanId(n), parentSpanId: testSpanId(parent), name: `span ${n}` })
}

const EXPECTED = {
  status: 'complete',
  reason: 'complete',
  root_name: 'root',
  root_service: 'entry',
  services: ['entry', 'tools', 'workflow'],
  span_count: '5',
  error_count: '1',
  node_count: '3',
  node_error_count: '1',
  log_count: '1',
  prompt_tokens: '6',
  completion_tokens: '12',
  total_tokens: '18',
  usage_reported: { question_tokens: '0', prompt_tokens: '7', completion_tokens: '14', total_tokens: '21' },
  missing_parents: [],
  missing_nodes: [],
  unrooted_traces: [],
  missing_count: '0',
  sid_collision: 0,
}

function pick(trace: TraceRow): object {
  return Object.fromEntries(Object.entries(trace).filter(([key]) => key in EXPECTED))
}

test('a trace is the union of its fragments, whatever their order, repetition or overlap', async () => {
  const anyFragments = fc.array(
    fc.record({
      records: fc.uniqueArray(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 4 }),
      reason: fc.constantFrom<CloseReason>('complete', 'late', 'idle', 'memory_pressure'),
    }),
    { minLength: 1, maxLength: 5 },
  )
  await fc.assert(
    fc.asyncProperty(anyFragments, fc.boolean(), async (plan, merges) => {
      const sid = `union-${randomUUID()}`
      const records = requestRecords(sid)
      const covered = new Set(plan.flatMap(({ records: places }) => places))
      const rest = [0, 1, 2, 3].filter((place) => !covered.has(place))
      if (rest.length > 0) plan = [...plan, { records: rest, reason: 'late' }]
      const fragments = plan.map(({ records: places, reason }) =>
        testFragment(
          places.map((place) => records[place]!),
          reason,
        ),
      )
      for (const fragment of fragments) await write(fragment)
      if (merges) await client.command('OPTIMIZE TABLE trace_fragments FINAL')
      assert.deepEqual(pick(await readTrace(sid)), EXPECTED)
    }),
    { numRuns: 12 },
  )
})

test('the root of a trace is that of the union, however its spans fell into fragments', async () => {
  const remote = 0x300
  const at = (seconds: number) => ({
    startTimeNs: TEST_START_NS + BigInt(seconds) * 1_000_000_000n,
    endTimeNs: TEST_START_NS + 60_000_000_000n,
  })
  const shapes = {
    // The early child of a later root must not bring that root forward.
    'two roots': [
      testSpan({ name: 'r1', ...at(0) }),
      testSpan({ name: 'r2', spanId: testSpanId(2), ...at(10) }),
      { ...child(3, 2), ...at(-5) },
    ],
    'a remote parent': [
      { ...child(2, 9), flags: remote, ...at(-5) },
      testSpan({ name: 'r1', ...at(0) }),
      { ...child(3, 1), flags: remote, ...at(-7) },
    ],
    // The clock of the called service is slow: only the union shows that its span is no root.
    'remote parents alone': [
      { ...child(2, 9), flags: remote, ...at(0) },
      { ...child(3, 2), flags: remote, ...at(-1) },
      { ...child(4, 8), flags: remote, ...at(3) },
    ],
    'one time': [
      testSpan({ name: 'same', ...at(0) }),
      testSpan({ name: 'same', spanId: testSpanId(2), ...at(0) }),
      testSpan({ name: '', spanId: testSpanId(3), traceId: testTraceId(2), ...at(1) }),
    ],
  }
  const expected = {
    'two roots': ['r1', 'service 0'],
    'a remote parent': ['r1', 'service 1'],
    'remote parents alone': ['span 2', 'service 0'],
    'one time': ['same', 'service 0'],
  }
  const splits = [
    [[0, 1, 2]],
    [[2, 1, 0]],
    [[0], [1, 2]],
    [[1], [0, 2]],
    [[2], [1], [0]],
    [
      [0, 1],
      [1, 2],
    ],
  ]
  for (const [shape, spans] of Object.entries(shapes)) {
    for (const split of splits) {
      const sid = `root-${randomUUID()}`
      const records = spans.map((span, n) =>
        testRecord(testBatch({ sid, service: `service ${n}`, spans: [span] }), { offset: n }),
      )
      await write(...split.map((places) => testFragment(places.map((place) => records[place]!))))
      const { root_name, root_service } = await readTrace(sid)
      assert.deepEqual(
        [root_name, root_service],
        expected[shape as keyof typeof expected],
        `${shape}, split as ${JSON.stringify(split)}`,
      )
    }
  }
})

test('equal fragments collapse, all others stay', async () => {
  const sid = `collapse-${randomUUID()}`
  const records = requestRecords(sid)
  await write(testFragment(records), testFragment(records))
  await write(testFragment(records), testFragment(records.slice(0, 2)))
  assert.equal((await readTrace(sid)).fragments, '2')
  await client.command('OPTIMIZE TABLE trace_fragments FINAL')
  assert.deepEqual(
    await client.query('SELECT count() AS count FROM trace_fragments WHERE sid = {sid:String}', { sid }),
    [{ count: '2' }],
  )
})

test('a missing parent, and an announced node that never came, make a trace partial, with the worst reason of its fragments', async () => {
  const sid = `partial-${randomUUID()}`
  const [entry, , tools, log] = requestRecords(sid)
  await write(testFragment([entry!], 'idle'), testFragment([tools!], 'max_age'), testFragment([log!], 'late'))
  const trace = await readTrace(sid)
  assert.equal(trace.status, 'partial')
  assert.equal(trace.reason, 'max_age')
  assert.equal(trace.missing_parents.length, 1)
  assert.equal(trace.missing_count, '1')

  const other = `announced-${randomUUID()}`
  const open = testLog({ sid: other, traceId: null, trace: [testNode({ nextLogIds: ['never'] })] })
  await write(testFragment([testRecord(open)], 'idle'))
  const unfinished = await readTrace(other)
  assert.equal(unfinished.status, 'partial')
  assert.equal(unfinished.missing_nodes.length, 1)

  const ended = { ...open, revision: 1, trace: [...open.trace, testNode({ id: 'e', nodeId: 'node-end:9' })] }
  await write(testFragment([testRecord(ended, { offset: 9 })], 'late'))
  assert.equal((await readTrace(other)).status, 'complete')
})

test('a trace that misses something is never complete by its reason, though each of its fragments closed as complete', async () => {
  const sid = `missing-${randomUUID()}`
  const [entry, , tools] = requestRecords(sid)
  // As it is when the server refused the record in between.
  await write(testFragment([entry!, tools!], 'complete'))
  const { status, reason, missing_count, first_received_at } = await readTrace(sid)
  assert.deepEqual([status, reason, missing_count], ['partial', 'missing', '1'])
  const [listed] = await client.query<TraceRow>(
    `SELECT * FROM traces_between(app = 'app-1', from = {from:String}, to = '2100-01-01') WHERE sid = {sid:String}`,
    { sid, from: first_received_at },
  )
  assert.deepEqual([listed?.status, listed?.reason], ['partial', 'missing'])
})

test('the newest version of a node counts, and the places of a shorter revision stay', async () => {
  const sid = `revision-${randomUUID()}`
  const node = (total: number, runningStatus: boolean) =>
    testNode({
      runningStatus,
      data: {
        input: [],
        output: [],
        config: [],
        usage: { questionTokens: 0, promptTokens: 0, completionTokens: 0, totalTokens: total },
      },
    })
  const first = testLog({ sid, revision: 0, trace: [node(5, false), node(6, true)] })
  const second = testLog({ sid, revision: 1, trace: [node(50, true)] })
  const late = { offset: 1, receivedAtMs: TEST_RECEIVED_AT_MS - 1000 }
  await write(testFragment([testRecord(second, late)], 'late'), testFragment([testRecord(first)], 'idle'))
  const trace = await readTrace(sid)
  assert.deepEqual(
    [trace.node_count, trace.node_error_count, trace.total_tokens, trace.log_count],
    ['2', '0', '56', '1'],
  )
  const { nodes, logs } = await loadTrace(client, sid)
  assert.deepEqual(
    nodes.map(({ place, total_tokens }) => [place, total_tokens]),
    [
      [0, '50'],
      [1, '6'],
    ],
  )
  assert.deepEqual(
    logs.map(({ revision }) => revision),
    [1],
  )
})

test('one service that claims two identities for one SID is a collision; two services that differ are none', async () => {
  const identities = [
    { service: 'a', appId: 'app-1', uid: 'u1', expected: 0 },
    { service: 'b', appId: 'app-2', uid: 'u2', expected: 0 },
    { service: 'a', appId: 'app-1', uid: '', expected: 0 },
    { service: 'a', appId: 'app-1', uid: 'u9', expected: 1 },
  ]
  const sid = `collision-${randomUUID()}`
  for (const [place, { expected, ...fields }] of identities.entries()) {
    const batch = testBatch({ sid, ...fields, spans: [testSpan({ spanId: testSpanId(place + 1) })] })
    await write(testFragment([testRecord(batch, { offset: place })]))
    assert.equal((await readTrace(sid)).sid_collision, expected, JSON.stringify(fields))
  }
  assert.deepEqual((await readTrace(sid)).app_ids, ['app-1', 'app-2'])
})

test('each app of a fragment has a row of its own records alone', async () => {
  const sid = `apps-${randomUUID()}`
  await write(
    testFragment([
      testRecord(testBatch({ sid, appId: 'app-1', spans: [testSpan()] })),
      testRecord(testBatch({ sid, appId: 'app-2', spans: [child(2, 1), child(3, 9)] })),
    ]),
  )
  const rows = await client.query<{ app_id: string; spans: string; missing: string }>(
    `SELECT app_id, length(span_keys) AS spans, length(missing_parents) AS missing
    FROM trace_fragments_exact WHERE sid = {sid:String} ORDER BY app_id`,
    { sid },
  )
  assert.deepEqual(rows, [
    { app_id: 'app-1', spans: '1', missing: '0' },
    { app_id: 'app-2', spans: '2', missing: '1' },
  ])
})

test('a whole trace of two apps is complete for each of them, though only one has the root', async () => {
  const sid = `two-apps-${randomUUID()}`
  const [own, other] = [`own-${randomUUID()}`, `other-${randomUUID()}`]
  await write(
    testFragment([
      testRecord(testBatch({ sid, appId: own, spans: [testSpan()] })),
      testRecord(testBatch({ sid, appId: other, spans: [child(2, 1)] })),
    ]),
  )
  for (const app of [own, other]) {
    const [row] = await client.query<TraceRow>(
      'SELECT * FROM traces_between(app = {app:String}, from = {from:String}, to = {to:String})',
      { app, from: '2026-06-15 00:00:00', to: '2026-06-16 00:00:00' },
    )
    assert.deepEqual([row?.sid, row?.status, row?.missing_count], [sid, 'complete', '0'], app)
  }
})

test('a trace id whose spans lead to no root is missing its root', async () => {
  const sid = `unrooted-${randomUUID()}`
  const loop = [
    testSpan({ traceId: testTraceId(7), spanId: testSpanId(1), parentSpanId: testSpanId(2) }),
    testSpan({ traceId: testTraceId(7), spanId: testSpanId(2), parentSpanId: testSpanId(1) }),
  ]
  await write(testFragment([testRecord(testBatch({ sid, spans: loop }))], 'idle'))
  const trace = await readTrace(sid)
  assert.deepEqual([trace.status, trace.missing_count, trace.unrooted_traces.length], ['partial', '1', 1])
})

test('traces_between lists the SIDs received in a range, each with all its fragments', async () => {
  const appId = `list-${randomUUID()}`
  const at = TEST_RECEIVED_AT_MS
  const part = (sid: string, n: number, receivedAtMs: number) =>
    testFragment([
      testRecord(testBatch({ sid, appId, spans: [n === 1 ? testSpan() : child(n, 1)] }), {
        offset: n,
        receivedAtMs,
      }),
    ])
  await write(
    part('early', 1, at - 3_600_000),
    part('both', 1, at - 3_600_000),
    part('both', 2, at + 1000),
    part('inside', 1, at),
    part('after', 1, at + 60_000),
  )
  const between = await client.query<TraceRow>(
    'SELECT * FROM traces_between(app = {app:String}, from = {from:String}, to = {to:String}) ORDER BY sid',
    { app: appId, from: isoTime(at), to: isoTime(at + 60_000) },
  )
  assert.deepEqual(
    between.map(({ sid, span_count, status }) => [sid, span_count, status]),
    [
      ['both', '2', 'complete'],
      ['inside', '1', 'complete'],
    ],
  )
  const { trace } = await loadTrace(client, 'both')
  assert.deepEqual(between[0], trace, 'both views say the same of a SID')
})

test('a range of traces_between may reach as far as its type does', async () => {
  const appId = `range-${randomUUID()}`
  await write(testFragment([testRecord(testBatch({ sid: `range-${randomUUID()}`, appId }))]))
  for (const [from, to] of [
    ['2000-01-01 00:00:00', '2262-04-11 12:00:00'],
    ['1677-09-22 00:00:00', '2100-01-01 00:00:00'],
  ]) {
    const rows = await client.query(
      'SELECT sid FROM traces_between(app = {app:String}, from = {from:String}, to = {to:String})',
      { app: appId, from, to },
    )
    assert.equal(rows.length, 1, `from ${from} to ${to}`)
  }
})

test('records that the server refuses are not in the facts of their fragment', async () => {
  await client.command("ALTER TABLE spans ADD CONSTRAINT no_bad CHECK name != 'bad'")
  const sid = `refused-${randomUUID()}`
  const records = [
    testRecord(testBatch({ sid, spans: [testSpan()] })),
    testRecord(testBatch({ sid, spans: [{ ...child(2, 1), name: 'bad' }, child(3, 1)] }), { offset: 1 }),
    testRecord(testBatch({ sid, spans: [child(4, 2)] }), { offset: 2 }),
  ]
  const { refused } = await sink.write([testFragment(records)], signal)
  await client.command('ALTER TABLE spans DROP CONSTRAINT no_bad')
  assert.deepEqual(
    refused.map(({ record }) => record),
    [records[1]],
  )
  assert.match(refused[0]!.reason, /no_bad/)
  const trace = await readTrace(sid)
  assert.deepEqual([trace.span_count, trace.missing_parents.length, trace.status], ['2', 1, 'partial'])
  const { spans } = await loadTrace(client, sid)
  assert.deepEqual(
    spans.map((span) => span.span_id),
    [testSpanId(1), testSpanId(4)],
  )
})

test('a log of which a node is refused is refused as a whole, and counts nowhere', async () => {
  await client.command("ALTER TABLE node_logs ADD CONSTRAINT no_bad CHECK node_name != 'bad'")
  const sid = `refused-node-${randomUUID()}`
  const records = [
    testRecord(testBatch({ sid })),
    testRecord(testLog({ sid, trace: [testNode(), testNode({ nodeName: 'bad' })] }), { offset: 1 }),
  ]
  const { refused } = await sink.write(
    [testFragment(records), testFragment(requestRecords(`x${sid}`))],
    signal,
  )
  await client.command('ALTER TABLE node_logs DROP CONSTRAINT no_bad')
  assert.deepEqual(
    refused.map(({ record }) => record),
    [records[1]],
  )
  const trace = await readTrace(sid)
  assert.deepEqual([trace.span_count, trace.node_count, trace.log_count], ['1', '0', '0'])
  assert.equal((await readTrace(`x${sid}`)).node_count, '3')
  // A log that was put right is taken.
  await write(testFragment([testRecord(testLog({ sid }), { offset: 2 })], 'late'))
  assert.equal((await readTrace(sid)).node_count, '1')
})

test('a fragment whose own row is refused has all its records refused, and no other', async () => {
  await client.command("ALTER TABLE trace_fragments ADD CONSTRAINT no_bad CHECK root_name != 'bad'")
  const fragments = Array.from({ length: 5 }, (_, n) => {
    const batch = testBatch({
      sid: `row-${n}-${randomUUID()}`,
      spans: [testSpan({ name: n === 3 ? 'bad' : 'good' })],
    })
    return testFragment([testRecord(batch, { offset: n })])
  })
  const { refused } = await sink.write(fragments, signal)
  await client.command('ALTER TABLE trace_fragments DROP CONSTRAINT no_bad')
  assert.deepEqual(
    refused.map(({ record }) => record.offset),
    [3],
  )
  for (const [n, { sid }] of fragments.entries()) {
    assert.equal((await loadTrace(client, sid)).trace === undefined, n === 3)
  }
})

function isoTime(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').replace('Z', '')
}
