import { constants, crc32, deflateRawSync, inflateRawSync } from 'node:zlib'
import { base64Capacity, packBytes, packedCapacity, unpackBytes } from './ledger-text.ts'
import { SettledSet } from './settled-set.ts'

/**
 * The ledger: the settled offsets above a committed watermark, as the metadata string of that very commit.
 *
 * Form: `s1`, one letter for the text (`b` base64url, `p` and `q` 14 bits a character, without and with a spare byte), then the
 * bytes: kind, CRC-32, payload. The CRC also covers topic, partition and watermark, so that a string which a tool copied to
 * another offset (a mirrored group) is ignored and not believed. A string that cannot be read costs repeated work, never a record.
 */
const PREFIX = 's1'
const HEAD_CHARACTERS = PREFIX.length + 1
const HEAD_BYTES = 5

const KIND_BITMAP = 0
const KIND_RUNS = 1
const DEFLATED = 2

/** Beyond so many offsets above the watermark nothing is written down: the work of encoding stays bounded. */
export const MAX_LEDGER_SPAN = 4 * 1024 * 1024
const MAX_LEDGER_BYTES = MAX_LEDGER_SPAN * 2
/** So few bytes fit into 31 characters as they are; a deflate costs 13 µs of CPU, and 0.2 MB for its compressor (measured with 16 bytes, Node 24). */
const MIN_DEFLATE_BYTES = 16
/** Above this size only the likelier of bitmap and run lengths is deflated. */
const TRY_ALL_BYTES = 16 * 1024

/** Offsets that are tried first: as many times those that fit uncompressed, and at least so many. */
const FIRST_SPAN_RATIO = 4
const MIN_FIRST_SPAN = 4_096

export interface LedgerPlace {
  readonly topic: string
  readonly partition: number
}

export interface LedgerLimits {
  /** Characters that the string may have (`offset.metadata.max.bytes` of the broker, 4,096 by default). */
  readonly maxCharacters: number
  /** True = 14 bits a character may be used where base64 is too long. */
  readonly mayPack: boolean
}

export interface EncodedLedger {
  readonly metadata: string
  /** Settled offsets at or above this one were left out. */
  readonly coveredTo: number
  readonly isPacked: boolean
}

/** Why a metadata string was not read: `empty` is normal, `foreign` is of another tool or a later version, `damaged` failed its checks. */
export type LedgerProblem = 'foreign' | 'damaged'

/**
 * Writes down the settled offsets above the watermark. What does not fit is left out, highest offsets (youngest fragments) first.
 * Base64 is preferred where it fits: every broker takes it, and it is shorter on the wire.
 */
export function encodeLedger(set: SettledSet, place: LedgerPlace, limits: LedgerLimits): EncodedLedger {
  const { watermark, end } = set
  const nothing = { metadata: '', coveredTo: watermark, isPacked: false }
  if (end === watermark) return nothing
  const base64Limit = base64Capacity(limits.maxCharacters - HEAD_CHARACTERS)
  const packedLimit = limits.mayPack ? packedCapacity(limits.maxCharacters - HEAD_CHARACTERS) : 0
  const limit = Math.max(base64Limit, packedLimit)
  // From what can fit up, and not from the whole span down: a long span that does not compress would be packed only to be cut to a fraction.
  const most = Math.min(end, watermark + MAX_LEDGER_SPAN)
  let to = Math.min(most, watermark + Math.max(MIN_FIRST_SPAN, limit * 8 * FIRST_SPAN_RATIO))
  let longest = nothing
  let isShrinking = false
  for (let round = 0; round < 48 && to > longest.coveredTo; round++) {
    const body = encodeBody(set, place, to)
    if (body.length <= limit) {
      const isPacked = body.length > base64Limit
      longest = { metadata: PREFIX + toText(body, isPacked), coveredTo: to, isPacked }
      if (isShrinking || to === most) break
      to = Math.min(most, watermark + (to - watermark) * 2)
    } else {
      isShrinking = true
      const share = limit < HEAD_BYTES ? 0 : Math.min(0.9, (limit / body.length) * 0.99)
      to = watermark + Math.floor((to - watermark) * share)
    }
  }
  return longest
}

/** Reads a metadata string that was committed together with `watermark`. Never throws. */
export function decodeLedger(
  metadata: string | null | undefined,
  place: LedgerPlace,
  watermark: number,
): { set: SettledSet; problem: LedgerProblem | undefined } {
  if (metadata === null || metadata === undefined || metadata === '') {
    return { set: new SettledSet(watermark), problem: undefined }
  }
  if (!metadata.startsWith(PREFIX)) return { set: new SettledSet(watermark), problem: 'foreign' }
  const body = fromText(metadata.slice(PREFIX.length))
  const set = body === undefined ? undefined : decodeBody(body, place, watermark)
  return set === undefined
    ? { set: new SettledSet(watermark), problem: 'damaged' }
    : { set, problem: undefined }
}

