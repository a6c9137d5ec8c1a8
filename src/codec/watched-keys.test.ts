import assert from 'node:assert/strict'
import { test } from 'node:test'
import type avro from 'avsc'
import fc from 'fast-check'
import { type AnyValue, type KeyValue, KeyValueList } from '../model/any-value.ts'
import type { NodeTraceLog } from '../model/node-trace-log.ts'
import { PayloadReference } from '../model/payload-reference.ts'
import type { SpanBatch } from '../model/span.ts'
import { anyNodeTraceLog, anySpanBatch, FREQUENT_TEXTS } from './arbitraries.testing.ts'
import { type AvroRecord, parseAvroSchema } from './avro/schema.ts'
import { avscType, batchToAvsc, logToAvsc, valueToAvsc } from './avsc-oracle.testing.ts'
import { type BundledSchemaName, bundledSchema, bundledSchemas } from './bundled-schemas.ts'
import { inspectSource } from './compile-inspect.ts'
import { RecordHeader } from './record-header.ts'
import { inspectPlan, SPAN_DAY } from './record-plans.ts'
import { compileRecordType } from './record-type.ts'
import { rewriteSchema, type SchemaField } from './rewrite-schema.testing.ts'
import { KeyFinder, listWatchedKeys, type WatchedKey, type WatchedKeys } from './watched-keys.ts'

/** Keys that are made often, some that are made never, and some that look like them. */
const KEYS = [...FREQUENT_TEXTS, 'errors', 'coda', 'x', 'é']
const anyKeys: fc.Arbitrary<WatchedKeys> = fc.record(
  {
    attributes: fc.subarray(KEYS),
    resource: fc.subarray(KEYS),
    log: fc.subarray(KEYS),
  },
  { requiredKeys: [] },
)

const LIMIT = { payloadLimitBytes: 64 }

interface Occurrence {
  index: number
  value: string
}

/** Every key-value pair of a record, however deep, that is of the set. Knows nothing of schemas. */
function occurrences(
  model: SpanBatch | NodeTraceLog,
  list: readonly WatchedKey[],
  valueType: avro.Type,
): Occurrence[] {
  const result: Occurrence[] = []
  const visit = (part: unknown, place: WatchedKey['place']): void => {
    if (typeof part !== 'object' || part === null || part instanceof Uint8Array) return
    if (part instanceof PayloadReference) return
    if (part instanceof KeyValueList || Array.isArray(part)) {
      for (const item of part instanceof KeyValueList ? part.entries : part) visit(item, place)
      return
    }
    if (isKeyValue(part)) {
      const index = list.findIndex((each) => each.place === place && each.key === part.key)
      if (index >= 0)
        result.push({ index, value: valueType.toBuffer(valueToAvsc(part.value)).toString('hex') })
      visit(part.value, place)
      return
    }
    for (const [name, field] of Object.entries(part)) {
      visit(field, place === 'attributes' && name === 'resource' ? 'resource' : place)
    }
  }
  visit(model, 'spans' in model ? 'attributes' : 'log')
  return result
}

function isKeyValue(part: object): part is KeyValue {
  return Object.keys(part).sort().join() === 'key,value'
}

function sorted(list: readonly Occurrence[]): string[] {
  return list.map(({ index, value }) => `${index} ${value}`).sort()
}

/** The type of a value in the schema of the record. */
function valueTypeOf(type: avro.Type, ...path: string[]): avro.Type {
  let current = type
  for (const name of path) current = (current as avro.types.RecordType).field(name).type
  const entry = (current as avro.types.ArrayType).itemsType as avro.types.RecordType
  return entry.field('value').type
}

const newField: SchemaField = { name: 'new', type: ['null', 'string'], default: null }
const WRITERS: readonly ((record: string, fields: SchemaField[]) => SchemaField[])[] = [
  (_record, fields) => fields,
  (_record, fields) => fields.toReversed(),
  (record, fields) => (record === 'KeyValue' ? [newField, ...fields] : fields),
]

const header = new RecordHeader()

for (const [name, any, toAvsc, path] of [
  ['sidereal.SpanBatch', anySpanBatch, batchToAvsc, ['resource', 'attributes']],
  ['sidereal.NodeTraceLog', anyNodeTraceLog, logToAvsc, ['srv']],
] as const) {
  test(`inspection of a ${name} finds the keys of the set and their values, for every writer, and nothing else`, () => {
    const jsons = bundledSchemas(name).flatMap(({ json }) =>
      WRITERS.map((change) => rewriteSchema(json, change)),
    )
    const writers = jsons.map((json) => ({ json, avsc: avscType(json) }))
    let found = 0
    fc.assert(
      fc.property(
        any as fc.Arbitrary<SpanBatch | NodeTraceLog>,
        anyKeys,
        fc.nat(writers.length - 1),
        fc.nat(9),
        (model, watchedKeys, place, offset) => {
          const { json, avsc } = writers[place]!
          const bytes = avsc.toBuffer(toAvsc(model as SpanBatch & NodeTraceLog))
          const memory = Buffer.concat([Buffer.alloc(offset, 0x55), bytes, Buffer.alloc(5, 0x02)])
          const list = listWatchedKeys(watchedKeys)
          const plain = new RecordHeader()
          compileRecordType(json, 1, LIMIT).inspect(memory, offset, offset + bytes.length, plain)
          compileRecordType(json, 1, { ...LIMIT, watchedKeys }).inspect(
            memory,
            offset,
            offset + bytes.length,
            header,
          )
          // Everything else is found as without the set.
          for (const key of ['sid', 'rowCount', 'hasLargeValue', 'day', 'recordId'] as const) {
            assert.equal(header[key], plain[key], key)
          }
          assert.equal(plain.hasWatchedKey, false)
          const expected = occurrences(model, list, valueTypeOf(avsc, ...path))
          assert.equal(header.hasWatchedKey, expected.length > 0)
          if (!header.hasWatchedKey) return
          const { keyHits } = header
          const actual = Array.from({ length: keyHits.count }, (_, n) => ({
            index: keyHits.indexAt(n),
            value: bytes.toString('hex', keyHits.valueStartAt(n), keyHits.valueEndAt(n)),
          }))
          assert.deepEqual(sorted(actual), sorted(expected))
          for (const index of list.keys()) {
            assert.equal(
              keyHits.has(index),
              expected.some((each) => each.index === index),
            )
          }
          assert.equal(keyHits.isCut, false)
          found += expected.length
        },
      ),
      { numRuns: 150 },
    )
    assert.ok(found > 100, `only ${found} keys were found`)
  })
}

