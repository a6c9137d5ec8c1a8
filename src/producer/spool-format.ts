import { crc32 } from 'node:zlib'
import { BODY_START } from '../codec/wire.ts'
import { RECORD_KINDS } from './delivery-counts.ts'
import type { EncodedRecord } from './encoded-record.ts'

/** A record with its place in the order of its process. */
export interface NumberedRecord extends EncodedRecord {
  readonly number: number
}

/** First bytes of a segment; the last one is the version of the format. */
export const SEGMENT_MAGIC = Buffer.from('SDRSPL\0\x01', 'latin1')

/** Whether a segment is one of another version: it is nobody's to remove who cannot read it. */
export function isOfOtherVersion(bytes: Buffer): boolean {
  const last = SEGMENT_MAGIC.length - 1
  return (
    bytes.length > last &&
    bytes.subarray(0, last).equals(SEGMENT_MAGIC.subarray(0, last)) &&
    bytes[last] !== SEGMENT_MAGIC[last]
  )
}

/** Length and CRC-32 of the body, then the body: kind, items, number, length of the SID, SID, framed record. Big-endian. */
const PREFIX_BYTES = 8
const FIXED_BODY_BYTES = 1 + 4 + 8 + 2
/** More than any topic takes: a length over it is damage. */
const MAX_BODY_BYTES = 64 * 1024 * 1024

/**
 * The bytes of a record in a segment, in two parts so that the record itself is not copied. The five bytes with the schema id are written as
 * zeros: the record may be on its way at the same time, and get its id while it is written.
 */
export function encodeSpoolRecord(record: NumberedRecord): [Buffer, Buffer] {
  const sid = Buffer.from(record.sid, 'utf8')
  const value = record.framed.subarray(BODY_START)
  const head = Buffer.alloc(PREFIX_BYTES + FIXED_BODY_BYTES + sid.length + BODY_START)
  let at = PREFIX_BYTES
  at = head.writeUInt8(RECORD_KINDS.indexOf(record.kind), at)
  at = head.writeUInt32BE(record.items, at)
  at = head.writeDoubleBE(record.number, at)
  at = head.writeUInt16BE(sid.length, at)
  sid.copy(head, at)
  head.writeUInt32BE(head.length - PREFIX_BYTES + value.length, 0)
  head.writeUInt32BE(crc32(value, crc32(head.subarray(PREFIX_BYTES))), 4)
  return [head, value]
}

export interface ParsedSegment {
  readonly records: NumberedRecord[]
  /** Places at which something is not as it was written: a torn end, or damage on disk. */
  readonly damages: number
}

/**
 * Reads the records of a segment. A process that is killed while it writes leaves a torn end; a record whose bytes have changed is left out by
 * itself. The records are views of `bytes`.
 */
export function parseSegment(bytes: Buffer): ParsedSegment {
  const records: NumberedRecord[] = []
  if (bytes.length === 0) return { records, damages: 0 }
  if (!bytes.subarray(0, SEGMENT_MAGIC.length).equals(SEGMENT_MAGIC)) return { records, damages: 1 }
  let damages = 0
  let at = SEGMENT_MAGIC.length
  while (at < bytes.length) {
    const bodyAt = at + PREFIX_BYTES
    const length = bodyAt <= bytes.length ? bytes.readUInt32BE(at) : 0
    const end = bodyAt + length
    // Behind a length that cannot be right no further record can be found.
    if (length < FIXED_BODY_BYTES || length > MAX_BODY_BYTES || end > bytes.length) {
      damages += 1
      break
    }
    const body = bytes.subarray(bodyAt, end)
    const record = crc32(body) === bytes.readUInt32BE(at + 4) ? parseBody(body) : undefined
    if (record === undefined) damages += 1
    else records.push(record)
    at = end
  }
  return { records, damages }
}

function parseBody(body: Buffer): NumberedRecord | undefined {
  const kind = RECORD_KINDS[body.readUInt8(0)]
  const framedAt = FIXED_BODY_BYTES + body.readUInt16BE(13)
  if (kind === undefined || framedAt > body.length) return undefined
  return {
    kind,
    items: body.readUInt32BE(1),
    number: body.readDoubleBE(5),
    sid: body.toString('utf8', FIXED_BODY_BYTES, framedAt),
    framed: body.subarray(framedAt),
  }
}
