import { promisify } from 'node:util'
import { constants, gzip, unzip, zstdCompress, zstdDecompress } from 'node:zlib'
import kafkajs, { type CompressionTypes } from 'kafkajs'
import { compressFrame, decompressFrame } from 'lz4-napi'
import { lz4UnpackedBytes } from './lz4-size.ts'
import { decodeSnappy, encodeSnappy } from './snappy-framing.ts'

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

/** The largest record batch that is unpacked. Kafka's own limit counts compressed bytes, so a small batch could fill the memory. */
export const MAX_UNPACKED_BYTES = 512 * 1024 * 1024

interface Encoded {
  readonly buffer: Buffer
}

const compressZstd = promisify(zstdCompress)
const compressGzip = promisify(gzip)
const decompressGzip = promisify(unzip)

/** One frame of zstd and how many bytes of the input it took. */
function decompressZstdFrame(input: Buffer): Promise<{ output: Buffer; consumed: number }> {
  return new Promise((resolve, reject) => {
    const options = { info: true, maxOutputLength: MAX_UNPACKED_BYTES }
    zstdDecompress(input, options, (error, result) => {
      if (error !== null) return reject(error)
      // With `info` Node hands back the engine too, which its types do not say.
      const { buffer, engine } = result as unknown as { buffer: Buffer; engine: { bytesWritten: number } }
      resolve({ output: buffer, consumed: engine.bytesWritten })
    })
  })
}

/** Unpacks all frames: Node stops after the first one, without an error, and the rest of a batch would be lost. */
export async function decodeZstd(input: Buffer): Promise<Buffer> {
  const frames: Buffer[] = []
  let rest = input
  let total = 0
  while (rest.length > 0) {
    const { output, consumed } = await decompressZstdFrame(rest)
    if (consumed <= 0) throw new RangeError('zstd frame of no length')
    total += output.length
    if (total > MAX_UNPACKED_BYTES) throw new RangeError('zstd frames unpack to more than the limit')
    frames.push(output)
    rest = rest.subarray(consumed)
  }
  return frames.length === 1 ? frames[0]! : Buffer.concat(frames)
}

/** @throws RangeError (of zlib, too) when it unpacks to more than `maxBytes` */
export async function decodeGzip(input: Buffer, maxBytes: number = MAX_UNPACKED_BYTES): Promise<Buffer> {
  return await decompressGzip(input, { maxOutputLength: maxBytes })
}

/** @throws RangeError when it unpacks to more than `maxBytes` */
export async function decodeLz4(input: Buffer, maxBytes: number = MAX_UNPACKED_BYTES): Promise<Buffer> {
  if (lz4UnpackedBytes(input, maxBytes) > maxBytes) {
    throw new RangeError('lz4 frame unpacks to more than the limit')
  }
  return await decompressFrame(input)
}

/**
 * Teaches kafkajs snappy, lz4 and zstd (it knows gzip only, without a limit, and a batch in an unknown codec stops a consumer for good). A producer may
 * change its codec at any time, so all are registered before the first connection. Calling it again changes nothing.
 */
export function registerCodecs(): void {
  codecs[types.GZIP] = () => ({
    compress: (encoded: Encoded) => compressGzip(encoded.buffer),
    decompress: (input: Buffer) => decodeGzip(input),
  })
  codecs[types.Snappy] = () => ({
    compress: (encoded: Encoded) => encodeSnappy(encoded.buffer),
    decompress: (input: Buffer) => decodeSnappy(input, MAX_UNPACKED_BYTES),
  })
  codecs[types.LZ4] = () => ({
    // The Java client refuses frames whose blocks depend on one another; this library writes independent ones.
    compress: (encoded: Encoded) => compressFrame(encoded.buffer),
    decompress: (input: Buffer) => decodeLz4(input),
  })
  codecs[types.ZSTD] = () => ({
    // Level 1: half the CPU of the default for a few per cent of size.
    compress: (encoded: Encoded) =>
      compressZstd(encoded.buffer, { params: { [constants.ZSTD_c_compressionLevel]: 1 } }),
    decompress: decodeZstd,
  })
}
