import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FragmentRecord } from '../../model/fragment.ts'
import { TEST_START_NS, testBatch, testRecord, testSpan, testSpanId } from '../fragments.testing.ts'
import { RowSet, RowsPools } from './row-set.ts'

const DAY_NS = 86_400_000_000_000n

/** The bytes of each block of `spans` that a sink makes of the records. */
function spanBlocks(records: readonly FragmentRecord[], maxDays: number): Buffer[] {
  const rows = new RowSet(new RowsPools(), { maxDays, maxRows: 100_000 }, ['spans'])
  for (const record of records) rows.add(record)
  return rows.blocks().map(({ open }) => Buffer.concat(open.rows.block.finish()))
}

test('a record whose spans go to several blocks has its own resource and scope in each of them', () => {
  const span = (place: number, day: number) =>
    testSpan({ spanId: testSpanId(place), startTimeNs: TEST_START_NS + BigInt(day) * DAY_NS })
  const attributes = (text: string) => ({
    resource: {
      attributes: [
        { key: 'service.name', value: text },
        { key: `of.${text}`, value: 1n },
      ],
      droppedAttributesCount: 0,
      schemaUrl: '',
      entityRefs: [],
    },
    scope: {
      name: text,
      version: '',
      attributes: [{ key: `scope.of.${text}`, value: text }],
      droppedAttributesCount: 0,
      schemaUrl: '',
    },
  })
  const other = (place: number, day: number) =>
    testRecord(testBatch({ ...attributes('other'), spans: [span(place, day)] }), { offset: place })
  const split = (spans: Parameters<typeof testBatch>[0]) =>
    testRecord(testBatch({ ...attributes('split'), ...spans }), { offset: 9 })
  // One day a block: the first has the spans of the other service before it, the second those of the record alone.
  const blocks = spanBlocks([other(1, 0), other(2, 1), split({ spans: [span(3, 0), span(4, 1)] })], 1)
  const expected = [
    ...spanBlocks([other(1, 0), split({ spans: [span(3, 0)] })], 1),
    ...spanBlocks([other(2, 1), split({ spans: [span(4, 1)] })], 1),
  ]
  assert.deepEqual(blocks, expected)
})

test('the rows of a replayed record are those of its first arrival, byte for byte', () => {
  const spans = testBatch({ spans: [testSpan({ spanId: testSpanId(1) })] })
  const first = testRecord(spans, { offset: 7 })
  const { topic, partition, offset, receivedAtMs } = first
  const firstArrival = { topic, partition, offset, appendTimeMs: receivedAtMs }
  const replayed = { ...testRecord(spans, { offset: 99 }), partition: 1, firstArrival }
  assert.deepEqual(spanBlocks([replayed], 1), spanBlocks([first], 1))
  assert.notDeepEqual(spanBlocks([{ ...replayed, firstArrival: undefined }], 1), spanBlocks([first], 1))
})
