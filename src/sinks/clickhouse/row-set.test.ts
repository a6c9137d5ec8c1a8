import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SchemaWalks } from '../../codec/schema-walks.ts'
import type { FragmentRecord } from '../../model/fragment.ts'
import {
  TEST_RECEIVED_AT_MS,
  testBatch,
  testLog,
  testNode,
  testRecord,
  testRecordType,
  testSpan,
  testSpanId,
} from '../fragments.testing.ts'
import { LookupRows } from './lookup-rows.ts'
import type { Column } from './native/column.ts'
import type { Int64Column } from './native/fixed-columns.ts'
import type { RowRange } from './row-parts.ts'
import { RowSet, RowsPools } from './row-set.ts'
import { compileSpanWalk } from './span-bytes-walk.ts'

const DAY_NS = 86_400_000_000_000n
const WEEK_MS = 7 * 86_400_000

function valuesOf(column: Int64Column): bigint[] {
  const parts: Buffer[] = []
  column.writeData(parts)
  const bytes = Buffer.concat(parts)
  return Array.from({ length: column.rows }, (_, row) => bytes.readBigInt64LE(row * 8))
}

for (const way of ['bytes', 'objects'] as const) {
  test(`no insert into id_lookup has more weeks than the server takes, whatever replayed records say of their first arrival (${way})`, () => {
    const walks = way === 'bytes' ? new SchemaWalks(testRecordType, compileSpanWalk) : undefined
    const rows = new RowSet(new RowsPools(), { maxDays: 10, maxRows: 1_000 }, undefined, walks)
    const records = Array.from({ length: 95 }, (_, offset) => {
      const sid = `sid-${offset}`
      return testRecord(offset % 5 === 4 ? testLog({ sid }) : testBatch({ sid }), {
        offset,
        receivedAtMs: TEST_RECEIVED_AT_MS - (offset % 60) * WEEK_MS,
      })
    })
    for (const record of records) rows.add(record)
    const lookups = rows.blocks().flatMap(({ table, open }) => (table === 'id_lookup' ? [open] : []))
    const weeks = new Set<bigint>()
    for (const { rows: feeder } of lookups) {
      assert.ok(feeder instanceof LookupRows)
      const inBlock = new Set(valuesOf(feeder.block.columns.min_received_at).map((ns) => ns / DAY_NS))
      assert.ok(inBlock.size <= 10, `${inBlock.size} days in a block`)
      for (const day of inBlock) weeks.add(day)
    }
    assert.equal(weeks.size, 60, 'every week has its rows')
    assert.deepEqual(
      [...new Set(lookups.flatMap((open) => open.records.map(({ offset }) => offset)))].sort((a, b) => a - b),
      records.map(({ offset }) => offset),
      'bisection finds every record',
    )
    rows.release()
  })
}

/** Encoded columns of the blocks of a record, by table and column; of several calls one after another. */
function columnsOf(record: FragmentRecord, ranges: readonly (RowRange | undefined)[]): Map<string, string> {
  const walks = new SchemaWalks(testRecordType, compileSpanWalk)
  const values = new Map<string, string>()
  for (const range of ranges) {
    const rows = new RowSet(new RowsPools(), { maxDays: 100, maxRows: 1_000 }, undefined, walks)
    rows.add(record, range)
    for (const { table, open } of rows.blocks()) {
      const { columns } = open.rows.block as { columns?: Readonly<Record<string, Column>> }
      assert.ok(columns)
      open.rows.block.finish()
      for (const name of ['span_id', 'log_id', 'place', 'chat_id', 'kafka_offset', 'id']) {
        const parts: Buffer[] = []
        columns[name]?.writeData(parts)
        const key = `${table}.${name}`
        values.set(key, (values.get(key) ?? '') + Buffer.concat(parts).toString('hex'))
      }
    }
    rows.release()
  }
  return values
}

test('the rows of the parts of a record are those of the whole, each once', () => {
  const spans = Array.from({ length: 7 }, (_, place) => testSpan({ spanId: testSpanId(place) }))
  const batch = testRecord(testBatch({ spans }), { offset: 5 })
  const log = testRecord(testLog({ trace: Array.from({ length: 7 }, () => testNode()) }), { offset: 6 })
  const parts = [
    { from: 0, to: 3 },
    { from: 3, to: 6 },
    { from: 6, to: 7 },
  ]
  for (const [record, tables] of [
    [batch, ['spans.span_id', 'spans.chat_id', 'spans.kafka_offset']],
    [
      log,
      [
        'node_logs.place',
        'node_logs.chat_id',
        'node_trace_logs.log_id',
        'node_trace_logs.chat_id',
        'id_lookup.id',
      ],
    ],
  ] as const) {
    const [whole, inParts] = [columnsOf(record, [undefined]), columnsOf(record, parts)]
    for (const name of tables) {
      assert.notEqual(whole.get(name), undefined, name)
      assert.equal(inParts.get(name), whole.get(name), name)
    }
  }
})
