import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { KeyHasher, logKey, murmurHash3x32, nodeIdKey, nodeKey, spanKey, traceKey, xxHash32 } from './hash.ts'

const bytes = (text: string) => Buffer.from(text)

test('xxHash32 gives the published values', () => {
  assert.equal(xxHash32(bytes('')), 0x02cc5d05)
  assert.equal(xxHash32(bytes('a')), 0x550d7456)
  assert.equal(xxHash32(bytes('abc')), 0x32d153ff)
  assert.equal(xxHash32(bytes('Nobody inspects the spammish repetition')), 0xe2293b2f)
})

test('MurmurHash3 x86 32 gives the published values', () => {
  assert.equal(murmurHash3x32(bytes('')), 0)
  assert.equal(murmurHash3x32(bytes('test')), 0xba6bd213)
  assert.equal(murmurHash3x32(bytes('Hello, world!')), 0xc0363e43)
  assert.equal(murmurHash3x32(bytes('The quick brown fox jumps over the lazy dog')), 0x2e4ff723)
})

test('a part of a buffer hashes as the same bytes alone', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(20), (data, offset) => {
      const shifted = new Uint8Array(data.length + offset + 3)
      shifted.set(data, offset)
      assert.equal(xxHash32(shifted, offset, offset + data.length), xxHash32(data))
      assert.equal(murmurHash3x32(shifted, offset, offset + data.length), murmurHash3x32(data))
    }),
  )
})

test('keys from bytes equal keys from hex', () => {
  const id = (length: number) =>
    fc.uint8Array({ minLength: length, maxLength: length }).map((b) => Buffer.from(b))
  const hasher = new KeyHasher()
  const key = () => (BigInt(hasher.high) << 32n) | BigInt(hasher.low)
  fc.assert(
    fc.property(
      id(16),
      id(8),
      fc.nat(100_000),
      fc.string({ unit: 'binary', maxLength: 200 }),
      (long, short, place, text) => {
        const utf8 = Buffer.from(text)
        const all = Buffer.concat([long, short, utf8])
        hasher.setTrace(all, 0)
        hasher.trace()
        assert.equal(key(), traceKey(long.toString('hex')))
        hasher.span(all, 16)
        assert.equal(key(), spanKey(long.toString('hex'), short.toString('hex')))
        hasher.bytes(all, 0, 16)
        assert.equal(key(), logKey(long.toString('hex')))
        hasher.node(all, 0, place)
        assert.equal(key(), nodeKey(long.toString('hex'), place))
        hasher.nodeId(all, 0, 24, all.length)
        assert.equal(key(), nodeIdKey(long.toString('hex'), text))
      },
    ),
  )
})

test('the state of a trace id is kept only for the same trace id', () => {
  const hasher = new KeyHasher()
  const data = Buffer.alloc(33)
  data[31] = 1
  assert.equal(hasher.setTrace(data, 0), true)
  assert.equal(hasher.setTrace(data, 0), false)
  assert.equal(hasher.setTrace(data, 16), true)
  hasher.trace()
  assert.equal((BigInt(hasher.high) << 32n) | BigInt(hasher.low), traceKey(data.toString('hex', 16, 32)))
})
