import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordWriter } from '../src/codec/record-writer.ts'
import { type DataName, dataSet } from './data-sets.ts'

const TRACES = 250
const SEED = 5
const START_NS = 1_790_000_000_000_000_000n
const PAYLOAD_LIMIT_BYTES = 5 * 1024

for (const name of ['plain', 'hard', 'single', 'logs', 'payloads'] satisfies DataName[]) {
  test(`the data set ${name} holds the rows and records that it says`, () => {
    const set = dataSet(name)
    const rows = { spans: 0, logs: 0, nodes: 0, payloads: 0 }
    for (let index = 0; index < TRACES; index++) {
      const records = set.trace(index, SEED, START_NS)
      assert.equal(records.length, set.recordsPerTrace)
      assert.equal(new Set(records.map(({ sid }) => sid)).size, 1)
      for (const record of records) {
        if ('spans' in record) rows.spans += record.spans.length
        else {
          rows.logs += 1
          rows.nodes += record.trace.length
        }
        rows.payloads += longStrings(record)
      }
    }
    assert.deepEqual(rows, set.rowsOf(TRACES))
    assert.equal(set.unit === 'span' ? rows.spans : rows.logs, TRACES * set.unitsPerTrace)
  })
}

test('the same index and seed give the same trace', () => {
  for (const name of ['plain', 'hard', 'single', 'logs', 'payloads'] as const)
    assert.deepEqual(dataSet(name).trace(50, SEED, START_NS), dataSet(name).trace(50, SEED, START_NS))
})

test('a log is 20 KB of Avro', () => {
  const writer = new RecordWriter()
  const [log] = dataSet('logs').trace(1, SEED, START_NS)
  assert.ok(log !== undefined && !('spans' in log))
  const { length } = writer.encodeNodeTraceLog(log, 1)
  assert.ok(length > 20_000 && length < 21_500, `${length} bytes`)
})

test('hard spans have 12 different keys each, out of 200, in an order of their own', () => {
  const keys = new Set<string>()
  let sorted = 0
  let spans = 0
  for (let index = 0; index < TRACES; index++) {
    for (const batch of dataSet('hard').trace(index, SEED, START_NS)) {
      assert.ok('spans' in batch)
      for (const span of batch.spans) {
        const own = span.attributes.map(({ key }) => key)
        assert.equal(new Set(own).size, 12)
        for (const key of own) keys.add(key)
        spans += 1
        if (own.join() === [...own].sort().join()) sorted += 1
      }
    }
  }
  assert.equal(keys.size, 200)
  assert.ok(sorted < spans / 100)
})

/** Strings over the limit for payloads, anywhere in the record. */
function longStrings(value: unknown): number {
  if (typeof value === 'string') return Buffer.byteLength(value) > PAYLOAD_LIMIT_BYTES ? 1 : 0
  if (typeof value !== 'object' || value === null) return 0
  return Object.values(value).reduce((sum: number, one) => sum + longStrings(one), 0)
}
