import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { FragmentRecord } from '../../model/fragment.ts'
import { testBatch, testRecord } from '../fragments.testing.ts'
import { rowBytes, rowParts } from './row-parts.ts'

const plain = testRecord(testBatch())
const anyRecord: fc.Arbitrary<FragmentRecord> = fc
  .record({
    ownBytes: fc.nat(2_000),
    repeatedBytes: fc.oneof(fc.nat(50), fc.nat(3_000)),
    rowCount: fc.nat(40),
  })
  .map(({ ownBytes, repeatedBytes, rowCount }) => ({
    ...plain,
    byteLength: ownBytes + repeatedBytes,
    repeatedBytes,
    rowCount,
  }))

test('every row of every record is in one part, in order, and a part takes no more than it may unless it is one row', () => {
  fc.assert(
    fc.property(
      fc.array(anyRecord, { maxLength: 12 }),
      fc.integer({ min: 1, max: 30_000 }),
      (records, max) => {
        const parts = [...rowParts(records, max)]
        const rows = parts.flatMap((part) =>
          part.records.flatMap((record) => {
            const { from, to } = part.range ?? { from: 0, to: record.rowCount }
            if (part.range !== undefined) assert.equal(part.records.length, 1)
            return Array.from({ length: to - from }, (_, place) => [records.indexOf(record), from + place])
          }),
        )
        assert.deepEqual(
          rows,
          records.flatMap(({ rowCount }, place) =>
            Array.from({ length: rowCount }, (_, row) => [place, row]),
          ),
        )
        for (const { records: inPart, range } of parts) {
          const [only] = inPart
          if (range === undefined) {
            const bytes = inPart.reduce((sum, record) => sum + rowBytes(record), 0)
            assert.ok(bytes <= max || (inPart.length === 1 && only!.rowCount <= 1), `${bytes} of ${max}`)
          } else {
            const share = (rowBytes(only!) * (range.to - range.from)) / only!.rowCount
            assert.ok(share <= max || range.to - range.from === 1, `${share} of ${max}`)
          }
        }
        const known = parts.flatMap((part) => part.records)
        for (const record of records)
          assert.ok(known.includes(record), 'a record without rows is in a part too')
      },
    ),
    { numRuns: 300 },
  )
})

test('a batch whose rows fit is one part, and the very list that was given', () => {
  const records = [plain, plain]
  assert.deepEqual(
    [...rowParts(records, 1_000_000)].map((part) => part.records === records),
    [true],
  )
})

test('a record that takes nothing is in a part also when the next one is parted', () => {
  const nothing = { ...plain, byteLength: 0, repeatedBytes: 0, rowCount: 0 }
  const large = { ...plain, byteLength: 1, repeatedBytes: 1, rowCount: 2 }
  assert.deepEqual(
    [...rowParts([nothing, large], 1)],
    [
      { records: [nothing], range: undefined },
      { records: [large], range: { from: 0, to: 1 } },
      { records: [large], range: { from: 1, to: 2 } },
    ],
  )
})
