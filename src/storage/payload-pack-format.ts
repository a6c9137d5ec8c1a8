import { promisify } from 'node:util'
import { crc32, zstdCompress, zstdDecompress } from 'node:zlib'
import { SiderealError } from '../model/errors.ts'
import type { ObjectStore } from './object-store.ts'
import type { ZstdFrames } from './zstd-frames.ts'

/*
 * A pack: `docs/payloads.md` shows it byte for byte.
 *   stored bytes of payload 1 … n | index (zstd of JSON) | footer of 24 bytes
 * The footer: offset of the index (uint64 LE), its stored length (uint32 LE), crc32 of its stored bytes (uint32 LE), "SIDPACK1".
 */

/** Who a payload belongs to. */
export interface PayloadOwner {
  readonly sid: string
  readonly appId: string
}

/** One payload as the index of its pack names it. */
export interface PackedPayload {
  readonly offset: number
  readonly length: number
  readonly size: number
  readonly sha256: string
  readonly encoding: 'zstd' | 'identity'
  readonly owners: readonly PayloadOwner[]
}

const MAGIC = Buffer.from('SIDPACK1')
const FOOTER_BYTES = 24
/** A pack holds at most some ten thousand payloads; what claims more is no index. */
const MAX_INDEX_BYTES = 256 * 1024 * 1024

const compress = promisify(zstdCompress)
const decompress = promisify(zstdDecompress)

/** Compresses one value off the event loop; `identity` when that does not make it smaller. */
export async function encodePayload(
  value: Buffer,
  frames: ZstdFrames,
): Promise<{ bytes: Buffer; encoding: 'zstd' | 'identity' }> {
  const bytes = await frames.compress(value)
  return bytes.length < value.length ? { bytes, encoding: 'zstd' } : { bytes: value, encoding: 'identity' }
}

/** Gives back what `encodePayload` was given; throws when the bytes are not that. */
export async function decodePayload(
  bytes: Buffer,
  encoding: 'zstd' | 'identity',
  size: number,
): Promise<Buffer> {
  return encoding === 'identity' ? bytes : await decompress(bytes, { maxOutputLength: Math.max(size, 1) })
}

/** Index and footer of a pack whose payloads end at `indexOffset`. */
export async function encodePackTail(
  payloads: readonly PackedPayload[],
  indexOffset: number,
): Promise<Buffer> {
  const json = JSON.stringify({
    version: 1,
    payloads: payloads.map(({ offset, length, size, sha256, encoding, owners }) => ({
      offset,
      length,
      size,
      sha256,
      encoding,
      owners: owners.map((owner) => ({ sid: owner.sid, app_id: owner.appId })),
    })),
  })
  const index = await compress(Buffer.from(json))
  const footer = Buffer.alloc(FOOTER_BYTES)
  footer.writeBigUInt64LE(BigInt(indexOffset), 0)
  footer.writeUInt32LE(index.length, 8)
  footer.writeUInt32LE(crc32(index), 12)
  MAGIC.copy(footer, 16)
  return Buffer.concat([index, footer])
}

/** Reads the index of a pack: what is in it, and whose. Throws `SIDEREAL_PAYLOAD_CORRUPT` when it is no pack. */
export async function readPackIndex(
  store: ObjectStore,
  key: string,
  signal?: AbortSignal,
): Promise<PackedPayload[]> {
  const corrupt = (what: string, cause?: unknown): SiderealError =>
    new SiderealError('SIDEREAL_PAYLOAD_CORRUPT', `${key} in ${store.url} is no whole pack: ${what}.`, {
      cause,
    })
  const size = await store.size(key, signal)
  if (size < FOOTER_BYTES) throw corrupt('it is too short')
  const footer = await store.getRange(key, size - FOOTER_BYTES, FOOTER_BYTES, signal)
  if (!footer.subarray(16).equals(MAGIC)) throw corrupt('its end mark is absent')
  const offset = Number(footer.readBigUInt64LE(0))
  const length = footer.readUInt32LE(8)
  if (offset + length + FOOTER_BYTES !== size) throw corrupt('its footer does not fit its size')
  const index = await store.getRange(key, offset, length, signal)
  if (crc32(index) !== footer.readUInt32LE(12)) throw corrupt('its index has changed')
  try {
    return toPayloads(JSON.parse((await decompress(index, { maxOutputLength: MAX_INDEX_BYTES })).toString()))
  } catch (error) {
    throw corrupt('its index cannot be read', error)
  }
}

function toPayloads(index: unknown): PackedPayload[] {
  const payloads = field(index, 'payloads')
  if (!Array.isArray(payloads) || field(index, 'version') !== 1) throw new Error('unknown version')
  return payloads.map((payload: unknown) => {
    const owners = field(payload, 'owners')
    const encoding = field(payload, 'encoding')
    if (!Array.isArray(owners) || (encoding !== 'zstd' && encoding !== 'identity'))
      throw new Error('bad entry')
    return {
      offset: Number(field(payload, 'offset')),
      length: Number(field(payload, 'length')),
      size: Number(field(payload, 'size')),
      sha256: String(field(payload, 'sha256')),
      encoding,
      owners: owners.map((owner: unknown) => ({
        sid: String(field(owner, 'sid')),
        appId: String(field(owner, 'app_id')),
      })),
    }
  })
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? Object.entries(value).find(([key]) => key === name)?.[1]
    : undefined
}
