import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { zstdDecompressSync } from 'node:zlib'
import fc from 'fast-check'
import { ZstdFrames } from './zstd-frames.ts'

test('each value is a frame of its own, whatever went through the compressor before', async () => {
  const frames = new ZstdFrames()
  const anyValue = fc.oneof(
    fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
    fc
      .tuple(fc.string({ minLength: 1 }), fc.nat(20_000))
      .map(([text, times]) => Buffer.from(text.repeat(times))),
    // More than a chunk of output, and more than a few.
    fc.constantFrom(64, 200, 2_000).map((kib) => randomBytes(kib * 1024)),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(anyValue, { maxLength: 12 }), async (values) => {
      for (const value of values) {
        const frame = await frames.compress(value)
        assert.ok(zstdDecompressSync(frame).equals(value))
      }
    }),
    { numRuns: 60 },
  )
})
