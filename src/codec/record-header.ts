import { isUtf8 } from 'node:buffer'
import { SiderealError } from '../model/errors.ts'
import { NO_DAY } from '../model/time.ts'
import { KeyHits } from './watched-keys.ts'

const MAX_SID_BYTES = 256

/** What assembly has to know of a record. Filled by `RecordType.inspect` and reused between records: read it before the next call. */
export class RecordHeader {
  sid = ''
  /** Where the SID lies in the bytes of the record. */
  sidAt = 0
  sidLength = 0
  /** Spans of a batch, or nodes of a log. */
  rowCount = 0
  /** True when a string that may be offloaded is over the payload limit. */
  hasLargeValue = false
  /**
   * UTC day (since 1970) on which every span of a batch starts; {@link NO_DAY} when there is no such day in the range of
   * `model/time.ts`, or when its resource or scope holds a payload reference.
   */
  day = NO_DAY
  /** Bytes of the record that each of its rows says again: those of resource, scope, uid and chat id. */
  repeatedBytes = 0
  /** True when a key that is watched (`RecordTypeOptions.watchedKeys`) occurs: {@link keyHits} says which and where, and means nothing otherwise. */
  hasWatchedKey = false
  readonly keyHits = new KeyHits()
  /** `batch_id` or `log_id`, 16 bytes. */
  readonly recordIdBytes = Buffer.alloc(16)

  /** `batch_id` or `log_id` in hex. */
  get recordId(): string {
    return this.recordIdBytes.toString('hex')
  }

  set(
    b: Buffer,
    sidAt: number,
    sidLength: number,
    idAt: number,
    rowCount: number,
    hasLargeValue: boolean,
    day: number,
    repeatedBytes: number,
  ): void {
    if (sidLength === 0 || sidLength > MAX_SID_BYTES) {
      throw new SiderealError(
        'SIDEREAL_RECORD_INVALID',
        `the record's SID has ${sidLength} bytes; 1 to ${MAX_SID_BYTES} are allowed`,
      )
    }
    const end = sidAt + sidLength
    let bits = 0
    for (let i = sidAt; i < end; i++) bits |= b[i]!
    // Nearly always ASCII, which needs no view to be told and a cheaper call to be read.
    if (bits > 0x7f && !isUtf8(b.subarray(sidAt, end)))
      throw new SiderealError('SIDEREAL_RECORD_INVALID', 'the record’s SID is not UTF-8')
    this.sid = b.toString(bits > 0x7f ? 'utf8' : 'latin1', sidAt, end)
    this.sidAt = sidAt
    this.sidLength = sidLength
    for (let i = 0; i < 16; i++) this.recordIdBytes[i] = b[idAt + i]!
    this.rowCount = rowCount
    this.hasLargeValue = hasLargeValue
    this.day = day
    this.repeatedBytes = repeatedBytes
    this.hasWatchedKey = false
  }
}
