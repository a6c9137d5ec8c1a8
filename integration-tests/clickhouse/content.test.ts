import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { PayloadReference } from '../../src/model/payload-reference.ts'
import type { Span } from '../../src/model/span.ts'
import { ClickHouseSink } from '../../src/sinks/clickhouse/sink.ts'
import {
  TEST_START_NS,
  testBatch,
  testFragment,
  testLog,
  testNode,
  testRecord,
  testRecordType,
  testSpan,
  testSpanId,
} from '../../src/sinks/fragments.testing.ts'
import { openClickHouse } from '../../src/storage/clickhouse/client.ts'
import { useServers } from '../support/servers.ts'
import { clickhouseOptions, freshTables } from './clickhouse-for-tests.ts'

const servers = await useServers('clickhouse')
const { client, sink } = await freshTables(servers)
const signal = new AbortController().signal
const DAY_NS = 86_400_000_000_000n

const ns = (date: string) => BigInt(Date.parse(date)) * 1_000_000n

/** Writes spans as one record of a new SID; gives the SID. */
async function writeSpans(spans: readonly Partial<Span>[]): Promise<string> {
  const sid = `content-${randomUUID()}`
  const batch = testBatch({
    sid,
    spans: spans.map((fields, place) => testSpan({ spanId: testSpanId(place + 1), ...fields })),
  })
  assert.deepEqual(await sink.write([testFragment([testRecord(batch)])], signal), { refused: [] })
  return sid
}

async function merge(): Promise<void> {
  for (const table of ['spans', 'node_trace_logs', 'node_logs', 'trace_fragments', 'id_lookup']) {
    await client.command(`OPTIMIZE TABLE ${table} FINAL`)
  }
}

const STRANGE_TIMES: { what: string; startNs: bigint; clamped: string; flags: number }[] = [
  { what: '0', startNs: 0n, clamped: '2026-06-15 12:00:00.005000001', flags: 1 },
  { what: '−1', startNs: -1n, clamped: '2026-06-15 12:00:00.005000001', flags: 1 },
  { what: '1971', startNs: ns('1971-02-03'), clamped: '2026-06-15 12:00:00.005000001', flags: 1 },
  { what: '2107', startNs: ns('2107-02-03'), clamped: '2026-06-15 12:00:00.005000001', flags: 3 },
  { what: '2150', startNs: ns('2150-02-03'), clamped: '2026-06-15 12:00:00.005000001', flags: 3 },
  { what: '2262', startNs: ns('2262-04-11'), clamped: '2026-06-15 12:00:00.005000001', flags: 3 },
  { what: 'the least int64', startNs: -(2n ** 63n), clamped: '2026-06-15 12:00:00.005000001', flags: 1 },
  { what: 'the largest int64', startNs: 2n ** 63n - 1n, clamped: '2026-06-15 12:00:00.005000001', flags: 3 },
  {
    what: '40 days ago',
    startNs: TEST_START_NS - 40n * DAY_NS,
    clamped: '2026-05-06 12:00:00.000000000',
    flags: 0,
  },
]

for (const { what, startNs, clamped, flags } of STRANGE_TIMES) {
  test(`a span that starts at ${what} is found by SID and by its clamped time, and outlives a merge`, async () => {
    const sid = await writeSpans([{ startTimeNs: startNs }])
    for (const state of ['inserted', 'merged']) {
      if (state === 'merged') await merge()
      const rows = await client.query<{ time_flags: number; original: string; start_time: string }>(
        `SELECT start_time, time_flags, start_time_original AS original FROM spans_exact
        WHERE sid = {sid:String} AND start_time = toDateTime64({clamped:String}, 9, 'UTC') AND app_id = 'app-1'`,
        { sid, clamped },
      )
      assert.equal(rows.length, 1, `${what}, ${state}`)
      assert.equal(rows[0]?.original, (flags & 1) === 1 ? String(startNs) : '0')
      // An end before the sent start, but after the clamped one, is no fault.
      assert.equal((rows[0]?.time_flags ?? 0) & 1, flags & 1)
    }
  })
}

