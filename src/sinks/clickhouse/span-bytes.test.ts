import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileRecordType } from '../../codec/record-type.ts'
import { rewriteSchema } from '../../codec/rewrite-schema.testing.ts'
import { SchemaWalks } from '../../codec/schema-walks.ts'
import { KeyValueList } from '../../model/any-value.ts'
import { isSiderealError } from '../../model/errors.ts'
import type { FragmentRecord } from '../../model/fragment.ts'
import { PayloadReference } from '../../model/payload-reference.ts'
import type { SpanBatch } from '../../model/span.ts'
import { NO_DAY } from '../../model/time.ts'
import { TEST_START_NS, testBatch, testSpan } from '../fragments.testing.ts'
import {
  anyDamaged,
  anyPlainBatch,
  anyRecords,
  anyTestWriter,
  NEWEST_SCHEMA,
  plainRecord,
  TEST_WRITERS,
} from '../span-records.testing.ts'
import { RowSet, RowsPools } from './row-set.ts'
import { compileSpanWalk } from './span-bytes-walk.ts'

const pools = new RowsPools()
const walks = new SchemaWalks((id) => TEST_WRITERS[id]?.type, compileSpanWalk)

/** The bytes of all blocks of the records; `byBytes` says which of them may go by bytes. */
function blocksOf(
  records: readonly FragmentRecord[],
  byBytes: (place: number) => boolean,
  ownWalks = walks,
): string[] {
  const rows = new RowSet(pools, { maxDays: 100, maxRows: 100_000 }, undefined, ownWalks)
  try {
    records.forEach((record, place) => {
      rows.add(byBytes(place) ? record : { ...record, day: NO_DAY })
    })
    return rows
      .blocks()
      .map(({ table, open }) => `${table} ${Buffer.concat(open.rows.block.finish()).toString('base64')}`)
  } finally {
    rows.release()
  }
}

test('rows from bytes equal rows from objects, in blocks that take both, for every writer schema', () => {
  let fedByBytes = 0
  fc.assert(
    fc.property(anyRecords, fc.array(fc.boolean(), { minLength: 16, maxLength: 16 }), (parts, choices) => {
      const records = parts.map(({ writer, batch }, place) => ({
        ...plainRecord(TEST_WRITERS[writer]!, TEST_WRITERS[writer]!.encode(batch), place),
        // Some were replayed.
        firstArrival:
          place % 3 === 2 ? { topic: 'first', partition: 9, offset: place, appendTimeMs: 1 } : undefined,
      }))
      fedByBytes += records.filter((record) => record.day !== NO_DAY).length
      const expected = blocksOf(records, () => false)
      assert.deepEqual(
        blocksOf(records, () => true),
        expected,
      )
      assert.deepEqual(
        blocksOf(records, (place) => choices[place % 16]!),
        expected,
      )
    }),
    { numRuns: 200 },
  )
  assert.ok(fedByBytes > 100, `only ${fedByBytes} records went by bytes`)
})

test('whatever fields a writer lacks, adds and orders, its rows from bytes equal those from objects', () => {
  let fedByBytes = 0
  fc.assert(
    fc.property(anyTestWriter, fc.array(anyPlainBatch, { minLength: 1, maxLength: 2 }), (writer, batches) => {
      const walk = new SchemaWalks(() => writer.type, compileSpanWalk)
      assert.ok(walk.get(writer.id) !== undefined, 'there is a walk')
      const records = batches.map((batch, place) => plainRecord(writer, writer.encode(batch), place))
      fedByBytes += records.filter((record) => record.day !== NO_DAY).length
      assert.deepEqual(
        blocksOf(records, () => true, walk),
        blocksOf(records, () => false, walk),
      )
    }),
    { numRuns: 30 },
  )
  assert.ok(fedByBytes > 12, `only ${fedByBytes} records went by bytes`)
})

test('a damaged record is refused at intake, or its rows from bytes are whole and equal those from objects', () => {
  const whole = plainRecord(TEST_WRITERS[0]!, TEST_WRITERS[0]!.encode(testBatch({ spans: [testSpan()] })), 0)
  let refused = 0
  let fedByBytes = 0
  fc.assert(
    fc.property(anyDamaged, ({ writer, bytes }) => {
      let damaged: FragmentRecord
      try {
        damaged = plainRecord(writer, bytes, 1)
      } catch (error) {
        assert.ok(isSiderealError(error, 'SIDEREAL_RECORD_INVALID'), String(error))
        refused += 1
        return
      }
      if (damaged.day !== NO_DAY) fedByBytes += 1
      // Rows before and behind it show whether the columns are still in step.
      const records = [whole, damaged, whole]
      assert.deepEqual(
        blocksOf(records, () => true),
        blocksOf(records, () => false),
      )
    }),
    { numRuns: 150 },
  )
  assert.ok(refused > 10 && fedByBytes > 10, `${refused} refused, ${fedByBytes} by bytes`)
})

