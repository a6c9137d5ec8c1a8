import assert from 'node:assert/strict'
import { test } from 'node:test'
import { zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import kafkajs from 'kafkajs'
import { compressSync } from 'snappy'
import { decodeZstd, registerCodecs } from './codecs.ts'
import { decodeSnappy, encodeSnappy } from './snappy-framing.ts'

const { CompressionCodecs, CompressionTypes } = kafkajs
const LIMIT = 1 << 20
const LIMITS = { maxBytes: LIMIT, expectedBytes: 100 }

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
