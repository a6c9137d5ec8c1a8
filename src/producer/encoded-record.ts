import type { RecordKind } from './delivery-counts.ts'

/** A record that is ready but for its schema id. */
export interface EncodedRecord {
  readonly kind: RecordKind
  readonly sid: string
  /** Framed; the schema id is filled in when it is sent, since the registry may be away when the record is made. */
  readonly framed: Buffer
  /** Spans in it; 1 for a log. */
  readonly items: number
}

/** What a record takes beside its bytes, generously. */
const RECORD_OVERHEAD_BYTES = 200

/** Bytes that a record counts for in memory. */
export function sizeOf(record: EncodedRecord): number {
  return record.framed.length + RECORD_OVERHEAD_BYTES
}
