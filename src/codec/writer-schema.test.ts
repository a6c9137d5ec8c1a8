import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { PayloadReference } from '../model/payload-reference.ts'
import type { SpanBatch } from '../model/span.ts'
import { anyWriterSchema, withDefaults } from './any-writer.testing.ts'
import { anyNodeTraceLog, anySpanBatch } from './arbitraries.testing.ts'
import { avscType, batchToAvsc, logToAvsc } from './avsc-oracle.testing.ts'
import { bundledSchema, bundledSchemas } from './bundled-schemas.ts'
import { FactsCollector } from './facts.ts'
import { RecordHeader } from './record-header.ts'
import { compileRecordType } from './record-type.ts'
import { rewriteSchema, type SchemaField } from './rewrite-schema.testing.ts'

const header = new RecordHeader()
const compile = (json: string) => compileRecordType(json, 1, { payloadLimitBytes: 5120 })
const spanBatch = bundledSchema('sidereal.SpanBatch').json
const nodeTraceLog = bundledSchema('sidereal.NodeTraceLog').json

test('fields are found by name, whatever their order', () => {
  for (const [json, any, toAvsc] of [
    [spanBatch, anySpanBatch, batchToAvsc],
    [nodeTraceLog, anyNodeTraceLog, logToAvsc],
  ] as const) {
    const schema = rewriteSchema(json, (_record, fields) => fields.toReversed())
    const type = compile(schema)
    const original = compile(json)
    const avsc = avscType(schema)
    const originalAvsc = avscType(json)
    const facts = [new FactsCollector(), new FactsCollector()] as const
    fc.assert(
      fc.property(any as fc.Arbitrary<never>, (record) => {
        const bytes = avsc.toBuffer(toAvsc(record))
        type.inspect(bytes, 0, bytes.length, header)
        assert.deepStrictEqual(type.decode(bytes, 0, bytes.length), record)
        const originalBytes = originalAvsc.toBuffer(toAvsc(record))
        for (const collector of facts) collector.reset()
        type.collect(bytes, 0, bytes.length, 5, facts[0])
        original.collect(originalBytes, 0, originalBytes.length, 5, facts[1])
        assert.deepStrictEqual(facts[0].build(), facts[1].build())
      }),
      { numRuns: 50 },
    )
  }
})

test('fields that a newer writer adds are skipped, of any Avro type', () => {
  const added: SchemaField[] = [
    { name: 'f0', type: 'float' },
    { name: 'f1', type: { type: 'map', values: { type: 'array', items: 'long' } } },
    { name: 'f2', type: { type: 'enum', name: 'Colour', symbols: ['RED', 'GREEN'] } },
    { name: 'f3', type: ['null', { type: 'fixed', name: 'Three', size: 3 }] },
    {
      name: 'f4',
      type: { type: 'record', name: 'Chain', fields: [{ name: 'next', type: ['null', 'Chain'] }] },
    },
    { name: 'f5', type: 'boolean' },
    { name: 'f6', type: 'int' },
  ]
  const values = {
    f0: 1.5,
    f1: { a: [1n, -1n], b: [] },
    f2: 'GREEN',
    f3: { 'sidereal.Three': Buffer.from('abc') },
    f4: { next: { 'sidereal.Chain': { next: null } } },
    f5: true,
    f6: -70_000,
  }
  const schema = rewriteSchema(spanBatch, (record, fields) =>
    record === 'SpanBatch' ? [...added, ...fields] : fields,
  )
  const type = compile(schema)
  const avsc = avscType(schema)
  fc.assert(
    fc.property(anySpanBatch, (batch) => {
      const bytes = avsc.toBuffer({ ...batchToAvsc(batch), ...values })
      type.inspect(bytes, 0, bytes.length, header)
      assert.deepStrictEqual(type.decode(bytes, 0, bytes.length), batch)
    }),
    { numRuns: 30 },
  )
})