test('a span without any usable time stands at the year 2000, with both times kept', async () => {
  const sid = await writeSpans([{ startTimeNs: 5n, endTimeNs: 3n }])
  const rows = await client.query(
    `SELECT start_time, end_time, duration_ns, time_flags, start_time_original, end_time_original
    FROM spans_exact WHERE sid = {sid:String}`,
    { sid },
  )
  assert.deepEqual(rows, [
    {
      start_time: '2000-01-01 00:00:00.000000000',
      end_time: '2000-01-01 00:00:00.000000000',
      duration_ns: '0',
      time_flags: 3,
      start_time_original: '5',
      end_time_original: '3',
    },
  ])
})

test('150 different days in one trace all arrive, before and after a merge', async () => {
  const spans = Array.from({ length: 150 }, (_, day) => ({
    startTimeNs: TEST_START_NS - BigInt(day) * DAY_NS,
  }))
  const sid = await writeSpans([...spans, ...spans])
  const count = async () => {
    const [row] = await client.query<{ spans: string; days: string }>(
      'SELECT count() AS spans, uniqExact(toDate(start_time)) AS days FROM spans_exact WHERE sid = {sid:String}',
      { sid },
    )
    return [Number(row?.spans), Number(row?.days)]
  }
  assert.deepEqual(await count(), [300, 150])
  await merge()
  assert.deepEqual(await count(), [300, 150])
  const [trace] = await client.query<{ span_count: string }>(
    'SELECT span_count FROM traces WHERE sid = {sid:String}',
    { sid },
  )
  assert.equal(trace?.span_count, '300')
})

test('all of one batch is stored when its rows lie on more days and weeks than an insert may have', async () => {
  const fragments = Array.from({ length: 130 }, (_, day) => {
    const sid = `days-${day}-${randomUUID()}`
    return testFragment([
      testRecord(
        testBatch({ sid, spans: [testSpan({ startTimeNs: TEST_START_NS - BigInt(day) * DAY_NS })] }),
        {
          // Weeks apart, as replayed records may be: partitions of id_lookup are weeks.
          receivedAtMs: Date.UTC(2026, 5, 15) - day * 7 * 86_400_000,
        },
      ),
    ])
  })
  await sink.write(fragments, signal)
  const sids = fragments.map(({ sid }) => sid)
  for (const table of ['spans_exact', 'trace_fragments_exact', 'id_lookup_exact']) {
    const [row] = await client.query<{ count: string }>(
      `SELECT uniqExact(sid) AS count FROM ${table} WHERE sid IN {sids:Array(String)}`,
      { sids },
    )
    assert.equal(row?.count, '130', table)
  }
})

test('NUL, quotes, backslashes, line ends and multi-byte text come back as they were', async () => {
  const texts = [
    '\u0000',
    'a\u0000b',
    'it\'s "quoted"',
    '\\n\\',
    'line\nbreak\r\t',
    '天气如何？😀',
    ' ',
    '\u{10ffff}',
    "'); DROP TABLE spans; --",
  ]
  const sid = await writeSpans([
    {
      name: texts.join('|'),
      attributes: texts.map((text) => ({ key: text, value: text })),
      statusMessage: texts[1]!,
    },
  ])
  const [row] = await client.query<{ name: string; status_message: string; entries: [string, string][] }>(
    "SELECT name, status_message, CAST(attributes, 'Array(Tuple(String, String))') AS entries FROM spans_exact WHERE sid = {sid:String}",
    { sid },
  )
  assert.equal(row?.name, texts.join('|'))
  assert.equal(row?.status_message, texts[1])
  assert.deepEqual(
    row?.entries,
    texts.map((text) => [text, text]),
  )
})

test('numbers that JSON cannot say, huge maps and long values are no trouble', async () => {
  const many = Array.from({ length: 10_000 }, (_, n) => ({ key: `key-${n}`, value: `value-${n}` }))
  const sid = await writeSpans([
    {
      attributes: [
        { key: 'nan', value: Number.NaN },
        { key: 'zero', value: -0 },
        { key: 'infinite', value: -Infinity },
      ],
    },
    { attributes: many },
    { attributes: [{ key: 'long', value: '日'.repeat(400_000) }] },
  ])
  await merge()
  const rows = await client.query<{
    size: string
    nan: string
    zero: string
    infinite: string
    long: string
    types: string
  }>(
    `SELECT length(attributes) AS size, attributes['nan'] AS nan, attributes['zero'] AS zero, attributes['infinite'] AS infinite,
      lengthUTF8(attributes['long']) AS long, if(size > 9, '', attribute_types) AS types
    FROM spans_exact WHERE sid = {sid:String} ORDER BY span_id`,
    { sid },
  )
  assert.deepEqual(rows, [
    { size: '3', nan: 'NaN', zero: '-0', infinite: '-Infinity', long: '0', types: 'ddd' },
    { size: '10000', nan: '', zero: '', infinite: '', long: '0', types: '' },
    { size: '1', nan: '', zero: '', infinite: '', long: '400000', types: 's' },
  ])
})