test('bytes that are not UTF-8 become the same replacement characters on both ways', () => {
  const writer = TEST_WRITERS[0]!
  // As long as it takes for each of the ways in which strings are copied.
  for (const filler of ['', 'x'.repeat(30), 'y'.repeat(90), 'z'.repeat(600), '日'.repeat(30)]) {
    const text = `${filler}#${filler}`
    const attributes = [
      { key: text, value: text },
      { key: 'model', value: text },
      { key: 'list', value: [text, new KeyValueList([{ key: text, value: text }])] },
    ]
    const event = { timeNs: TEST_START_NS, name: text, attributes, droppedAttributesCount: 0 }
    const batch = testBatch({
      appId: text,
      uid: text,
      chatId: text,
      resource: { attributes, droppedAttributesCount: 0, schemaUrl: text, entityRefs: [] },
      scope: { name: text, version: text, attributes, droppedAttributesCount: 0, schemaUrl: text },
      spans: [testSpan({ name: text, statusMessage: text, traceState: text, attributes, events: [event] })],
    })
    const bytes = writer.encode(batch)
    for (let at = bytes.indexOf('#'); at >= 0; at = bytes.indexOf('#', at)) bytes[at] = 0xc3
    const record = plainRecord(writer, bytes, 0)
    assert.notEqual(record.day, NO_DAY)
    assert.deepEqual(
      blocksOf([record], () => true),
      blocksOf([record], () => false),
    )
  }
})

test('a record goes by bytes only when all its spans start on one day and what they share holds no payload reference', () => {
  const writer = TEST_WRITERS[0]!
  const dayOf = (spans: SpanBatch['spans']) => plainRecord(writer, writer.encode(testBatch({ spans })), 0).day
  const starting = (startTimeNs: bigint) => testSpan({ startTimeNs })
  const DAY_NS = 86_400_000_000_000n
  const first = BigInt(20_000) * DAY_NS
  assert.equal(dayOf([starting(first), starting(first + DAY_NS - 1n)]), 20_000)
  assert.equal(dayOf([starting(first - 1n)]), 19_999)
  assert.equal(dayOf([starting(first), starting(first + DAY_NS)]), NO_DAY)
  assert.equal(dayOf([starting(first), starting(first - 1n), starting(first)]), NO_DAY)
  assert.equal(dayOf([starting(0n)]), NO_DAY)
  assert.equal(dayOf([starting(-1n)]), NO_DAY)
  assert.equal(dayOf([starting(2n ** 63n - 1n)]), NO_DAY)
  assert.equal(dayOf([]), NO_DAY)
  const reference = new PayloadReference({
    key: null,
    offset: 0,
    length: 0,
    size: 6000,
    sha256: 'ab'.repeat(32),
    encoding: 'identity',
    preview: 'x',
  })
  const attributes = [{ key: 'a', value: [reference] }]
  assert.notEqual(dayOf([testSpan({ attributes, statusMessage: reference })]), NO_DAY)
  const { resource, scope } = testBatch()
  for (const shared of [{ resource: { ...resource, attributes } }, { scope: { ...scope, attributes } }]) {
    const batch = testBatch({ ...shared, spans: [testSpan()] })
    assert.equal(plainRecord(writer, writer.encode(batch), 0).day, NO_DAY)
  }
})

test('a writer schema without what the walk needs goes by objects', () => {
  const json = rewriteSchema(NEWEST_SCHEMA, (record, fields) =>
    record === 'SpanEvent' || record === 'Event'
      ? fields.filter(({ name }) => name !== 'attributes')
      : fields,
  )
  assert.notEqual(json, JSON.stringify(JSON.parse(NEWEST_SCHEMA)))
  const type = compileRecordType(json, 9, { payloadLimitBytes: 5120 })
  assert.equal(new SchemaWalks(() => type, compileSpanWalk).get(9), undefined)
})