test('fields that an older writer lacks get their default', () => {
  const dropped = [
    'app_id',
    'status_message',
    'trace_state',
    'dropped_links_count',
    'links',
    'entity_refs',
    'parent_span_id',
  ]
  const schema = rewriteSchema(spanBatch, (_record, fields) =>
    fields.filter((field) => !dropped.includes(field.name)),
  )
  // The definition of SpanId was in the field that is gone.
  const type = compile(schema)
  const avsc = avscType(schema)
  fc.assert(
    fc.property(anySpanBatch, (batch) => {
      const bytes = avsc.toBuffer(batchToAvsc(batch))
      type.inspect(bytes, 0, bytes.length, header)
      const expected: SpanBatch = {
        ...batch,
        appId: '',
        resource: { ...batch.resource, entityRefs: [] },
        spans: batch.spans.map((span) => ({
          ...span,
          parentSpanId: null,
          statusMessage: '',
          traceState: '',
          links: [],
          droppedLinksCount: 0,
        })),
      }
      assert.deepStrictEqual(type.decode(bytes, 0, bytes.length), expected)
    }),
    { numRuns: 30 },
  )
})

test('whatever fields a writer lacks, adds and orders, a record is read as Avro resolves it', () => {
  for (const [name, any, toAvsc] of [
    ['sidereal.SpanBatch', anySpanBatch, batchToAvsc],
    ['sidereal.NodeTraceLog', anyNodeTraceLog, logToAvsc],
  ] as const) {
    const { json } = bundledSchema(name)
    const newest = compile(json)
    const reader = avscType(withDefaults(json))
    const everyVersion = bundledSchemas(name).map((version) => anyWriterSchema(version.json))
    fc.assert(
      fc.property(fc.oneof(...everyVersion), any as fc.Arbitrary<never>, (schema, record) => {
        const avsc = avscType(schema)
        const bytes = avsc.toBuffer(toAvsc(record))
        // Not by avsc's resolver, which fails on values within values: what is unknown is left out here, what is missing gets its default.
        const resolved = reader.toBuffer(avsc.fromBuffer(bytes))
        const type = compile(schema)
        type.inspect(bytes, 0, bytes.length, header)
        const expected = newest.decode(resolved, 0, resolved.length)
        assert.deepStrictEqual(type.decode(bytes, 0, bytes.length), expected)
        const facts = [new FactsCollector(), new FactsCollector()] as const
        type.collect(bytes, 0, bytes.length, 5, facts[0])
        newest.collect(resolved, 0, resolved.length, 5, facts[1])
        assert.deepStrictEqual(facts[0].build(), facts[1].build())
      }),
      { numRuns: 30 },
    )
  }
})

test('a schema that is not of a Sidereal record, or whose fields are of other types, is refused as such', () => {
  const refuses = (json: string, message: RegExp) =>
    assert.throws(() => compile(json), { code: 'SIDEREAL_SCHEMA_INCOMPATIBLE', message })
  refuses('{', /JSON/)
  refuses('"string"', /string/)
  refuses('"Nowhere"', /Nowhere/)
  refuses('{"type": "record", "name": "Other", "fields": []}', /"Other"/)
  refuses('{"type": "record", "name": "toString", "fields": []}', /"toString"/)
  refuses('{"type": "record", "name": "sidereal.SpanBatch", "fields": []}', /"sid"/)
  refuses(
    rewriteSchema(spanBatch, (_r, fields) => fields.filter((f) => f.name !== 'span_id')),
    /span_id/,
  )
  refuses(spanBatch.replace(/"size": 8\b/, '"size": 9'), /9 bytes and not 8/)
  refuses(
    rewriteSchema(spanBatch, (_r, fields) =>
      fields.map((f) => (f.name === 'kind' ? { ...f, type: 'string' } : f)),
    ),
    /kind/,
  )
  refuses(
    '{"type": "record", "name": "sidereal.SpanBatch", "fields": [{"name": "x", "type": {"type": "array", "items": "SpanBatch"}}]}',
    /holds itself/,
  )
})

