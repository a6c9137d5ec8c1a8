import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import fc from 'fast-check'
import { endOfHidden } from './fetched-end.ts'
import { patchRecords } from './kafkajs-records.ts'
import { ATTRIBUTES_AT, LAST_OFFSET_DELTA_AT } from './record-batch-layout.ts'
import { FetchedMessage, readRecordBatches } from './record-batches.ts'

const require = createRequire(import.meta.url)
const { RecordBatch } = require('kafkajs/src/protocol/recordBatch/v0') as {
  RecordBatch: (batch: object) => Promise<{ buffer: Buffer }>
}
const Record = require('kafkajs/src/protocol/recordBatch/record/v0') as (record: object) => unknown
const Decoder = require('kafkajs/src/protocol/decoder') as new (bytes: Buffer) => unknown
/** kafkajs's own: the oracle. */
const decodeByKafkajs = require('kafkajs/src/protocol/recordBatch/v0/decoder') as (
  decoder: unknown,
) => Promise<{ records: Message[] }>

type Message = Pick<FetchedMessage, 'offset' | 'timestamp' | 'key' | 'value' | 'headers' | 'isControlRecord'>

const bytes = fc.uint8Array({ maxLength: 200 }).map((value) => Buffer.from(value))
const batch = fc.record({
  firstOffset: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER - 1000 }),
  firstTimestamp: fc.integer({ min: 0, max: 8_640_000_000_000_000 }),
  transactional: fc.boolean(),
  compression: fc.constantFrom(0, 1),
  records: fc.array(
    fc.record({
      timestampDelta: fc.oneof(fc.nat(100), fc.integer({ min: -8_000_000_000, max: 8_000_000_000 })),
      key: fc.option(bytes),
      value: fc.option(fc.oneof(bytes, fc.constant(Buffer.alloc(5_000, 'x')))),
      // kafkajs takes a header named like a method of objects (`toString`) for a repeated one.
      headers: fc.dictionary(
        fc.string().filter((name) => !(name in {})),
        fc.oneof(bytes, fc.array(bytes, { minLength: 2, maxLength: 3 })),
        {
          maxKeys: 3,
        },
      ),
    }),
    { maxLength: 20 },
  ),
})

type BatchShape = typeof batch extends fc.Arbitrary<infer Shape> ? Shape : never

async function encode({ records, ...head }: BatchShape): Promise<Buffer> {
  const encoded = await RecordBatch({
    ...head,
    partitionLeaderEpoch: 3,
    maxTimestamp: head.firstTimestamp + 5,
    producerId: 77,
    producerEpoch: 1,
    firstSequence: 0,
    lastOffsetDelta: Math.max(0, records.length - 1),
    records: records.map((record, offsetDelta) => Record({ offsetDelta, ...record })),
  })
  return encoded.buffer
}

const gunzip = require('kafkajs/src/protocol/message/compression/gzip') as {
  decompress(packed: Buffer): Promise<Buffer>
}
const read = (encoded: Buffer) =>
  readRecordBatches(encoded, (attributes) => ((attributes & 7) === 1 ? gunzip : null), 'Partial')

/** What a consumer of kafkajs can see. */
function visible({ offset, timestamp, key, value, headers, isControlRecord }: Message) {
  return { offset, timestamp, key, value, headers: { ...headers }, isControlRecord }
}

test('records are read as kafkajs reads them, packed or not, several batches in one set', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(batch, { maxLength: 4 }), async (batches) => {
      const sets = await Promise.all(batches.map(encode))
      const expected = await Promise.all(sets.map((set) => decodeByKafkajs(new Decoder(set))))
      const all = await read(Buffer.concat(sets))
      const found = all.filter(({ isControlRecord }) => !isControlRecord)
      assert.equal(all.length - found.length, batches.filter(({ records }) => records.length === 0).length)
      assert.deepEqual(
        found.map(visible),
        expected.flatMap(({ records }) => records.map(visible)),
      )
      for (const message of found) {
        assert.equal(String(message.record.offset), message.offset)
        assert.equal(message.batchContext.inTransaction, message.batchContext.producerId === '77')
      }
    }),
    { numRuns: 40 },
  )
})

test('a set that the broker cut anywhere gives the batches that are whole', async () => {
  await fc.assert(
    fc.asyncProperty(batch, batch, fc.nat(), async (first, second, cut) => {
      const [one, two] = await Promise.all([encode(first), encode(second)])
      const length = one.length + (cut % two.length)
      const found = await read(Buffer.concat([one, two]).subarray(0, length))
      assert.equal(found.length, Math.max(1, first.records.length))
    }),
  )
})

