import assert from 'node:assert/strict'
import { test } from 'node:test'
import { moment, range } from './numbers.ts'

test('offsets are one number or two, the second not below the first', () => {
  assert.deepEqual(range('12'), { first: 12, last: 12 })
  assert.deepEqual(range('10-20'), { first: 10, last: 20 })
  for (const text of ['', '-1', '20-10', '1-', 'a', '1.5', '99999999999999999999']) {
    assert.throws(() => range(text), /whole number/, text)
  }
})

test('a moment is a time, or a duration before now; a bare number is neither', () => {
  assert.equal(moment('2026-05-01T12:00:00Z'), Date.UTC(2026, 4, 1, 12))
  assert.equal(moment('2026-05-01'), Date.UTC(2026, 4, 1))
  const before = Date.now() - 1_800_000
  const halfAnHourAgo = moment('30m')
  assert.ok(halfAnHourAgo >= before && halfAnHourAgo <= Date.now() - 1_800_000)
  for (const text of ['', '1700000000000', '2026-13-45', 'yesterday', '3x']) {
    assert.throws(() => moment(text), /must be a time/, text)
  }
})