test('a block with a size, which other writers may write, is read; a wrong size is refused', () => {
  const type = compile(nodeTraceLog)
  const avsc = avscType(nodeTraceLog)
  fc.assert(
    fc.property(anyNodeTraceLog, (log) => {
      const record = { ...log, extra: [{ key: 'k', value: true }] }
      const bytes = avsc.toBuffer(logToAvsc(record))
      // The record ends with count 1 (02), key (02 6b), branch 4 (08), true (01), end (00).
      const tail = Buffer.from([2, 2, 0x6b, 8, 1, 0])
      assert.ok(bytes.subarray(-6).equals(tail))
      const sized = (size: number) =>
        Buffer.concat([bytes.subarray(0, -6), Buffer.from([1, size * 2]), tail.subarray(1)])
      type.inspect(sized(4), 0, bytes.length + 1, header)
      assert.deepStrictEqual(type.decode(sized(4), 0, bytes.length + 1), record)
      for (const size of [3, 5]) {
        assert.throws(() => type.inspect(sized(size), 0, bytes.length + 1, header), {
          code: 'SIDEREAL_RECORD_INVALID',
        })
      }
    }),
    { numRuns: 30 },
  )
})

test('huge counts, negative lengths and integers of more than 64 bits are refused at once', () => {
  const type = compile(nodeTraceLog)
  const inspect = (bytes: number[]) => {
    const buffer = Buffer.from([...bytes, ...Array.from({ length: 200 }, () => 0)])
    assert.throws(() => type.inspect(buffer, 0, buffer.length, header), { code: 'SIDEREAL_RECORD_INVALID' })
  }
  inspect([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01])
  inspect([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01])
  inspect([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02])
  inspect([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00])
  inspect([0x01])
})

test('an integer of ten bytes is read to its last bit, and one of more than 64 bits is refused', () => {
  const schema = rewriteSchema(spanBatch, (record, fields) =>
    record === 'SpanBatch'
      ? [...fields, { name: 'extra', type: { type: 'long', logicalType: 'timestamp-nanos' } }]
      : fields,
  )
  const type = compile(schema)
  const start = avscType(spanBatch).toBuffer(
    batchToAvsc(fc.sample(anySpanBatch, { numRuns: 1, seed: 1 })[0]!),
  )
  const inspect = (last: number) => {
    const bytes = Buffer.concat([start, Buffer.alloc(9, 0xff), Buffer.from([last])])
    type.inspect(bytes, 0, bytes.length, header)
  }
  inspect(1)
  for (const last of [2, 3, 0x7f, 0x80]) {
    assert.throws(() => inspect(last), { code: 'SIDEREAL_RECORD_INVALID' })
  }
})

test('a number of a payload reference beyond 2^53 is refused at intake, whatever logical type its writer gives it', () => {
  const schema = rewriteSchema(spanBatch, (record, fields) =>
    record === 'PayloadReference'
      ? fields.map((field) =>
          field.name === 'size'
            ? { ...field, type: { type: 'long', logicalType: 'timestamp-nanos' } }
            : field,
        )
      : fields,
  )
  const type = compile(schema)
  const reference = (size: number) =>
    new PayloadReference({
      key: 'k',
      offset: 0,
      length: 1,
      size,
      sha256: 'ab'.repeat(32),
      encoding: 'zstd',
      preview: '',
    })
  const [batch] = fc.sample(anySpanBatch, { numRuns: 1, seed: 1 })
  const inspect = (size: number) => {
    const attributes = [{ key: 'a', value: reference(size) }]
    const bytes = avscType(schema).toBuffer(
      batchToAvsc({ ...batch!, resource: { ...batch!.resource, attributes } }),
    )
    type.inspect(bytes, 0, bytes.length, header)
  }
  inspect(Number.MAX_SAFE_INTEGER)
  assert.throws(() => inspect(2 ** 60), { code: 'SIDEREAL_RECORD_INVALID' })
})
