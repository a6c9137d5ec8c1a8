import type { RecordHeaders } from '../model/dead-letter.ts'
import type { SourceRecord } from '../model/task.ts'
import {
  ATTRIBUTES_AT,
  BASE_TIMESTAMP_AT,
  BATCH_HEADER_BYTES,
  COUNT_AT,
  LAST_OFFSET_DELTA_AT,
  LENGTH_AT,
  MAGIC,
  MAGIC_AT,
  MAX_TIMESTAMP_AT,
  PRODUCER_ID_AT,
} from './record-batch-layout.ts'

/** Base offset and length: what the length does not count. */
const HEAD_BYTES = 12

const LOG_APPEND_TIME = 0x08
const IN_TRANSACTION = 0x10
const IS_CONTROL = 0x20

/** What the smallest record takes, with its length. */
const MIN_RECORD_BYTES = 7
type HeaderValue = Buffer | null | (Buffer | null)[]
const NO_HEADERS: RecordHeaders = Object.freeze({})
/** No key, no value, no headers. */
const NO_RECORD = Buffer.from([1, 1, 0])

/** What kafkajs asks about the batch of a record, to leave out what an aborted transaction wrote; and the last offset of the batch. */
interface BatchContext {
  readonly producerId: string
  readonly inTransaction: boolean
  readonly isControlBatch: boolean
  readonly lastOffset: number
}

/**
 * A record as kafkajs's consumer wants to see it. A fetch brings thousands, so each only knows where it lies: what our source reads is made
 * when it is asked for, and is garbage before the next one comes.
 */
export class FetchedMessage {
  readonly batchContext: BatchContext
  readonly attributes = 0
  readonly magicByte = MAGIC
  /** Of key, value and headers. */
  readonly byteLength: number
  readonly #bytes: Buffer
  readonly #keyAt: number
  readonly #offset: number
  readonly #appendTimeMs: number

  /** @param keyAt where key, value and headers lie in `bytes`, `byteLength` of them; they are known to be whole */
  constructor(
    bytes: Buffer,
    keyAt: number,
    byteLength: number,
    offset: number,
    appendTimeMs: number,
    batchContext: BatchContext,
  ) {
    this.#bytes = bytes
    this.#keyAt = keyAt
    this.byteLength = byteLength
    this.#offset = offset
    this.#appendTimeMs = appendTimeMs
    this.batchContext = batchContext
  }

