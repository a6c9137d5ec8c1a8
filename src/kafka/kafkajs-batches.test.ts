import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { patchLargeBatches } from './kafkajs-batches.ts'

interface Encoder {
  readonly buffer: Buffer
}

const require = createRequire(import.meta.url)
const encodeBatch = require('kafkajs/src/protocol/recordBatch/v0') as {
  RecordBatch(options: object): Promise<Encoder>
}
const encodeRecord = require('kafkajs/src/protocol/recordBatch/record/v0') as (options: object) => Encoder
const Decoder = require('kafkajs/src/protocol/decoder') as new (bytes: Buffer) => object

assert.equal(patchLargeBatches(), true)
// Not before: whoever loaded it already has what kafkajs brings.
const decodeMessages = require('kafkajs/src/protocol/requests/fetch/v4/decodeMessages') as (
  decoder: object,
) => Promise<{ offset: string; value: Buffer }[]>

async function batch(firstOffset: number, values: readonly string[]): Promise<Buffer> {
  const records = values.map((value, offsetDelta) => encodeRecord({ offsetDelta, timestampDelta: 0, value }))
  const last = { lastOffsetDelta: values.length - 1 }
  return (await encodeBatch.RecordBatch({ firstOffset, records, ...last })).buffer
}

const decode = (...parts: readonly Buffer[]) => {
  const messages = Buffer.concat(parts)
  const size = Buffer.alloc(4)
  size.writeInt32BE(messages.length)
  return decodeMessages(new Decoder(Buffer.concat([size, messages])))
}

test('the records of any number of batches come in order, however many one holds', async () => {
  const many = Array.from({ length: 200_000 }, (_, i) => String(i))
  const records = await decode(
    await batch(0, ['first']),
    await batch(1, many),
    await batch(200_001, ['last']),
  )
  assert.equal(records.length, 200_002)
  for (const [i, { offset }] of records.entries()) assert.equal(Number(offset), i)
  assert.equal(String(records.at(-1)?.value), 'last')
})

test('what a broker cut off is left out, wherever it cut', async () => {
  const [one, two] = [await batch(0, ['a', 'b']), await batch(2, ['c', 'd'])]
  for (let bytes = 0; bytes < two.length; bytes++) {
    const records = await decode(one, two.subarray(0, bytes))
    assert.deepEqual(
      records.map(({ value }) => String(value)),
      ['a', 'b'],
    )
  }
  assert.deepEqual(await decode(), [])
})
