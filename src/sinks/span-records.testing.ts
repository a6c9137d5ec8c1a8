import fc from 'fast-check'
import { anyWriterSchema } from '../codec/any-writer.testing.ts'
import { anySpanBatch } from '../codec/arbitraries.testing.ts'
import { avscType, batchToAvsc } from '../codec/avsc-oracle.testing.ts'
import { bundledSchemas } from '../codec/bundled-schemas.ts'
import { RecordHeader } from '../codec/record-header.ts'
import { compileRecordType, type RecordType } from '../codec/record-type.ts'
import { rewriteSchema } from '../codec/rewrite-schema.testing.ts'
import { type AnyValue, KeyValueList } from '../model/any-value.ts'
import type { FragmentRecord } from '../model/fragment.ts'
import { PayloadReference } from '../model/payload-reference.ts'
import type { SpanBatch } from '../model/span.ts'
import { TEST_RECEIVED_AT_MS, TEST_START_NS } from './fragments.testing.ts'

/** Records of spans by writers of all kinds, for the tests of walks over bytes. */

/** A writer schema, compiled for reading, and written by avsc. */
export interface TestWriter {
  id: number
  type: RecordType
  encode: (batch: SpanBatch) => Buffer
}

function writerOf(id: number, schemaJson: string): TestWriter {
  const avsc = avscType(schemaJson)
  const type = compileRecordType(schemaJson, id, { payloadLimitBytes: 5120 })
  return { id, type, encode: (batch) => avsc.toBuffer(batchToAvsc(batch)) }
}

const versions = bundledSchemas('sidereal.SpanBatch').map(({ json }) => json)
export const NEWEST_SCHEMA = versions.at(-1)!
const unknownFields = rewriteSchema(NEWEST_SCHEMA, (record, fields) =>
  record === 'Span' || record === 'KeyValue' || record === 'Resource'
    ? [{ name: 'new', type: ['null', 'string'], default: null }, ...fields]
    : fields,
)
const withoutOptional = rewriteSchema(NEWEST_SCHEMA, (_record, fields) =>
  fields.filter(
    ({ name }) => !['app_id', 'uid', 'chat_id', 'kind', 'trace_state', 'end_time', 'links'].includes(name),
  ),
)
/** Every version of the schema, and writers that reorder, extend and reduce the newest. */
export const TEST_WRITERS = [
  ...versions,
  rewriteSchema(NEWEST_SCHEMA, (_record, fields) => fields.toReversed()),
  unknownFields,
  withoutOptional,
].map((json, id) => writerOf(id, json))

/** Writers of any version, in which optional fields lack, unknown ones are there, and all stand in any order. */
export const anyTestWriter: fc.Arbitrary<TestWriter> = fc
  .oneof(...versions.map(anyWriterSchema))
  .map((json) => writerOf(RANDOM_WRITER_ID, json))
/** All of them have one id, so look them up anew for each. */
export const RANDOM_WRITER_ID = 50

/** A consumed record of a batch, which lies behind other bytes as in a slab. */
export function plainRecord(writer: TestWriter, bytes: Buffer, offset: number): FragmentRecord {
  const header = new RecordHeader()
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
    repeatedBytes: header.repeatedBytes,
    hasLargeValue: header.hasLargeValue,
    day: header.day,
    bytes: memory.subarray(7, 7 + bytes.length),
    bodyStart: 0,
    memory,
    contentStart: 7,
    contentEnd: 7 + bytes.length,
    schemaId: writer.id,
    decode: () => writer.type.decode(memory, 7, 7 + bytes.length),
  }
}

/** With usual start times, and without payload references in resource and scope, so that it goes by bytes. */
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
    spans: batch.spans.map((span, place) => ({ ...span, startTimeNs: TEST_START_NS + BigInt(place) })),
  }
}

/** A batch that goes by bytes, with up to six bits flipped, which inspection may refuse. */
export const anyDamaged = fc
  .tuple(
    anySpanBatch.map(plain),
    fc.nat(TEST_WRITERS.length - 1),
    fc.array(fc.tuple(fc.nat(), fc.nat(7)), { minLength: 1, maxLength: 6 }),
    // Most bytes are text; structure lies close at the start.
    fc.constantFrom(150, 400, Infinity),
  )
  .map(([batch, place, flips, reach]) => {
    const writer = TEST_WRITERS[place]!
    const bytes = writer.encode(batch)
    for (const [at, bit] of flips) bytes[at % Math.min(reach, bytes.length)]! ^= 1 << bit
    return { writer, bytes }
  })

/** A batch that goes by bytes. */
export const anyPlainBatch = anySpanBatch.map(plain)

/** Batches with the place of their writer in {@link TEST_WRITERS}; some come twice. */
export const anyRecords = fc
  .array(
    fc.record({
      batch: anySpanBatch,
      isPlain: fc.boolean(),
      writer: fc.nat(TEST_WRITERS.length - 1),
      repeats: fc.constantFrom(1, 1, 2),
    }),
    { maxLength: 8 },
  )
  .map((parts) =>
    parts.flatMap(({ batch, isPlain, writer, repeats }) =>
      Array.from({ length: repeats }, (_, n) => ({ writer, batch: isPlain ? plain(batch) : batch, n })),
    ),
  )