test('a set without keys for a kind of record leaves its inspection as it is without a set', () => {
  const source = (name: BundledSchemaName, isWatching: boolean) =>
    inspectSource(
      parseAvroSchema(bundledSchema(name).json) as AvroRecord,
      inspectPlan('batch_id', 'spans', SPAN_DAY),
      isWatching,
    )
  assert.doesNotMatch(source('sidereal.SpanBatch', false), /watch|W\.find|keyHits/)
  assert.match(source('sidereal.SpanBatch', true), /W\.find/)

  // What is compiled is told by what an inspection leaves of an earlier one: only one with a set empties the hits.
  const batch = { key: 'error', value: 1n }
  const [sample] = fc.sample(anySpanBatch, { seed: 1, numRuns: 1 })
  const bytes = avscType(bundledSchema('sidereal.SpanBatch').json).toBuffer(
    batchToAvsc({ ...sample!, resource: { ...sample!.resource, attributes: [batch] } }),
  )
  const own = new RecordHeader()
  const inspect = (watchedKeys: WatchedKeys) =>
    compileRecordType(bundledSchema('sidereal.SpanBatch').json, 1, { ...LIMIT, watchedKeys }).inspect(
      bytes,
      0,
      bytes.length,
      own,
    )
  inspect({ resource: ['error'] })
  assert.deepEqual([own.hasWatchedKey, own.keyHits.count], [true, 1])
  for (const watchedKeys of [{}, { attributes: [] }, { log: ['error'] }]) {
    inspect(watchedKeys)
    assert.deepEqual([own.hasWatchedKey, own.keyHits.count], [false, 1])
  }
  inspect({ attributes: ['nowhere'] })
  assert.deepEqual([own.hasWatchedKey, own.keyHits.count], [false, 0])
})

test('keys that share length, first and last byte are told apart, and others are not found', () => {
  const keys = ['aXb', 'aYb', 'aZb', 'ab', 'a', 'bXa', '键值', '键直', 'x'.repeat(5000)]
  const list = listWatchedKeys({ attributes: keys, log: ['aWb'] })
  const finder = new KeyFinder(list, 'attributes')
  keys.forEach((key, index) => {
    const bytes = Buffer.from(`__${key}__`)
    assert.equal(finder.find(bytes, 2, bytes.length - 4), index, key)
    assert.equal(finder.find(bytes, 1, bytes.length - 4), -1)
  })
  for (const key of ['', 'aWb', 'aXc', 'a\u0000b', 'AXB', 'aXbb', '键', 'x'.repeat(4999)]) {
    const bytes = Buffer.from(key)
    assert.equal(finder.find(bytes, 0, bytes.length), -1, key)
  }
})

test('a key that a sender repeats is known without an end of positions', () => {
  const repeated = Array.from({ length: 10_000 }, () => ({ key: 'error', value: null as AnyValue }))
  const [sample] = fc.sample(anyNodeTraceLog, { seed: 1, numRuns: 1 })
  const log = { ...sample!, srv: [], srvTag: [], trace: [], extra: [...repeated, { key: 'code', value: 1n }] }
  const json = bundledSchema('sidereal.NodeTraceLog').json
  const bytes = avscType(json).toBuffer(logToAvsc(log))
  const type = compileRecordType(json, 1, { ...LIMIT, watchedKeys: { log: ['code', 'error', 'x'] } })
  const own = new RecordHeader()
  type.inspect(bytes, 0, bytes.length, own)
  assert.deepEqual([own.keyHits.count, own.keyHits.isCut], [4096, true])
  assert.deepEqual(
    [0, 1, 2].map((index) => own.keyHits.has(index)),
    [true, true, false],
  )
  const short = avscType(json).toBuffer(logToAvsc({ ...log, extra: [{ key: 'x', value: 1n }] }))
  type.inspect(short, 0, short.length, own)
  assert.deepEqual([own.keyHits.count, own.keyHits.isCut], [1, false])
  assert.deepEqual(
    [0, 1, 2].map((index) => own.keyHits.has(index)),
    [false, false, true],
  )
})

test('a set with an empty key, a key twice at a place, or too many keys is refused', () => {
  const refuses = (keys: WatchedKeys, message: RegExp) =>
    assert.throws(() => listWatchedKeys(keys), { code: 'SIDEREAL_CONFIG_INVALID', message })
  refuses({ log: [''] }, /log is empty/)
  refuses({ attributes: ['a', 'b', 'a'] }, /"a" of attributes/)
  refuses({ attributes: Array.from({ length: 1025 }, (_, n) => `k${n}`) }, /1025 keys/)
  assert.equal(listWatchedKeys({ attributes: ['a'], resource: ['a'], log: ['a'] }).length, 3)
})
