import type { DeadLetterReason } from '../../src/model/dead-letter.ts'

export interface BadRecord {
  readonly what: string
  readonly reason: DeadLetterReason
  readonly key: string | null
  readonly value: Buffer | null
}

export interface GoodRecords {
  /** The key of both, and the SID in them. */
  readonly sid: string
  readonly spans: Buffer
  readonly log: Buffer
  /** Of a schema that is neither. */
  readonly foreignSchemaId: number
}

/** Every way to be bad that a sender has, made from a good record. */
export function badRecords({ sid, spans, log, foreignSchemaId }: GoodRecords): BadRecord[] {
  const changed = (at: number, byte: number) => {
    const value = Buffer.from(spans)
    value[at] = byte
    return value
  }
  const withSchema = (id: number) => {
    const value = Buffer.from(spans)
    value.writeUInt32BE(id, 1)
    return value
  }
  const bad = (
    what: string,
    reason: DeadLetterReason,
    value: Buffer | null,
    key: string | null = sid,
  ): BadRecord => ({ what, reason, key, value })
  return [
    bad('garbage', 'bad_frame', Buffer.from('{"sid":"json, as the services of today send it"}')),
    bad('garbage of a megabyte', 'bad_frame', Buffer.alloc(1024 * 1024, 0xa5)),
    bad('nothing at all', 'bad_frame', Buffer.alloc(0)),
    bad('half a frame', 'bad_frame', spans.subarray(0, 4)),
    bad('another magic byte', 'bad_frame', changed(0, 1)),
    bad('a schema id that nobody registered', 'schema_unknown', withSchema(987_654)),
    bad('the schema of something else', 'schema_unusable', withSchema(foreignSchemaId)),
    bad('a frame without a record', 'record_invalid', spans.subarray(0, 5)),
    bad('a batch that is cut', 'record_invalid', spans.subarray(0, spans.length - 9)),
    bad('a batch that is cut after its SID', 'record_invalid', spans.subarray(0, 14)),
    bad('bytes after the record', 'record_invalid', Buffer.concat([spans, Buffer.from('more')])),
    bad('a log that is cut', 'record_invalid', log.subarray(0, log.length - 3)),
    bad('a length beyond the record', 'record_invalid', changed(5, 0xfe)),
    bad('zeros behind the frame', 'record_invalid', Buffer.concat([spans.subarray(0, 5), Buffer.alloc(200)])),
    bad('no key', 'null_key', spans, null),
    bad('a tombstone', 'tombstone', null),
    bad('a key that is not the SID', 'key_mismatch', spans, 'another'),
    bad('an empty key', 'key_mismatch', spans, ''),
    bad('the SID in other letters', 'key_mismatch', spans, sid.toUpperCase()),
  ]
}