  /** Made anew each time. Key and value are views. */
  get record(): SourceRecord {
    const reader = new RecordReader(this.#bytes, this.#keyAt)
    const key = reader.view()
    const value = reader.view()
    const headers = reader.headers()
    return { offset: this.#offset, appendTimeMs: this.#appendTimeMs, key, value, headers }
  }

  get offset(): string {
    return String(this.#offset)
  }

  get timestamp(): string {
    return String(this.#appendTimeMs)
  }

  get key(): Buffer | null {
    return this.record.key
  }

  get value(): Buffer | null {
    return this.record.value
  }

  get headers(): RecordHeaders {
    return this.record.headers
  }

  get isControlRecord(): boolean {
    return this.batchContext.isControlBatch
  }
}

/** Bytes of a message, without making views where it knows them. */
export function messageBytes(message: {
  readonly key: Buffer | null
  readonly value: Buffer | null
}): number {
  if (message instanceof FetchedMessage) return message.byteLength
  return (message.key?.length ?? 0) + (message.value?.length ?? 0)
}

/** Unpacks the records of a batch; `undefined`: they are as they lie. By the attributes of the batch. */
export type FindCodec = (attributes: number) => { decompress(packed: Buffer): Promise<Buffer> } | null

/** Whether these are record batches, and not message sets of before Kafka 0.11. */
export function areRecordBatches(bytes: Buffer): boolean {
  return bytes.length > MAGIC_AT && bytes[MAGIC_AT] === MAGIC
}

/**
 * The records of one partition of a fetch. A broker cuts at `max.bytes`, inside a batch where need be: what is not whole is left out, and so is
 * everything from the batch on whose codec throws an error of the name `partialError`.
 *
 * @throws Error when a batch contradicts itself: the log, or the way to it, is damaged
 */
export async function readRecordBatches(
  bytes: Buffer,
  findCodec: FindCodec,
  partialError: string,
): Promise<FetchedMessage[]> {
  const messages: FetchedMessage[] = []
  let at = 0
  while (at + BATCH_HEADER_BYTES <= bytes.length) {
    const end = at + HEAD_BYTES + bytes.readInt32BE(at + LENGTH_AT)
    if (end > bytes.length) break
    if (end < at + BATCH_HEADER_BYTES) throw damaged(bytes, at, 'it is shorter than its head')
    const codec = findCodec(bytes.readInt16BE(at + ATTRIBUTES_AT))
    const records = bytes.subarray(at + BATCH_HEADER_BYTES, end)
    if (codec === null || records.length === 0) readRecords(records, bytes, at, messages)
    else {
      let unpacked: Buffer
      try {
        unpacked = await codec.decompress(records)
      } catch (error) {
        if (error instanceof Error && error.name === partialError) break
        throw error
      }
      readRecords(unpacked, bytes, at, messages)
    }
    at = end
  }
  return messages
}

/** @param bytes where the head of the batch lies, from `at` on */
function readRecords(records: Buffer, bytes: Buffer, at: number, messages: FetchedMessage[]): void {
  const attributes = bytes.readInt16BE(at + ATTRIBUTES_AT)
  const baseOffset = Number(bytes.readBigInt64BE(at))
  const firstTimestamp = Number(bytes.readBigInt64BE(at + BASE_TIMESTAMP_AT))
  const appendTime =
    (attributes & LOG_APPEND_TIME) === 0 ? undefined : Number(bytes.readBigInt64BE(at + MAX_TIMESTAMP_AT))
  const count = bytes.readInt32BE(at + COUNT_AT)
  if (count < 0 || count * MIN_RECORD_BYTES > records.length)
    throw damaged(bytes, at, `${records.length} bytes cannot be ${count} records`)
  const lastDelta = bytes.readInt32BE(at + LAST_OFFSET_DELTA_AT)
  // A broker takes a batch only when it has a record for each of its offsets, and does not look at what an unpacked record says of its own.
  const isWhole = count === lastDelta + 1
  const inTransaction = (attributes & IN_TRANSACTION) !== 0
  const context: BatchContext = {
    producerId: inTransaction ? String(bytes.readBigInt64BE(at + PRODUCER_ID_AT)) : '-1',
    inTransaction,
    isControlBatch: (attributes & IS_CONTROL) !== 0,
    lastOffset: baseOffset + lastDelta,
  }
  if (count === 0) messages.push(endOfEmptied(context, appendTime ?? firstTimestamp))
  const reader = new RecordReader(records, 0)
  let delta = -1
  for (let index = 0; index < count; index++) {
    const end = reader.beginRecord()
    const timestampDelta = reader.varint()
    const named = reader.varint()
    const keyAt = reader.at
    if (!reader.skipRest(end)) throw damaged(bytes, at, `its record ${index} is cut short`)
    if (isWhole) delta = index
    else if (named > delta && named <= lastDelta) delta = named
    else throw damaged(bytes, at, `its record ${index} names offset ${baseOffset + named}`)
    const appendTimeMs = appendTime ?? firstTimestamp + timestampDelta
    messages.push(new FetchedMessage(records, keyAt, end - keyAt, baseOffset + delta, appendTimeMs, context))
  }
}

/**
 * Compaction keeps the head of a batch that it has emptied when it is the last one of its producer. A consumer must go over it: of a fetch that brings
 * nothing else kafkajs would see nothing, and ask for the same again. So it ends in a control record, which nobody is shown.
 */
function endOfEmptied(context: BatchContext, appendTimeMs: number): FetchedMessage {
  const { length } = NO_RECORD
  const hidden = { ...context, isControlBatch: true }
  return new FetchedMessage(NO_RECORD, 0, length, context.lastOffset, appendTimeMs, hidden)
}

function damaged(bytes: Buffer, at: number, reason: string): Error {
  return new Error(`the record batch at offset ${bytes.readBigInt64BE(at)} is damaged: ${reason}`)
}

/** Reads record after record: length · attributes int8 · timestamp delta · offset delta · key · value · headers, all numbers varints. */
class RecordReader {
  at: number
  readonly #bytes: Buffer

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.at = at
  }

  /** Goes on to the timestamp delta. Where the record ends; not a number, or beyond the bytes, when it is damaged. */
  beginRecord(): number {
    const length = this.varint()
    const end = this.at + length
    this.at += 1
    return length > 0 ? end : Number.NaN
  }

  /** Goes from the key to the end of the record. False when it is not whole, or not what its lengths say. */
  skipRest(end: number): boolean {
    if (!(end <= this.#bytes.length)) return false
    if (!this.#skip(end) || !this.#skip(end)) return false
    for (let left = this.varint(); left !== 0; left--) {
      // Also what is not a number.
      if (!(left > 0) || !this.#skip(end) || !this.#skip(end)) return false
    }
    if (!(this.at <= end)) return false
    this.at = end
    return true
  }

  /** A key or a value: length −1 is null. */
  view(): Buffer | null {
    const length = this.varint()
    if (length < 0) return null
    const start = this.at
    this.at = start + length
    return this.#bytes.subarray(start, start + length)
  }

  /** As kafkajs gives them: a name that comes again has a list. */
  headers(): RecordHeaders {
    const count = this.varint()
    if (count === 0) return NO_HEADERS
    const headers: Record<string, HeaderValue> = {}
    for (let index = 0; index < count; index++) {
      const name = this.view()
      addHeader(headers, name === null ? '' : name.toString(), this.view())
    }
    return headers
  }

  /** A zigzag varint of up to 64 bits, exact within the safe integers; NaN beyond the end. */
  varint(): number {
    const bytes = this.#bytes
    const first = bytes[this.at]!
    if (first < 0x80) {
      this.at += 1
      return (first >>> 1) ^ -(first & 1)
    }
    const second = bytes[this.at + 1]!
    if (second < 0x80) {
      this.at += 2
      const short = (first & 0x7f) | (second << 7)
      return (short >>> 1) ^ -(short & 1)
    }
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[this.at++]
      if (byte === undefined) return Number.NaN
      value += (byte & 0x7f) * factor
      if (byte < 0x80) break
    }
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  #skip(end: number): boolean {
    const length = this.varint()
    if (length < 0) return true
    this.at += length
    return this.at <= end
  }
}

/** Not by spreading, as kafkajs does: the headers of one record may be a hundred thousand. */
function addHeader(headers: Record<string, HeaderValue>, name: string, value: Buffer | null): void {
  const known = Object.hasOwn(headers, name) ? headers[name] : undefined
  if (Array.isArray(known)) known.push(value)
  else {
    const all = known === undefined ? value : [known, value]
    // Not assigned: a header may have the name `__proto__`.
    Object.defineProperty(headers, name, { value: all, enumerable: true, configurable: true, writable: true })
  }
}
