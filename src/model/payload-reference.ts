/**
 * What stands in the place of a string value that was moved to object storage, or cut.
 * A typed value of its own: a string is never parsed as a reference.
 */
export class PayloadReference {
  /** Object key of the pack that holds the value; `null` when the value was cut and is nowhere (only hash and preview are left). */
  readonly key: string | null
  /** Byte range in the pack: the stored (encoded) bytes. */
  readonly offset: number
  readonly length: number
  /** Bytes of UTF-8 of the original value. */
  readonly size: number
  /** sha256 of the original UTF-8 bytes, lower-case hex. Compare payloads by this, never by key. */
  readonly sha256: string
  /** How the stored bytes are encoded. */
  readonly encoding: 'zstd' | 'identity'
  /** Beginning of the value, cut on a UTF-8 boundary. */
  readonly preview: string

  constructor(fields: {
    key: string | null
    offset: number
    length: number
    size: number
    sha256: string
    encoding: 'zstd' | 'identity'
    preview: string
  }) {
    this.key = fields.key
    this.offset = fields.offset
    this.length = fields.length
    this.size = fields.size
    this.sha256 = fields.sha256
    this.encoding = fields.encoding
    this.preview = fields.preview
  }
}

/** A string that may have been moved to object storage. */
export type OffloadableString = string | PayloadReference
