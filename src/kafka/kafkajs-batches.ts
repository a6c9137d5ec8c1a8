import { createRequire } from 'node:module'

const PATCHED_VERSION = '2.2.4'
const patched = Symbol.for('sidereal.kafkajs.batches')
const MESSAGES = 'kafkajs/src/protocol/requests/fetch/v4/decodeMessages'
/** Where the format of a batch stands, and the least that a batch takes. */
const MAGIC_OFFSET = 16
const BATCH_OVERHEAD_BYTES = 49
const RECORD_BATCH_MAGIC = 2
const PARTIAL = 'KafkaJSPartialMessageError'

interface Decoder {
  readonly buffer: Buffer
  readonly offset: number
  readInt32(): number
  readBytes(length: number): Buffer
  canReadBytes(length: number): boolean
}

type DecodeMessages = (decoder: Decoder) => Promise<unknown[]>

/**
 * kafkajs 2.2.4 hands the records of a batch over as the arguments of one call. Beyond some 120,000 that is a `RangeError`, on which a consumer
 * ends for good; whoever comes next meets the same batch: any producer may hold a partition for ever, with one megabyte. This takes the records
 * one by one. To be called before the first fetch of the process. Returns false, and leaves kafkajs alone, when its version is another one.
 */
export function patchLargeBatches(): boolean {
  const require = createRequire(import.meta.url)
  const { version } = require('kafkajs/package.json') as { version: string }
  if (version !== PATCHED_VERSION) return false
  const original = require(MESSAGES) as DecodeMessages & { [patched]?: boolean }
  if (original[patched]) return true
  const loaded = require.cache[require.resolve(MESSAGES)]
  if (loaded === undefined) return false
  const decodeBatch = require('kafkajs/src/protocol/recordBatch/v0/decoder') as (
    decoder: Decoder,
  ) => Promise<{ records: unknown[] }>
  const Decoder = require('kafkajs/src/protocol/decoder') as new (buffer: Buffer) => Decoder
  const decodeMessages = async (decoder: Decoder): Promise<unknown[]> => {
    const buffer = messagesAhead(decoder)
    // Nothing, a part of one batch, or the format before Kafka 0.11.
    if (buffer === undefined || buffer[MAGIC_OFFSET] !== RECORD_BATCH_MAGIC) return await original(decoder)
    decoder.readBytes(decoder.readInt32())
    const batches = new Decoder(buffer)
    const records: unknown[] = []
    while (batches.canReadBytes(BATCH_OVERHEAD_BYTES)) {
      try {
        for (const record of (await decodeBatch(batches)).records) records.push(record)
      } catch (error) {
        // A broker cuts an answer wherever its limit lies: the rest is fetched anew.
        if (error instanceof Error && error.name === PARTIAL) break
        throw error
      }
    }
    return records
  }
  loaded.exports = Object.assign(decodeMessages, { [patched]: true })
  return true
}

/** What the decoder would read next as messages, without moving it; undefined = not all of it is there. */
function messagesAhead({ buffer, offset }: Decoder): Buffer | undefined {
  if (offset + 4 > buffer.length) return undefined
  const size = buffer.readInt32BE(offset)
  const end = offset + 4 + size
  return size <= MAGIC_OFFSET || end > buffer.length ? undefined : buffer.subarray(offset + 4, end)
}
