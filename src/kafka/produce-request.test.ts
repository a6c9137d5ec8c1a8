import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import fc from 'fast-check'
import { COMPRESSIONS, compressBatch, registerCodecs } from './codecs.ts'
import { BatchMessage, ProduceEncoder, patchProduce } from './produce-request.ts'
import type { BatchRecord } from './record-batch.ts'

interface Decoder {
  readInt16(): number
  readInt32(): number
  readString(): string | null
  readArray<T>(read: (decoder: Decoder) => T): T[]
  slice(length: number): Decoder
  forward(length: number): void
}
interface DecodedBatch {
  readonly lastOffsetDelta: number
  readonly producerId: string
  readonly records: readonly { key: Buffer | null; value: Buffer | null; offset: string }[]
}
const require = createRequire(import.meta.url)
const DecoderOfKafkajs = require('kafkajs/src/protocol/decoder') as new (buffer: Buffer) => Decoder
const decodeBatch = require('kafkajs/src/protocol/recordBatch/v0/decoder') as (
  decoder: Decoder,
) => Promise<DecodedBatch>
interface MadeRequest {
  readonly request: { apiKey: number; apiVersion: number; encode(): Promise<{ buffer: Buffer }> }
}
const requests = require('kafkajs/src/protocol/requests/produce') as {
  protocol(options: { version: number }): (args: object) => MadeRequest
}

const record = (key: string, value: string): BatchRecord => ({
  key: Buffer.from(key),
  value: Buffer.from(value),
})

/** Reads a request's body with kafkajs's own decoders. */
async function readBody(body: Buffer) {
  const decoder = new DecoderOfKafkajs(body)
  assert.equal(decoder.readInt16(), -1)
  const head = { acks: decoder.readInt16(), timeout: decoder.readInt32() }
  const batches = new Map<number, DecodedBatch>()
  assert.equal(decoder.readInt32(), 1)
  const topic = decoder.readString()
  for (let left = decoder.readInt32(); left > 0; left--) {
    const partition = decoder.readInt32()
    const size = decoder.readInt32()
    batches.set(partition, await decodeBatch(decoder.slice(size)))
    decoder.forward(size)
  }
  return { ...head, topic, batches }
}

test('with every codec, and requests written at the same time, each partition’s records are in the request, in order', async () => {
  registerCodecs()
  const text = fc.string({ unit: 'binary', maxLength: 100 })
  // Long ones are packed in the thread pool, while the next request is written.
  const values = fc.array(
    fc.oneof(
      text,
      text.map((one) => one.repeat(2_000)),
    ),
    { minLength: 1, maxLength: 8 },
  )
  const request = fc.array(values, { minLength: 1, maxLength: 4 })
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...COMPRESSIONS),
      fc.array(request, { minLength: 1, maxLength: 3 }),
      async (compression, all) => {
        const encoder = new ProduceEncoder(compression)
        const encode = (partitions: readonly (readonly string[])[]) =>
          encoder.encode(
            'töpic',
            partitions.map((list, i) => {
              const records = list.map((value, j) => record(`${i}-${j}`, value))
              return new BatchMessage(i * 3, records, encoder)
            }),
            { acks: -1, timeout: 1_234 },
          )
        // Its memory is there for the next requests, but for one of them only.
        await encode([['first'.repeat(100_000)]])
        const bodies = await Promise.all(all.map(encode))
        for (const [n, body] of bodies.entries()) {
          const { acks, timeout, topic, batches } = await readBody(body)
          assert.deepEqual([acks, timeout, topic], [-1, 1_234, 'töpic'])
          const read = all[n]!.map((_list, i) => batches.get(i * 3)!)
          assert.deepEqual(
            read.map(({ records }) => records.map(({ value }) => String(value))),
            all[n],
          )
          for (const [i, { records, lastOffsetDelta, producerId }] of read.entries()) {
            assert.deepEqual(
              records.map(({ key, offset }) => [String(key), offset]),
              all[n]![i]!.map((_value, j) => [`${i}-${j}`, `${j}`]),
            )
            assert.deepEqual([lastOffsetDelta, producerId], [records.length - 1, '-1'])
          }
        }
      },
    ),
    { numRuns: 60 },
  )
})

test('zstd packs what is small at once, and what is large beside the main thread', async () => {
  assert.ok(Buffer.isBuffer(compressBatch('zstd', Buffer.alloc(1_000))))
  const large = compressBatch('zstd', Buffer.alloc(1_000_000))
  assert.ok(large instanceof Promise)
  await large
})

test('kafkajs sends our messages as our bytes, and those of others as before; a Kafka that is too old is named', async () => {
  assert.equal(patchProduce(), true)
  const args = (messages: readonly object[]) => ({
    acks: -1,
    timeout: 5,
    compression: 0,
    topicData: [{ topic: 't', partitions: [{ partition: 2, messages }] }],
  })
  const ours = new BatchMessage(2, [record('k', 'ours')], new ProduceEncoder('none'))
  for (const version of [3, 7]) {
    const make = requests.protocol({ version })
    for (const [messages, value] of [
      [[ours], 'ours'],
      [[{ key: Buffer.from('k'), value: Buffer.from('theirs') }], 'theirs'],
    ] as const) {
      const { request } = make(args(messages))
      assert.deepEqual([request.apiKey, request.apiVersion], [0, version])
      const { batches } = await readBody((await request.encode()).buffer)
      assert.deepEqual(
        batches.get(2)!.records.map((one) => String(one.value)),
        [value],
      )
    }
  }
  assert.throws(() => requests.protocol({ version: 2 })(args([ours])), /older than 0\.11/)
})

test('two copies of this package in one process each have their records sent', async () => {
  assert.equal(patchProduce(), true)
  const another = './produce-request.ts?another'
  const copy = (await import(another)) as typeof import('./produce-request.ts')
  assert.notEqual(copy.BatchMessage, BatchMessage)
  assert.equal(copy.patchProduce(), true)
  for (const one of [{ BatchMessage, ProduceEncoder }, copy]) {
    const message = new one.BatchMessage(0, [record('k', 'v')], new one.ProduceEncoder('none'))
    const args = {
      acks: -1,
      timeout: 5,
      topicData: [{ topic: 't', partitions: [{ partition: 0, messages: [message] }] }],
    }
    const { request } = requests.protocol({ version: 7 })(args)
    const { batches } = await readBody((await request.encode()).buffer)
    assert.deepEqual(
      batches.get(0)!.records.map(({ value }) => String(value)),
      ['v'],
    )
  }
})
