import { crc32c } from './crc32c.ts'
import {
  ATTRIBUTES_AT,
  BASE_TIMESTAMP_AT,
  COUNT_AT,
  CRC_AT,
  LAST_OFFSET_DELTA_AT,
  LEADER_EPOCH_AT,
  LENGTH_AT,
  MAGIC,
  MAGIC_AT,
  MAX_TIMESTAMP_AT,
  PRODUCER_ID_AT,
} from './record-batch-layout.ts'

/** What Kafka's log takes of a record. The timestamp is the batch's. */
export interface BatchRecord {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers?: Readonly<Record<string, HeaderValue | undefined>> | undefined
}
type HeaderValue = Buffer | string | readonly (Buffer | string)[]

const NULL = -1
/** Attributes and timestamp delta, both 0. */
const ZERO_BYTES = 2

/** Bytes that {@link writeRecords} will write. */
export function recordsSize(records: readonly BatchRecord[]): number {
  let bytes = 0
  for (let i = 0; i < records.length; i++) {
    const size = recordSize(records[i]!, i)
    bytes += varintSize(size) + size
  }
  return bytes
}

/** Writes records with offset deltas from 0, as they lie in a batch before compression; gives the end. The target must have room. */
export function writeRecords(target: Buffer, start: number, records: readonly BatchRecord[]): number {
  let at = start
  for (let i = 0; i < records.length; i++) {
    const { key, value, headers } = records[i]!
    at = writeVarint(target, at, recordSize(records[i]!, i))
    target[at++] = 0
    target[at++] = 0
    at = writeVarint(target, at, i)
    at = writeBytes(target, at, key)
    at = writeBytes(target, at, value)
    at = writeHeaders(target, at, headers)
  }
  return at
}

/**
 * Writes the head of a batch, checksum included, in front of its records, which already lie there: as they are or compressed.
 * @param codec Kafka's number of the compression
 * @param count records in the batch
 * @param end end of the records
 */
export function writeBatchHeader(
  target: Buffer,
  start: number,
  { codec, count, end, nowMs }: { codec: number; count: number; end: number; nowMs: number },
): void {
  const now = BigInt(nowMs)
  // Base offset: the broker's to give.
  target.fill(0, start, start + LENGTH_AT)
  target.writeInt32BE(end - start - LEADER_EPOCH_AT, start + LENGTH_AT)
  target.writeInt32BE(NULL, start + LEADER_EPOCH_AT)
  target[start + MAGIC_AT] = MAGIC
  target.writeInt16BE(codec, start + ATTRIBUTES_AT)
  target.writeInt32BE(count - 1, start + LAST_OFFSET_DELTA_AT)
  target.writeBigInt64BE(now, start + BASE_TIMESTAMP_AT)
  target.writeBigInt64BE(now, start + MAX_TIMESTAMP_AT)
  // No idempotent producer: -1 in all its fields.
  target.fill(0xff, start + PRODUCER_ID_AT, start + COUNT_AT)
  target.writeInt32BE(count, start + COUNT_AT)
  target.writeUInt32BE(crc32c(target, start + ATTRIBUTES_AT, end), start + CRC_AT)
}

function recordSize({ key, value, headers }: BatchRecord, offsetDelta: number): number {
  const head = ZERO_BYTES + varintSize(offsetDelta)
  return head + bytesSize(key) + bytesSize(value) + headersSize(headers)
}

function bytesSize(bytes: Buffer | null): number {
  return bytes === null ? varintSize(NULL) : varintSize(bytes.length) + bytes.length
}

function headersSize(headers: BatchRecord['headers']): number {
  if (headers === undefined) return 1
  let count = 0
  let bytes = 0
  for (const [name, value] of headersOf(headers)) {
    const nameBytes = Buffer.byteLength(name)
    const valueBytes = typeof value === 'string' ? Buffer.byteLength(value) : value.length
    bytes += varintSize(nameBytes) + nameBytes + varintSize(valueBytes) + valueBytes
    count++
  }
  return varintSize(count) + bytes
}

function writeHeaders(target: Buffer, start: number, headers: BatchRecord['headers']): number {
  if (headers === undefined) {
    target[start] = 0
    return start + 1
  }
  const all = [...headersOf(headers)]
  let at = writeVarint(target, start, all.length)
  for (const [name, value] of all) {
    at = writeBytes(target, at, Buffer.from(name))
    at = writeBytes(target, at, typeof value === 'string' ? Buffer.from(value) : value)
  }
  return at
}

/** A header with several values is written once for each. */
function* headersOf(headers: NonNullable<BatchRecord['headers']>): Generator<[string, Buffer | string]> {
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue
    if (typeof value === 'string' || Buffer.isBuffer(value)) yield [name, value]
    else for (const one of value) yield [name, one]
  }
}

function writeBytes(target: Buffer, start: number, bytes: Buffer | null): number {
  if (bytes === null) return writeVarint(target, start, NULL)
  const at = writeVarint(target, start, bytes.length)
  target.set(bytes, at)
  return at + bytes.length
}

function varintSize(value: number): number {
  const rest = zigzag(value)
  return rest < 0x80 ? 1 : rest < 0x4000 ? 2 : rest < 0x200000 ? 3 : rest < 0x10000000 ? 4 : 5
}

function writeVarint(target: Buffer, start: number, value: number): number {
  let at = start
  let rest = zigzag(value)
  while (rest > 0x7f) {
    target[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  target[at++] = rest
  return at
}

function zigzag(value: number): number {
  return ((value << 1) ^ (value >> 31)) >>> 0
}
