import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SchemaWalks } from '../../codec/schema-walks.ts'
import { TEST_RECEIVED_AT_MS, testBatch, testLog, testRecord, testRecordType } from '../fragments.testing.ts'
import { LookupRows } from './lookup-rows.ts'
import type { Int64Column } from './native/fixed-columns.ts'
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
