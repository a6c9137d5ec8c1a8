import { promisify } from 'node:util'
import { constants, gunzip, gzip, zstdCompress, zstdCompressSync, zstdDecompress } from 'node:zlib'
import kafkajs, { type CompressionTypes } from 'kafkajs'
import { compressFrame, decompressFrame } from 'lz4-napi'
import { lz4UnpackedBytes } from './lz4-size.ts'
import { decodeSnappy, encodeSnappy } from './snappy-framing.ts'
import { budgeted, UnpackedTooLarge, type UnpackLimits } from './unpack-budget.ts'

// Node finds no named exports here: kafkajs is CommonJS and builds them at run time.
const { CompressionCodecs: codecs, CompressionTypes: types } = kafkajs

/** What a producer may be told to use. */
export const COMPRESSIONS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
export type Compression = (typeof COMPRESSIONS)[number]

const TYPES: Record<Compression, CompressionTypes> = {
  none: types.None,
  gzip: types.GZIP,
  snappy: types.Snappy,
  lz4: types.LZ4,
  zstd: types.ZSTD,
}

/** kafkajs's number for a codec. */
export function compressionType(compression: Compression): CompressionTypes {
  return TYPES[compression]
}

interface Encoded {
  readonly buffer: Buffer
}

const compressGzip = promisify(gzip)
const compressZstdInPool = promisify(zstdCompress)

/** Level 1: half the CPU of the default for a few per cent of size. */
const ZSTD_PARAMS = { [constants.ZSTD_c_compressionLevel]: 1 }
/** Up to this the way to the thread pool and back takes more CPU than the packing, which is 0.1 ms. */
const MAX_SYNC_BYTES = 64 * 1024

function compressZstd(input: Buffer): Buffer | Promise<Buffer> {
  // With the size known, zstd takes tables of that size, and not those of half a megabyte.
  const options = { params: ZSTD_PARAMS, pledgedSrcSize: input.length }
  return input.length <= MAX_SYNC_BYTES
    ? zstdCompressSync(input, options)
    : compressZstdInPool(input, options)
}

/** Packs the records of one batch: small ones at once, others in the thread pool, which reads `input` until the promise resolves. */
export function compressBatch(compression: Compression, input: Buffer): Buffer | Promise<Buffer> {
  switch (compression) {
    case 'none':
      return input
    case 'gzip':
      return compressGzip(input)
    case 'snappy':
      return encodeSnappy(input)
    case 'lz4':
      // The Java client refuses frames whose blocks depend on one another; this library writes independent ones.
      return compressFrame(input)
    case 'zstd':
      return compressZstd(input)
  }
}

/** Node's own size of a piece. Each is a turn of the thread pool, and all are joined at the end: so the first should be large enough. */
const MIN_CHUNK_BYTES = 16 * 1024

/** One frame of zstd and how many bytes of the input it took. */
function decompressZstdFrame(
  input: Buffer,
  limits: UnpackLimits,
): Promise<{ output: Buffer; consumed: number }> {
  return new Promise((resolve, reject) => {
    const options = { info: true, maxOutputLength: limits.maxBytes, chunkSize: chunkSizeFor(limits) }
    zstdDecompress(input, options, (error, result) => {
      if (error !== null) return reject(tooLargeOr(error))
      // With `info` Node hands back the engine too, which its types do not say.
      const { buffer, engine } = result as unknown as { buffer: Buffer; engine: { bytesWritten: number } }
      resolve({ output: buffer, consumed: engine.bytesWritten })
    })
  })
}

/** Unpacks all frames: Node stops after the first one, without an error, and the rest of a batch would be lost. */
export async function decodeZstd(input: Buffer, { maxBytes, expectedBytes }: UnpackLimits): Promise<Buffer> {
  const frames: Buffer[] = []
  let rest = input
  let total = 0
  while (rest.length > 0) {
    // Node takes no limit of 0; an empty frame may still follow.
    const limits = { maxBytes: Math.max(1, maxBytes - total), expectedBytes }
    const { output, consumed } = await decompressZstdFrame(rest, limits)
    if (consumed <= 0) throw new RangeError('zstd frame of no length')
    total += output.length
    if (total > maxBytes) throw new UnpackedTooLarge('zstd frames unpack to more than the limit')
    frames.push(output)
    rest = rest.subarray(consumed)
  }
  return frames.length === 1 ? frames[0]! : Buffer.concat(frames)
}

/** kafkajs's own has no limit. */
export function decodeGzip(input: Buffer, limits: UnpackLimits): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const options = { maxOutputLength: limits.maxBytes, chunkSize: chunkSizeFor(limits) }
    gunzip(input, options, (error, output) => (error === null ? resolve(output) : reject(tooLargeOr(error))))
  })
}

export async function decodeLz4(input: Buffer, { maxBytes }: UnpackLimits): Promise<Buffer> {
  if (lz4UnpackedBytes(input, maxBytes) > maxBytes) {
    throw new UnpackedTooLarge('lz4 frames unpack to more than the limit')
  }
  return decompressFrame(input)
}

/** A quarter more than expected: what is not used is never touched, so it takes no memory. */
function chunkSizeFor({ maxBytes, expectedBytes }: UnpackLimits): number {
  return Math.min(Math.max(MIN_CHUNK_BYTES, Math.ceil(expectedBytes * 1.25)), maxBytes + MIN_CHUNK_BYTES)
}

function tooLargeOr(error: NodeJS.ErrnoException): Error {
  return error.code === 'ERR_BUFFER_TOO_LARGE' ? new UnpackedTooLarge(error.message) : error
}

/**
 * Teaches kafkajs snappy, lz4 and zstd (it knows gzip only, and a batch in an unknown codec stops a consumer for good), each within
 * the budget of its fetch. A producer may change its codec at any time, so all are registered before the first connection.
 * Calling it again changes nothing.
 */
export function registerCodecs(): void {
  codecs[types.GZIP] = () => ({
    compress: async (encoded: Encoded) => compressBatch('gzip', encoded.buffer),
    decompress: budgeted(decodeGzip),
  })
  codecs[types.Snappy] = () => ({
    compress: async (encoded: Encoded) => compressBatch('snappy', encoded.buffer),
    decompress: budgeted((input, { maxBytes }) => decodeSnappy(input, maxBytes)),
  })
  codecs[types.LZ4] = () => ({
    compress: async (encoded: Encoded) => compressBatch('lz4', encoded.buffer),
    decompress: budgeted(decodeLz4),
  })
  codecs[types.ZSTD] = () => ({
    compress: async (encoded: Encoded) => compressBatch('zstd', encoded.buffer),
    decompress: budgeted(decodeZstd),
  })
}
