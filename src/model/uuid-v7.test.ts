import assert from 'node:assert/strict'
import { test } from 'node:test'
import { uuidV7, uuidV7TimeMs } from './uuid-v7.ts'

test('a UUIDv7 has the form of RFC 9562 and gives its time back', () => {
  for (const nowMs of [0, 1, 1_759_000_000_123, 2 ** 48 - 1]) {
    const id = uuidV7(nowMs)
    assert.match(id, /^[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$/)
    assert.equal(uuidV7TimeMs(id), nowMs)
  }
})

test('UUIDs of one millisecond differ', () => {
  const ids = new Set(Array.from({ length: 10_000 }, () => uuidV7(1_759_000_000_123)))
  assert.equal(ids.size, 10_000)
})

test('an id of another kind has no time', () => {
  assert.equal(uuidV7TimeMs('0123456789ab4def8123456789abcdef'), undefined)
  assert.equal(uuidV7TimeMs('0123456789ab7defc123456789abcdef'), undefined)
  assert.equal(uuidV7TimeMs('0123456789AB7DEF8123456789ABCDEF'), undefined)
  assert.equal(uuidV7TimeMs('x'), undefined)
})