function encodeBody(set: SettledSet, place: LedgerPlace, to: number): Buffer {
  const base = set.watermark - (set.watermark % 32)
  const runs = encodeRuns(set, to)
  const bitmapLength = Math.ceil((to - base) / 8)
  const candidates: { kind: number; bytes: Uint8Array }[] = []
  if (runs.length <= TRY_ALL_BYTES || runs.length < bitmapLength * 2) {
    candidates.push({ kind: KIND_RUNS, bytes: runs })
    if (runs.length > MIN_DEFLATE_BYTES) {
      candidates.push({ kind: KIND_RUNS | DEFLATED, bytes: deflate(runs) })
    }
  }
  if (bitmapLength <= TRY_ALL_BYTES || bitmapLength < runs.length * 2) {
    const bitmap = set.copyBits(base, to)
    candidates.push({ kind: KIND_BITMAP, bytes: bitmap })
    if (bitmap.length > MIN_DEFLATE_BYTES) {
      candidates.push({ kind: KIND_BITMAP | DEFLATED, bytes: deflate(bitmap) })
    }
  }
  let best = candidates[0]!
  for (const candidate of candidates) if (candidate.bytes.length < best.bytes.length) best = candidate
  const body = Buffer.allocUnsafe(HEAD_BYTES + best.bytes.length)
  body[0] = best.kind
  body.set(best.bytes, HEAD_BYTES)
  body.writeUInt32BE(checksum(body, place, set.watermark), 1)
  return body
}

function decodeBody(body: Uint8Array, place: LedgerPlace, watermark: number): SettledSet | undefined {
  const buffer = Buffer.from(body.buffer, body.byteOffset, body.length)
  if (buffer.length < HEAD_BYTES || buffer.readUInt32BE(1) !== checksum(buffer, place, watermark))
    return undefined
  const kind = buffer[0]!
  if (kind > (KIND_RUNS | DEFLATED)) return undefined
  const payload = buffer.subarray(HEAD_BYTES)
  const bytes = (kind & DEFLATED) === 0 ? payload : inflate(payload)
  if (bytes === undefined) return undefined
  const set = new SettledSet(watermark)
  const isRead = (kind & KIND_RUNS) === 0 ? readBitmap(bytes, set) : readRuns(bytes, set)
  // The watermark is unsettled by definition: a set that says otherwise is not ours.
  return isRead && set.watermark === watermark ? set : undefined
}

/** Run lengths from the watermark on, unsettled and settled in turn, each a varint. */
function encodeRuns(set: SettledSet, to: number): Uint8Array {
  let bytes = new Uint8Array(1_024)
  let length = 0
  let at = set.watermark
  let isSettledRun = false
  while (at < to) {
    const next = isSettledRun ? Math.min(to, set.nextUnsettled(at)) : set.nextSettled(at)
    if (next >= to && !isSettledRun) break
    if (length + 8 > bytes.length) {
      const grown = new Uint8Array(bytes.length * 2)
      grown.set(bytes)
      bytes = grown
    }
    let run = next - at
    while (run >= 0x80) {
      bytes[length++] = (run & 0x7f) | 0x80
      run >>>= 7
    }
    bytes[length++] = run
    at = next
    isSettledRun = !isSettledRun
  }
  return bytes.subarray(0, length)
}

function readRuns(bytes: Uint8Array, set: SettledSet): boolean {
  let at = set.watermark
  const limit = at + MAX_LEDGER_SPAN
  let isSettledRun = false
  for (let i = 0; i < bytes.length; ) {
    let run = 0
    let shift = 0
    let byte: number
    do {
      if (i === bytes.length || shift > 28) return false
      byte = bytes[i++]!
      run += (byte & 0x7f) * 2 ** shift
      shift += 7
    } while (byte >= 0x80)
    if (run === 0 || at + run > limit) return false
    if (isSettledRun) set.settleRange(at, at + run)
    at += run
    isSettledRun = !isSettledRun
  }
  return true
}

function readBitmap(bytes: Uint8Array, set: SettledSet): boolean {
  const watermark = set.watermark
  const base = watermark - (watermark % 32)
  if (bytes.length * 8 > MAX_LEDGER_SPAN + 64) return false
  const offsets: number[] = []
  for (let i = 0; i < bytes.length; i++) {
    for (let byte = bytes[i]!; byte !== 0; byte &= byte - 1) {
      const offset = base + i * 8 + 31 - Math.clz32(byte & -byte)
      if (offset >= watermark) offsets.push(offset)
    }
  }
  set.settle(offsets)
  return true
}

function checksum(body: Buffer, place: LedgerPlace, watermark: number): number {
  const seed = crc32(`${place.topic}/${place.partition}/${watermark}/${body[0]}`)
  return crc32(body.subarray(HEAD_BYTES), seed)
}

function deflate(bytes: Uint8Array): Buffer {
  return deflateRawSync(bytes, { level: bytes.length > TRY_ALL_BYTES ? 4 : constants.Z_DEFAULT_COMPRESSION })
}

function inflate(bytes: Uint8Array): Uint8Array | undefined {
  try {
    return inflateRawSync(bytes, { maxOutputLength: MAX_LEDGER_BYTES })
  } catch {
    // Damaged or hostile input; the caller counts it.
    return undefined
  }
}

function toText(body: Buffer, isPacked: boolean): string {
  if (!isPacked) return `b${body.toString('base64url')}`
  const text = packBytes(body)
  return (packedCapacity(text.length) === body.length ? 'p' : 'q') + text
}

function fromText(text: string): Uint8Array | undefined {
  const letter = text[0]
  const rest = text.slice(1)
  if (letter === 'b') return Buffer.from(rest, 'base64url')
  if (letter === 'p') return unpackBytes(rest, packedCapacity(rest.length))
  if (letter === 'q') return unpackBytes(rest, packedCapacity(rest.length) - 1)
  return undefined
}
