import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anySpanBatch } from '../../codec/arbitraries.testing.ts'
import { avscType, batchToAvsc } from '../../codec/avsc-oracle.testing.ts'
import { bundledSchemas } from '../../codec/bundled-schemas.ts'
import { RecordHeader } from '../../codec/record-header.ts'
import { compileRecordType, type RecordType } from '../../codec/record-type.ts'
import { rewriteSchema } from '../../codec/rewrite-schema.testing.ts'
import type { AnyValue } from '../../model/any-value.ts'
import { KeyValueList } from '../../model/any-value.ts'
import type { FragmentRecord } from '../../model/fragment.ts'
import { PayloadReference } from '../../model/payload-reference.ts'
import type { SpanBatch } from '../../model/span.ts'
import { NO_DAY } from '../../model/time.ts'
import { TEST_RECEIVED_AT_MS, TEST_START_NS, testBatch, testSpan } from '../fragments.testing.ts'
import { RowSet, RowsPools } from './row-set.ts'
import { SpanWalks } from './span-bytes-walk.ts'

interface Writer {
  id: number
  type: RecordType
  encode: (batch: SpanBatch) => Buffer
}

function writerOf(id: number, schemaJson: string): Writer {
  const avsc = avscType(schemaJson)
  const type = compileRecordType(schemaJson, id, { payloadLimitBytes: 5120 })
  return { id, type, encode: (batch) => avsc.toBuffer(batchToAvsc(batch)) }
}

const versions = bundledSchemas('sidereal.SpanBatch').map(({ json }) => json)
const newest = versions.at(-1)!
const unknownFields = rewriteSchema(newest, (record, fields) =>
  record === 'Span' || record === 'KeyValue' || record === 'Resource'
    ? [{ name: 'new', type: ['null', 'string'], default: null }, ...fields]
    : fields,
)
const withoutOptional = rewriteSchema(newest, (_record, fields) =>
  fields.filter(
    ({ name }) => !['app_id', 'uid', 'chat_id', 'kind', 'trace_state', 'end_time', 'links'].includes(name),
  ),
)
const WRITERS = [
  ...versions,
  rewriteSchema(newest, (_record, fields) => fields.toReversed()),
  unknownFields,
  withoutOptional,
].map((json, id) => writerOf(id, json))

function recordOf(writer: Writer, bytes: Buffer, offset: number): FragmentRecord {
  const header = new RecordHeader()
  // Behind other bytes, as in a slab.
  const memory = Buffer.concat([Buffer.alloc(7, 0xff), bytes, Buffer.alloc(3, 0xff)])
  writer.type.inspect(memory, 7, 7 + bytes.length, header)
  return {
    kind: 'spans',
    topic: 'sidereal.traces.v1',
    partition: offset % 3,
    offset,
    receivedAtMs: TEST_RECEIVED_AT_MS + offset,
    byteLength: bytes.length,
    rowCount: header.rowCount,
    hasLargeValue: header.hasLargeValue,
    day: header.day,
    isChanged: false,
    bytes: memory.subarray(7, 7 + bytes.length),
    bodyStart: 0,
    memory,
    memoryStart: 7,
    schemaId: writer.id,
    decode: () => writer.type.decode(memory, 7, 7 + bytes.length),
  }
}

const pools = new RowsPools()
const walks = new SpanWalks((id) => WRITERS[id]?.type)

/** The bytes of all blocks of the records; `byBytes` says which of them may go by bytes. */
function blocksOf(records: readonly FragmentRecord[], byBytes: (place: number) => boolean): string[] {
  const rows = new RowSet(pools, { maxDays: 100, maxRows: 100_000 }, undefined, walks)
  try {
    records.forEach((record, place) => {
      rows.add(byBytes(place) ? record : { ...record, isChanged: true })
    })
    return rows
      .blocks()
      .map(({ table, open }) => `${table} ${Buffer.concat(open.rows.block.finish()).toString('base64')}`)
  } finally {
    rows.release()
  }
}

/** Without payload references and with usual start times, so that it goes by bytes. */
function plain(batch: SpanBatch): SpanBatch {
  const inline = (value: AnyValue): AnyValue => {
    if (value instanceof PayloadReference) return value.preview
    if (value instanceof KeyValueList) return new KeyValueList(value.entries.map(entry))
    return Array.isArray(value) ? value.map(inline) : value
  }
  const entry = ({ key, value }: { key: string; value: AnyValue }) => ({ key, value: inline(value) })
  const own = <T extends { attributes: readonly { key: string; value: AnyValue }[] }>(part: T): T => ({
    ...part,
    attributes: part.attributes.map(entry),
  })
  return {
    ...batch,
    resource: own(batch.resource),
    scope: own(batch.scope),
    spans: batch.spans.map((span, place) => ({
      ...own(span),
      statusMessage: typeof span.statusMessage === 'string' ? span.statusMessage : span.statusMessage.preview,
      startTimeNs: TEST_START_NS + BigInt(place),
      events: span.events.map(own),
      links: span.links.map(own),
    })),
  }
}

const anyRecords = fc
  .array(
    fc.record({
      batch: anySpanBatch,
      isPlain: fc.boolean(),
      writer: fc.nat(WRITERS.length - 1),
      repeats: fc.constantFrom(1, 1, 2),
    }),
    { maxLength: 8 },
  )
  .map((parts) =>
    parts.flatMap(({ batch, isPlain, writer, repeats }) =>
      Array.from({ length: repeats }, (_, n) => ({ writer, batch: isPlain ? plain(batch) : batch, n })),
    ),
  )

test('rows from bytes equal rows from objects, in blocks that take both, for every writer schema', () => {
  let fedByBytes = 0
  fc.assert(
    fc.property(anyRecords, fc.array(fc.boolean(), { minLength: 16, maxLength: 16 }), (parts, choices) => {
      const records = parts.map(({ writer, batch }, place) =>
        recordOf(WRITERS[writer]!, WRITERS[writer]!.encode(batch), place),
      )
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
    { numRuns: 400 },
  )
  assert.ok(fedByBytes > 200, `only ${fedByBytes} records went by bytes`)
})

test('bytes that are not UTF-8 become the same replacement characters on both ways', () => {
  const writer = WRITERS[0]!
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
    const record = recordOf(writer, bytes, 0)
    assert.notEqual(record.day, NO_DAY)
    assert.deepEqual(
      blocksOf([record], () => true),
      blocksOf([record], () => false),
    )
  }
})

test('a record goes by bytes only when all its spans start on one day and none holds a payload reference', () => {
  const writer = WRITERS[0]!
  const dayOf = (spans: SpanBatch['spans']) => recordOf(writer, writer.encode(testBatch({ spans })), 0).day
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
  assert.equal(dayOf([testSpan({ attributes: [{ key: 'a', value: [reference] }] })]), NO_DAY)
  assert.equal(dayOf([testSpan({ statusMessage: reference })]), NO_DAY)
})

test('a writer schema without what the walk needs goes by objects', () => {
  const json = rewriteSchema(newest, (record, fields) =>
    record === 'SpanEvent' || record === 'Event'
      ? fields.filter(({ name }) => name !== 'attributes')
      : fields,
  )
  assert.notEqual(json, JSON.stringify(JSON.parse(newest)))
  const type = compileRecordType(json, 9, { payloadLimitBytes: 5120 })
  assert.equal(new SpanWalks(() => type).get(9), undefined)
})
