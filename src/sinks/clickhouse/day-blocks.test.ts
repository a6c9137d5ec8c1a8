import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { testBatch, testRecord } from '../fragments.testing.ts'
import { DayBlocks, type Rows } from './day-blocks.ts'

class CountedRows implements Rows {
  readonly days: number[] = []
  readonly block = { rows: 0, columnNames: [], finish: () => [] }

  append(day: number): void {
    this.days.push(day)
    this.block.rows++
  }

  reset(): void {
    throw new Error('nothing resets here')
  }
}

test('every row lands in a block that stays within its days and rows, and a day is not spread over blocks without need', () => {
  const record = testRecord(testBatch())
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 200 }), (days) => {
      const blocks = new DayBlocks(() => new CountedRows(), { maxDays: 5, maxRows: 1000 })
      for (const day of days) {
        blocks.rowsFor(BigInt(day) * 86_400_000_000_000n + 86_399_999_999_999n, record).append(day)
      }
      const found = blocks.blocks.map(({ rows }) => rows.days)
      assert.deepEqual(found.flat().sort(), [...days].sort())
      for (const inBlock of found) assert.ok(new Set(inBlock).size <= 5)
      assert.equal(found.length, Math.ceil(new Set(days).size / 5))
      for (const day of new Set(days))
        assert.equal(found.filter((inBlock) => inBlock.includes(day)).length, 1)
    }),
  )
})

test('a full block is followed by another, and each knows the records that are in it', () => {
  const records = Array.from({ length: 7 }, (_, offset) => testRecord(testBatch(), { offset }))
  const blocks = new DayBlocks(() => new CountedRows(), { maxDays: 5, maxRows: 4 })
  for (const record of records) {
    for (let row = 0; row < 2; row++) blocks.rowsFor(1n, record).append(0)
  }
  assert.deepEqual(
    blocks.blocks.map(({ rows, records: inBlock }) => [rows.block.rows, inBlock.map(({ offset }) => offset)]),
    [
      [4, [0, 1]],
      [4, [2, 3]],
      [4, [4, 5]],
      [2, [6]],
    ],
  )
})