test('repeated keys keep their order and values through a merge', async () => {
  const sid = await writeSpans([
    {
      attributes: [
        { key: 'k', value: 5n },
        { key: 'k', value: '5' },
        { key: '', value: 5.0 },
        { key: 'k', value: null },
      ],
    },
  ])
  await merge()
  const rows = await client.query(
    "SELECT CAST(attributes, 'Array(Tuple(String, String))') AS entries, attribute_types, attributes['k'] AS first FROM spans_exact WHERE sid = {sid:String}",
    { sid },
  )
  assert.deepEqual(rows, [
    {
      entries: [
        ['k', '5'],
        ['k', '5'],
        ['', '5'],
        ['k', ''],
      ],
      attribute_types: 'isdn',
      first: '5',
    },
  ])
})

test('a payload stands as its preview, with its reference under its path', async () => {
  const sid = `content-${randomUUID()}`
  const payload = new PayloadReference({
    key: 'payloads/dt=2026-06-15/hour=12/abc#1',
    offset: 10,
    length: 20,
    size: 6000,
    sha256: 'ab'.repeat(32),
    encoding: 'zstd',
    preview: 'beginning',
  })
  const batch = testBatch({
    sid,
    spans: [
      testSpan({
        attributes: [
          { key: 'in', value: [payload] },
          { key: 'out', value: payload },
        ],
        statusMessage: payload,
      }),
    ],
  })
  const log = testLog({
    sid,
    question: payload,
    trace: [testNode({ logs: ['short', payload], llmOutput: payload })],
  })
  await sink.write([testFragment([testRecord(batch), testRecord(log)])], signal)
  const text = `payloads/dt=2026-06-15/hour=12/abc#1#10,20,6000,${'ab'.repeat(32)},zstd`
  const [span] = await client.query(
    'SELECT attributes, attribute_types, status_message, payload_refs FROM spans_exact WHERE sid = {sid:String}',
    { sid },
  )
  assert.deepEqual(span, {
    attributes: { in: '[{"$payload":"beginning"}]', out: 'beginning' },
    attribute_types: 'ap',
    status_message: 'beginning',
    payload_refs: { status_message: text, 'attributes.in.0': text, 'attributes.out': text },
  })
  const [logRow] = await client.query(
    'SELECT question, payload_refs FROM node_trace_logs_exact WHERE sid = {sid:String}',
    { sid },
  )
  assert.deepEqual(logRow, { question: 'beginning', payload_refs: { question: text } })
  const [node] = await client.query(
    'SELECT logs, llm_output, payload_refs FROM node_logs_exact WHERE sid = {sid:String}',
    { sid },
  )
  assert.deepEqual(node, {
    logs: ['short', 'beginning'],
    llm_output: 'beginning',
    payload_refs: { llm_output: text, 'logs.1': text },
  })
})

test('compressed inserts bring the same rows', async () => {
  const compressed = new ClickHouseSink({
    client: openClickHouse({ ...clickhouseOptions(servers, client.database), compressInserts: true }),
    recordTypes: testRecordType,
  })
  const sid = `compressed-${randomUUID()}`
  const spans = Array.from({ length: 3000 }, (_, n) => testSpan({ spanId: testSpanId(n), name: `name ${n}` }))
  try {
    await compressed.write([testFragment([testRecord(testBatch({ sid, spans }))])], signal)
  } finally {
    await compressed.close()
  }
  const rows = await client.query(
    'SELECT count() AS spans, uniqExact(name) AS names FROM spans_exact WHERE sid = {sid:String}',
    { sid },
  )
  assert.deepEqual(rows, [{ spans: '3000', names: '3000' }])
})
