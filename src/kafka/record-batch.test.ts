import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import fc from 'fast-check'
import { crc32c } from './crc32c.ts'
import { type BatchRecord, recordsSize, writeBatchHeader, writeRecords } from './record-batch.ts'
import { BATCH_HEADER_BYTES } from './record-batch-layout.ts'

interface Encoded {
  readonly buffer: Buffer
}
// kafkajs's own, as the oracle: bytes that it writes were read by brokers for years.
const require = createRequire(import.meta.url)
const crcOfKafkajs = require('kafkajs/src/protocol/recordBatch/crc32C') as (bytes: Buffer) => number
const recordOfKafkajs = require('kafkajs/src/protocol/recordBatch/record/v0') as (record: object) => Encoded
const { RecordBatch: batchOfKafkajs } = require('kafkajs/src/protocol/recordBatch/v0') as {
  RecordBatch(batch: object): Promise<Encoded>
}

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array))
const headerValue = fc.oneof(bytes, fc.string({ unit: 'binary', maxLength: 20 }))
const headers = fc.dictionary(
  fc.string({ unit: 'binary', maxLength: 10 }),
  fc.oneof(headerValue, fc.array(headerValue, { maxLength: 3 })),
  { maxKeys: 4, noNullPrototype: true },
)
const record: fc.Arbitrary<BatchRecord> = fc.record({
  key: fc.option(bytes),
  value: fc.option(
    fc.oneof(
      bytes,
      fc.constantFrom(63, 64, 8_191, 8_192, 1_100_000).map((n) => Buffer.alloc(n, 7)),
    ),
  ),
  headers: fc.option(headers, { nil: undefined }),
})

test('the checksum is CRC-32C, of any part of a buffer', () => {
  assert.equal(crc32c(Buffer.from('123456789'), 0, 9), 0xe3069283)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(40), fc.nat(40), (array, before, after) => {
      const whole = Buffer.concat([Buffer.alloc(before, 1), array, Buffer.alloc(after, 2)])
      assert.equal(crc32c(whole, before, before + array.length), crcOfKafkajs(Buffer.from(array)) >>> 0)
    }),
  )
})

test('whatever the records, a batch has the bytes that kafkajs writes, but for the fields of an idempotent producer, and its own size is told before', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(record, { minLength: 1, maxLength: 200 }),
      fc.constantFrom(0, 4),
      fc.nat(30),
      async (records, codec, offset) => {
        const nowMs = 1_764_000_000_123
        const start = offset + BATCH_HEADER_BYTES
        const target = Buffer.alloc(start + recordsSize(records), 0xee)
        const end = writeRecords(target, start, records)
        assert.equal(end, target.length)
        writeBatchHeader(target, offset, { codec, count: records.length, end, nowMs })
        const batch = target.subarray(offset)

        const expected = await batchOfKafkajs({
          compression: 0,
          firstTimestamp: nowMs,
          maxTimestamp: nowMs,
          lastOffsetDelta: records.length - 1,
          partitionLeaderEpoch: -1,
          producerId: -1,
          producerEpoch: -1,
          firstSequence: -1,
          records: records.map(({ key, value, headers: named }, offsetDelta) =>
            recordOfKafkajs({ key, value, offsetDelta, ...(named === undefined ? {} : { headers: named }) }),
          ),
        })
        const wanted = Buffer.from(expected.buffer)
        wanted.writeInt16BE(codec, 21)
        wanted.writeUInt32BE(crcOfKafkajs(wanted.subarray(21)) >>> 0, 17)
        assert.ok(batch.equals(wanted))
      },
    ),
    { numRuns: 60 },
  )
})

test('a header without a value is left out', () => {
  const named = { key: null, value: null, headers: { gone: undefined, kept: 'x' } }
  const plain = { key: null, value: null, headers: { kept: 'x' } }
  const write = (one: BatchRecord) => {
    const target = Buffer.alloc(recordsSize([one]))
    return target.subarray(0, writeRecords(target, 0, [one]))
  }
  assert.deepEqual(write(named), write(plain))
})
