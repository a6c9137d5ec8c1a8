import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import kafkajs from 'kafkajs'
import { compressFrame } from 'lz4-napi'
import { compressSync } from 'snappy'
import { decodeGzip, decodeLz4, decodeZstd, registerCodecs } from './codecs.ts'
import { lz4UnpackedBytes } from './lz4-size.ts'
import { decodeSnappy, encodeSnappy } from './snappy-framing.ts'
import { MAX_UNPACKED_BYTES } from './unpack-budget.ts'

const { CompressionCodecs, CompressionTypes } = kafkajs
const LIMIT = 1 << 20
const LIMITS = { maxBytes: LIMIT, expectedBytes: 100 }
const limitOf = (maxBytes: number) => ({ maxBytes, expectedBytes: 100 })

test('every registered codec gives back what it packed', async () => {
  registerCodecs()
  const data = fc.oneof(
    fc.uint8Array({ maxLength: 2_000 }),
    fc
      .tuple(fc.string({ maxLength: 50 }), fc.integer({ min: 0, max: 5_000 }))
      .map(([text, n]) => Buffer.from(text.repeat(n))),
  )
  for (const type of [
    CompressionTypes.GZIP,
    CompressionTypes.Snappy,
    CompressionTypes.LZ4,
    CompressionTypes.ZSTD,
  ] as const) {
    const codec = CompressionCodecs[type]()
    await fc.assert(
      fc.asyncProperty(data, async (bytes) => {
        const packed: Buffer = await codec.compress({ buffer: Buffer.from(bytes) })
        assert.deepEqual(Buffer.from(await codec.decompress(packed)), Buffer.from(bytes))
      }),
      { numRuns: 50 },
    )
  }
})

test('zstd frames that follow one another are all unpacked', async () => {
  const frames = ['eins', 'zwei'.repeat(1_000), ''].map((text) => zstdCompressSync(text))
  assert.equal((await decodeZstd(Buffer.concat(frames), LIMITS)).toString(), `eins${'zwei'.repeat(1_000)}`)
  await assert.rejects(decodeZstd(Buffer.concat([frames[0]!, Buffer.from('junk')]), LIMITS))
})

test('snappy is read in xerial framing, raw, and as several xerial streams', async () => {
  const text = Buffer.from('snappy '.repeat(10_000))
  const framed = await encodeSnappy(text)
  assert.deepEqual(await decodeSnappy(framed, LIMIT), text)
  assert.deepEqual(await decodeSnappy(compressSync(text), LIMIT), text)
  assert.deepEqual(await decodeSnappy(Buffer.concat([framed, framed]), LIMIT), Buffer.concat([text, text]))
})

test('snappy that is cut, or would unpack to more than the limit, is an error', async () => {
  const framed = await encodeSnappy(Buffer.alloc(100_000))
  await assert.rejects(decodeSnappy(framed.subarray(0, framed.length - 1), LIMIT), RangeError)
  await assert.rejects(decodeSnappy(framed.subarray(0, 18), LIMIT), RangeError)
  await assert.rejects(decodeSnappy(framed, 99_999), RangeError)
  await assert.rejects(decodeSnappy(compressSync(Buffer.alloc(100_000)), 99_999), RangeError)
})

test('the unpacked size of lz4 frames is told from their lengths, to the byte, however the content looks', async () => {
  const data = fc.oneof(
    fc.uint8Array({ maxLength: 3_000 }),
    fc
      .tuple(fc.string({ minLength: 1, maxLength: 300 }), fc.integer({ min: 0, max: 5_000 }))
      .map(([text, n]) => Buffer.from(text.repeat(n))),
  )
  await fc.assert(
    fc.asyncProperty(data, fc.boolean(), async (bytes, hasChecksums) => {
      const options = { blockChecksums: hasChecksums, contentChecksum: hasChecksums }
      const frame = await compressFrame(Buffer.from(bytes), options)
      assert.equal(lz4UnpackedBytes(frame, LIMIT * 4), bytes.length)
      // A frame that is left out, then the same again.
      const skipped = Buffer.from([0x53, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9])
      assert.equal(lz4UnpackedBytes(Buffer.concat([frame, skipped, frame]), LIMIT * 4), bytes.length * 2)
      const damaged = frame.subarray(0, frame.length - 3 - (hasChecksums ? 4 : 0))
      assert.throws(() => lz4UnpackedBytes(damaged, LIMIT * 4), RangeError)
    }),
    { numRuns: 100 },
  )
})

test('lz4 and gzip that would unpack to more than the limit are an error before they fill the memory', async () => {
  const zeros = Buffer.alloc(100_000)
  const packed = await compressFrame(zeros)
  assert.deepEqual(await decodeLz4(packed, limitOf(100_000)), zeros)
  await assert.rejects(decodeLz4(packed, limitOf(99_999)), RangeError)
  await assert.rejects(decodeLz4(Buffer.from('no frame at all'), LIMITS), RangeError)
  assert.deepEqual(await decodeGzip(gzipSync(zeros), limitOf(100_000)), zeros)
  await assert.rejects(decodeGzip(gzipSync(zeros), limitOf(99_999)), RangeError)
})

test('a batch of lz4 within the limit of a topic cannot fill the memory of a consumer', async () => {
  registerCodecs()
  const part = 64 * 1024 * 1024
  const frame = await compressFrame(Buffer.alloc(part))
  const bomb = Buffer.concat(Array.from({ length: MAX_UNPACKED_BYTES / part + 1 }, () => frame))
  assert.ok(bomb.length < 8 * 1024 * 1024)
  await assert.rejects(CompressionCodecs[CompressionTypes.LZ4]().decompress(bomb), RangeError)
})
