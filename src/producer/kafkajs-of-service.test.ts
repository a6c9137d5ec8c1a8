import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { silentLogger } from '../telemetry/logger.ts'
import { TracingService } from './tracing-service.ts'

/* A process of its own, in which nobody has made a consumer before. */

const require = createRequire(import.meta.url)

interface Encoder {
  readonly buffer: Buffer
  writeBytes(bytes: Buffer): Encoder
}

/** The messages of a fetch with one record, as kafkajs decodes them for the consumers of a service. */
async function fetchedMessages(): Promise<object[]> {
  const { RecordBatch } = require('kafkajs/src/protocol/recordBatch/v0') as {
    RecordBatch(batch: object): Promise<Encoder>
  }
  const record = require('kafkajs/src/protocol/recordBatch/record/v0') as (fields: object) => Encoder
  const encoder = require('kafkajs/src/protocol/encoder') as new () => Encoder
  const decoder = require('kafkajs/src/protocol/decoder') as new (bytes: Buffer) => object
  const decode = require('kafkajs/src/protocol/requests/fetch/v4/decodeMessages') as (
    from: object,
  ) => Promise<object[]>
  const fields = { key: Buffer.from('key'), value: Buffer.from('value'), headers: { traceparent: 'x' } }
  const batch = await RecordBatch({ records: [record(fields)] })
  return await decode(new decoder(new encoder().writeBytes(batch.buffer).buffer))
}

test('a service that traces gets the records of its own consumers as kafkajs makes them: those that copy a message find its fields', async () => {
  const tracing = new TracingService({
    serviceName: 'consumer',
    kafka: { brokers: ['127.0.0.1:1'] },
    logger: silentLogger,
  })
  const [message = assert.fail('no message')] = await fetchedMessages()
  const copy = { ...message } as { key: unknown; value: unknown; offset: unknown; headers: object }
  assert.deepEqual(
    [String(copy.key), String(copy.value), copy.offset, Object.keys(copy.headers)],
    ['key', 'value', '0', ['traceparent']],
  )
  await tracing.shutdown(0)
})
