import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rowVersion } from './version.ts'

test('the highest revision wins, then the latest append time', () => {
  assert.equal(rowVersion(0, 1_759_000_000_000), 1_759_000_000_000n)
  assert.equal(rowVersion(3, 5), 3n * 2n ** 48n + 5n)
  assert.ok(rowVersion(1, 0) > rowVersion(0, 2 ** 48 - 1))
  assert.ok(rowVersion(1, 2) > rowVersion(1, 1))
})

test('a version always fits into a UInt64', () => {
  assert.equal(rowVersion(2 ** 31 - 1, 2 ** 53), 2n ** 64n - 1n)
  assert.equal(rowVersion(-1, -1), 0n)
})