test('a batch that compaction has emptied is gone over: alone in a fetch it would hold a consumer for ever', async () => {
  const head = { firstOffset: 40, firstTimestamp: 7, transactional: false, records: [] }
  for (const compression of [0, 1]) {
    const empty = await encode({ ...head, compression: 0 })
    empty.writeInt16BE(compression, ATTRIBUTES_AT)
    empty.writeInt32BE(9, LAST_OFFSET_DELTA_AT)
    const messages = await read(empty)
    assert.deepEqual(messages.map(visible), [
      { offset: '49', timestamp: '7', key: null, value: null, headers: {}, isControlRecord: true },
    ])
    assert.equal(endOfHidden(messages, 40)?.offset, '49')
  }
})

test('records get offsets of their batch and no others, whatever they say: what lies between would be taken for read', async () => {
  const record = { timestampDelta: 0, key: null, value: Buffer.from('v'), headers: {} }
  const head = { firstOffset: 40, firstTimestamp: 7, transactional: false, compression: 0 }
  const offsetsOf = async (lastOffsetDelta: number, deltas: readonly number[]) => {
    const records = deltas.map((offsetDelta) => ({ ...record, offsetDelta }))
    const encoded = await encode({ ...head, records } as BatchShape)
    encoded.writeInt32BE(lastOffsetDelta, LAST_OFFSET_DELTA_AT)
    return (await read(encoded)).map(({ offset }) => Number(offset))
  }
  assert.deepEqual(await offsetsOf(2, [0, 1, 2]), [40, 41, 42])
  for (const deltas of [
    [0, 9_000, 2],
    [0, 0, 0],
    [-7, 3_000_000_000, 1],
  ])
    assert.deepEqual(await offsetsOf(2, deltas), [40, 41, 42], 'a broker looks at the head alone')
  assert.deepEqual(await offsetsOf(7, [1, 4]), [41, 44], 'compaction took the others')
  for (const deltas of [
    [1, 8],
    [4, 4],
    [4, 1],
    [-1, 4],
  ])
    await assert.rejects(
      offsetsOf(7, deltas),
      /the record batch at offset 40 is damaged: its record \d names/,
    )
})

test('damaged bytes are told or read as other records, and never crash, hang, or give views beyond the batch', async () => {
  await fc.assert(
    fc.asyncProperty(
      batch,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1 }),
      async (one, hits) => {
        const encoded = Buffer.from(await encode({ ...one, compression: 0 }))
        for (const [at, value] of hits) encoded[12 + (at % (encoded.length - 12))] = value
        try {
          for (const { key, value } of await read(encoded)) {
            for (const view of [key, value]) {
              if (view === null) continue
              assert.equal(view.buffer, encoded.buffer)
              assert.ok(view.byteOffset + view.length <= encoded.byteOffset + encoded.length)
            }
          }
        } catch (error) {
          if (error instanceof assert.AssertionError) throw error
          assert.match(
            String(error),
            /is damaged|incorrect header check|unexpected end of file|invalid|unknown compression/,
          )
        }
      },
    ),
  )
})

test('a record of 20,000 headers, and a batch of 140,000 records, are read', async () => {
  const headers = Object.fromEntries(
    Array.from({ length: 20_000 }, (_, index) => [`h${index}`, Buffer.alloc(0)]),
  )
  const base = { firstOffset: 0, firstTimestamp: 0, transactional: false, compression: 0 }
  const record = { timestampDelta: 0, key: null, value: Buffer.from('v') }
  const [wide] = await read(await encode({ ...base, records: [{ ...record, headers }] } as BatchShape))
  assert.equal(Object.keys(wide!.headers).length, 20_000)
  const many = { ...base, records: Array.from({ length: 140_000 }, () => ({ ...record, headers: {} })) }
  const found = await read(await encode(many as BatchShape))
  assert.equal(found.length, 140_000)
  assert.equal(found.at(-1)!.record.offset, 139_999)
})

test('a fetch of kafkajs reads records this way, and leaves message sets of before Kafka 0.11 to kafkajs', async () => {
  assert.equal(patchRecords(), true)
  const decodeMessages = require('kafkajs/src/protocol/requests/fetch/v4/decodeMessages') as (
    decoder: unknown,
  ) => Promise<unknown[]>
  const decode = async (set: Buffer) => {
    const size = Buffer.alloc(4)
    size.writeInt32BE(set.length)
    return await decodeMessages(new Decoder(Buffer.concat([size, set])))
  }
  const record = { timestampDelta: 0, key: null, value: Buffer.from('v'), headers: {} }
  const set = await encode({
    firstOffset: 5,
    firstTimestamp: 7,
    transactional: false,
    compression: 1,
    records: [record],
  })
  const [message] = await decode(set)
  assert.ok(message instanceof FetchedMessage)
  assert.deepEqual(await decode(Buffer.alloc(0)), [])
  const MessageSet = require('kafkajs/src/protocol/messageSet') as (options: object) => { buffer: Buffer }
  const old = MessageSet({ messageVersion: 1, entries: [{ key: 'k', value: 'old', timestamp: 1 }] })
  const [first] = (await decode(old.buffer)) as { value: Buffer }[]
  assert.equal(String(first?.value), 'old')
})
