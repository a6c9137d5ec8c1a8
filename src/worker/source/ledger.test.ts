import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeLedger, encodeLedger } from './ledger.ts'
import { packBytes, packedCapacity, unpackBytes } from './ledger-text.ts'
import { SettledSet } from './settled-set.ts'

const place = { topic: 'sidereal.traces.v1', partition: 3 }

/** Random trace-like settling: a few offsets stay open, the others settle in random order. */
const settledSets = fc
  .record({
    start: fc.constantFrom(0, 7, 31, 4_096, 2 ** 33 + 5),
    span: fc.integer({ min: 1, max: 30_000 }),
    openShare: fc.double({ min: 0, max: 1, noNaN: true }),
    seed: fc.integer(),
  })
  .map(({ start, span, openShare, seed }) => {
    const set = new SettledSet(start)
    let state = seed >>> 0
    const offsets: number[] = []
    for (let i = 1; i < span; i++) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      if (state / 2 ** 32 >= openShare) offsets.push(start + i)
    }
    set.settle(offsets)
    return set
  })

const limits = fc.record({
  maxCharacters: fc.constantFrom(0, 3, 8, 16, 64, 4_096),
  mayPack: fc.boolean(),
})

test('what is read back is what was settled, up to one offset and nothing beyond it', () => {
  fc.assert(
    fc.property(settledSets, limits, (set, limit) => {
      const encoded = encodeLedger(set, place, limit)
      assert.ok(encoded.metadata.length <= limit.maxCharacters)
      const { set: read, problem } = decodeLedger(encoded.metadata, place, set.watermark)
      assert.equal(problem, undefined)
      assert.equal(read.watermark, set.watermark)
      for (let offset = set.watermark; offset < set.end; offset++) {
        assert.equal(read.has(offset), offset < encoded.coveredTo && set.has(offset), `offset ${offset}`)
      }
      if (limit.maxCharacters === 4_096 && limit.mayPack) assert.equal(encoded.coveredTo, set.end)
    }),
    { numRuns: 150 },
  )
})

test('64 characters still carry the oldest settled offsets', () => {
  const set = new SettledSet(1_000)
  const bits = createHash('sha512').update('any bits without a pattern').digest()
  for (let i = 0; i < 512; i++) if (((bits[i >> 3]! >> (i & 7)) & 1) === 1) set.settle([1_001 + i])
  const encoded = encodeLedger(set, place, { maxCharacters: 64, mayPack: false })
  assert.ok(encoded.coveredTo > 1_250 && encoded.coveredTo < set.end)
  const packed = encodeLedger(set, place, { maxCharacters: 64, mayPack: true })
  assert.ok(packed.coveredTo > encoded.coveredTo)
})

test('a long span that does not compress is not packed as a whole to be cut then, and one that does is kept whole', () => {
  const span = 1 << 20
  /** Counts what is looked at. */
  class CountedSet extends SettledSet {
    bits = 0
    override copyBits(from: number, to: number): Uint8Array {
      this.bits += to - from
      return super.copyBits(from, to)
    }
  }
  const limit = { maxCharacters: 4_096, mayPack: true }
  const random = new CountedSet(0)
  let state = 7
  const offsets: number[] = []
  for (let i = 1; i < span; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    if (state >= 2 ** 31) offsets.push(i)
  }
  random.settle(offsets)
  const { coveredTo } = encodeLedger(random, place, limit)
  assert.ok(coveredTo > 50_000, `${coveredTo} offsets`)
  assert.ok(random.bits < span / 2, `${random.bits} bits copied`)

  const whole = new SettledSet(0)
  whole.settleRange(1, span)
  assert.equal(encodeLedger(whole, place, limit).coveredTo, span)
  assert.equal(encodeLedger(whole, place, { maxCharacters: 64, mayPack: false }).coveredTo, span)
})

test('base64 is used where it fits, 14 bits a character only where it does not', () => {
  const set = new SettledSet(0)
  set.settle([5, 6, 9])
  assert.match(encodeLedger(set, place, { maxCharacters: 4_096, mayPack: true }).metadata, /^s1b[\w-]+$/)
})

test('any string is survived, and none of them settles a record', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary', maxLength: 200 }),
        fc.string({ maxLength: 200 }).map((text) => `s1b${text}`),
        fc.string({ unit: 'binary', maxLength: 100 }).map((text) => `s1q${text}`),
        fc.uint8Array({ maxLength: 300 }).map((bytes) => `s1p${packBytes(bytes)}`),
        fc.uint8Array({ maxLength: 300 }).map((bytes) => `s1b${Buffer.from(bytes).toString('base64url')}`),
      ),
      (text) => {
        const { set } = decodeLedger(text, place, 50)
        assert.equal(set.watermark, 50)
        assert.equal(set.end, 50)
      },
    ),
    { numRuns: 2_000 },
  )
})

test('a ledger that was copied to another offset, partition or topic is not believed', () => {
  const set = new SettledSet(1_000)
  set.settle([1_001, 1_005])
  const { metadata } = encodeLedger(set, place, { maxCharacters: 4_096, mayPack: true })
  assert.equal(decodeLedger(metadata, place, 1_001).problem, 'damaged')
  assert.equal(decodeLedger(metadata, { ...place, partition: 4 }, 1_000).problem, 'damaged')
  assert.equal(decodeLedger(metadata, { ...place, topic: 'copy' }, 1_000).problem, 'damaged')
  assert.equal(decodeLedger(metadata, place, 1_000).set.has(1_005), true)
})

test('a changed character is noticed', () => {
  const set = new SettledSet(1_000)
  set.settle(Array.from({ length: 300 }, (_, i) => 1_003 + i * 3))
  const { metadata } = encodeLedger(set, place, { maxCharacters: 4_096, mayPack: true })
  for (let i = 3; i < metadata.length - 1; i++) {
    const other = metadata[i] === 'A' ? 'B' : 'A'
    const changed = metadata.slice(0, i) + other + metadata.slice(i + 1)
    assert.equal(decodeLedger(changed, place, 1_000).problem, 'damaged', `character ${i}`)
  }
})

test('no metadata is an empty ledger, another version is foreign', () => {
  assert.equal(decodeLedger(null, place, 5).problem, undefined)
  assert.equal(decodeLedger('', place, 5).problem, undefined)
  assert.equal(decodeLedger('s2bAAAA', place, 5).problem, 'foreign')
})

test('packing 14 bits a character loses nothing', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      const text = packBytes(bytes)
      assert.equal(Buffer.from(text, 'utf8').toString('utf8'), text)
      assert.ok(packedCapacity(text.length) - bytes.length <= 1)
      assert.deepEqual(unpackBytes(text, bytes.length), bytes)
    }),
  )
})
