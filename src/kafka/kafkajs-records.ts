import { requireKafkajs } from './kafkajs-internals.ts'
import { areRecordBatches, type FindCodec, readRecordBatches } from './record-batches.ts'

const DECODER = 'kafkajs/src/protocol/requests/fetch/v4/decodeMessages'
/** By this name a codec says that the response ends here: see `UnpackBudget`. */
const PARTIAL = 'KafkaJSPartialMessageError'
const LENGTH_BYTES = 4
const patched = Symbol.for('sidereal.kafkajs.records')

/** The part of kafkajs's private `Decoder` that is used here. */
interface Decoder {
  readonly buffer: Buffer
  offset: number
}

type DecodeMessages = ((decoder: Decoder) => Promise<unknown[]>) & { [patched]?: boolean }

/**
 * kafkajs 2.2.4 makes some forty objects of each record of a fetch, takes a time that is quadratic in the headers of a record, and fails on a batch of
 * more than 130,000 records. This puts {@link readRecordBatches} in its place. Returns false, and leaves kafkajs alone, when its
 * version is another one, or it has fetched before.
 */
export function patchRecords(): boolean {
  const require = requireKafkajs()
  if (require === undefined) return false
  const path = require.resolve(DECODER)
  const loaded = require.cache[path]
  if (loaded !== undefined) return (loaded.exports as DecodeMessages)[patched] === true
  // kafkajs loads the versions of a request when it first makes one, and takes then what lies in the cache.
  const original = require(DECODER) as DecodeMessages
  const { lookupCodecByAttributes } = require('kafkajs/src/protocol/message/compression') as {
    lookupCodecByAttributes: FindCodec
  }
  const decode: DecodeMessages = async (decoder) => {
    const { buffer, offset } = decoder
    const bytes = buffer.readInt32BE(offset)
    const start = offset + LENGTH_BYTES
    const set = buffer.subarray(start, start + Math.max(0, bytes))
    if (!areRecordBatches(set) || set.length < bytes) return await original(decoder)
    decoder.offset = start + bytes
    return await readRecordBatches(set, lookupCodecByAttributes, PARTIAL)
  }
  decode[patched] = true
  require.cache[path]!.exports = decode
  return true
}
