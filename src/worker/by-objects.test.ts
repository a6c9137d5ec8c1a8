import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileRecordType } from '../codec/record-type.ts'
import { rewriteSchema } from '../codec/rewrite-schema.testing.ts'
import { SchemaWalks } from '../codec/schema-walks.ts'
import type { ByObjectsReason } from '../model/by-objects.ts'
import type { FragmentRecord } from '../model/fragment.ts'
import { RowSet, RowsPools } from '../sinks/clickhouse/row-set.ts'
import { compileSpanWalk } from '../sinks/clickhouse/span-bytes-walk.ts'
import { testBatch, testLog, testRecord, testSpan } from '../sinks/fragments.testing.ts'
import { exportRequests } from '../sinks/otlp/export-requests.ts'
import { ProtoWriter } from '../sinks/otlp/proto-writer.ts'
import { RequestMemory } from '../sinks/otlp/request-memory.ts'
import { SpanBytes } from '../sinks/otlp/span-bytes.ts'
import { NEWEST_SCHEMA, plainRecord, TEST_WRITERS } from '../sinks/span-records.testing.ts'

const NO_WALK_ID = 90
/** Neither walk can do without a key of an attribute. */
const noWalkType = compileRecordType(
  rewriteSchema(NEWEST_SCHEMA, (record, fields) =>
    record === 'KeyValue' ? fields.filter(({ name }) => name !== 'key') : fields,
  ),
  NO_WALK_ID,
  { payloadLimitBytes: 5120 },
)
const recordTypes = (id: number) => (id === NO_WALK_ID ? noWalkType : TEST_WRITERS[id]?.type)

const writer = TEST_WRITERS[0]!
const ofSpans = (...spans: ReturnType<typeof testSpan>[]): FragmentRecord =>
  plainRecord(writer, writer.encode(testBatch({ spans })), 0)

const good = ofSpans(testSpan())
const records: Record<string, FragmentRecord> = {
  bytes: good,
  log: testRecord(testLog()),
  no_day: ofSpans(testSpan({ startTimeNs: 0n })),
  no_walk: { ...good, schemaId: NO_WALK_ID },
  too_large: ofSpans(testSpan(), testSpan(), testSpan(), testSpan()),
}

interface Heard {
  reasons: ByObjectsReason[]
  schemas: string[]
}

function observed() {
  const heard: Heard = { reasons: [], schemas: [] }
  const observer = {
    byObjects: (reason: ByObjectsReason) => void heard.reasons.push(reason),
    noWalk: (schemaId: number, name: string, reason: string) =>
      void heard.schemas.push(`${schemaId} ${name}: ${reason}`),
  }
  return { heard, observer }
}

function writeRows(subjects: readonly FragmentRecord[], isFeederOn: boolean): Heard {
  const { heard, observer } = observed()
  const walks = isFeederOn ? new SchemaWalks(recordTypes, compileSpanWalk, observer) : undefined
  const limits = { maxDays: 100, maxRows: 100_000 }
  const rows = new RowSet(new RowsPools(), limits, undefined, walks, observer)
  for (const record of subjects) rows.add(record)
  rows.release()
  return heard
}

function writeRequests(subjects: readonly FragmentRecord[], isFeederOn: boolean): Heard {
  const { heard, observer } = observed()
  const bytes = isFeederOn ? new SpanBytes(recordTypes, observer) : undefined
  const fragment = { sid: 's', reason: 'complete', records: subjects, facts: [], byteLength: 0, rowCount: 0 }
  const encoders = { bytes, writer: new ProtoWriter(), memory: new RequestMemory(), observer }
  const requests = exportRequests([{ ...fragment, reason: 'complete' }], encoders, {
    maxBytes: 3_500_000,
    maxSpans: 3,
  })
  assert.ok([...requests].length > 0)
  return heard
}

for (const [sink, write, reasonOfLarge] of [
  ['ClickHouse', writeRows, []],
  ['OTLP', writeRequests, ['too_large']],
] as const) {
  test(`each record that goes to ${sink} by objects is told with its reason, and none that goes by bytes`, () => {
    for (const [name, record] of Object.entries(records)) {
      const expected = name === 'bytes' ? [] : name === 'too_large' ? [...reasonOfLarge] : [name]
      assert.deepEqual(write([record], true).reasons, expected, name)
      assert.deepEqual(write([record], false).reasons, [name === 'log' ? 'log' : 'feeder_off'], name)
    }
  })

  test(`a schema without a walk to ${sink} is told once, however many records it has`, () => {
    const heard = write(
      Array.from({ length: 5 }, () => records['no_walk']!),
      true,
    )
    assert.equal(heard.reasons.length, 5)
    assert.equal(heard.schemas.length, 1)
    assert.match(heard.schemas[0]!, /^90 sidereal\.SpanBatch: .*"key"/)
  })
}

test('a record of four spans over the bytes of a request goes by objects as too large', () => {
  const { heard, observer } = observed()
  const fragment = {
    sid: 's',
    reason: 'complete',
    records: [records['too_large']!],
    facts: [],
    byteLength: 0,
    rowCount: 0,
  } as const
  const encoders = {
    bytes: new SpanBytes(recordTypes, observer),
    writer: new ProtoWriter(),
    memory: new RequestMemory(),
    observer,
  }
  assert.ok([...exportRequests([fragment], encoders, { maxBytes: 300, maxSpans: 1_000 })].length > 1)
  assert.deepEqual(heard.reasons, ['too_large'])
})
