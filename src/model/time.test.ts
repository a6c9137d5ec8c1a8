import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  clampedEndMs,
  clampedStartMs,
  clampTimes,
  clampTimesMs,
  FLAG_END_BEFORE_START,
  FLAG_END_OUT_OF_RANGE,
  FLAG_START_REPLACED,
  isTimeInRange,
  MAX_TIME_NS,
  MIN_TIME_NS,
  TimeClamp,
} from './time.ts'

const NOW = 1_759_000_000_000_000_000n
const INT64_MIN = -(2n ** 63n)
const INT64_MAX = 2n ** 63n - 1n

test('times within the range stay as they are', () => {
  assert.deepEqual(clampTimes(NOW, NOW + 5n), { startNs: NOW, endNs: NOW + 5n, durationNs: 5n, flags: 0 })
  assert.equal(clampTimes(MIN_TIME_NS, MIN_TIME_NS).flags, 0)
  assert.equal(clampTimes(MAX_TIME_NS - 1n, MAX_TIME_NS - 1n).flags, 0)
})

test('a start outside the range becomes the end, else an event, else 2000-01-01', () => {
  for (const start of [0n, -1n, MIN_TIME_NS - 1n, MAX_TIME_NS, INT64_MIN, INT64_MAX]) {
    assert.deepEqual(clampTimes(start, NOW, [NOW - 9n]), {
      startNs: NOW,
      endNs: NOW,
      durationNs: 0n,
      flags: FLAG_START_REPLACED,
    })
    assert.equal(clampTimes(start, 0n, [1n, NOW, NOW - 9n]).startNs, NOW)
    assert.equal(clampTimes(start, start, [1n, MAX_TIME_NS]).startNs, MIN_TIME_NS)
  }
})

test('an end before the start, or outside the range, makes a duration of 0', () => {
  const before = clampTimes(NOW, NOW - 1n)
  assert.deepEqual([before.endNs, before.durationNs, before.flags], [NOW, 0n, FLAG_END_BEFORE_START])
  const beyond = clampTimes(NOW, INT64_MAX)
  assert.deepEqual([beyond.endNs, beyond.durationNs, beyond.flags], [NOW, 0n, FLAG_END_OUT_OF_RANGE])
})

test('millisecond times follow the same rule', () => {
  assert.deepEqual(clampTimesMs(1_759_000_000_000, 1_759_000_000_850), {
    startNs: NOW,
    endNs: NOW + 850_000_000n,
    durationNs: 850_000_000n,
    flags: 0,
  })
  assert.equal(clampTimesMs(Number.MAX_SAFE_INTEGER, -1).startNs, MIN_TIME_NS)
})

test('the rule for halves agrees with the rule for BigInt on any int64', () => {
  const nearby = fc
    .tuple(fc.constantFrom(0n, MIN_TIME_NS, MAX_TIME_NS, NOW), fc.bigInt(-3n, 3n))
    .map(([a, b]) => a + b)
  const time = fc.oneof(nearby, fc.bigInt(INT64_MIN, INT64_MAX), fc.bigInt(MIN_TIME_NS, MAX_TIME_NS))
  const high = (t: bigint) => Number(BigInt.asIntN(64, t) >> 32n)
  const low = (t: bigint) => Number(t & 0xffffffffn)
  const join = (h: number, l: number) => (BigInt(h) << 32n) | BigInt(l)
  const clamp = new TimeClamp()
  fc.assert(
    fc.property(time, time, fc.array(time, { maxLength: 3 }), (start, end, events) => {
      const event = events.find((t) => isTimeInRange(high(t), low(t))) ?? 0n
      clamp.clamp(high(start), low(start), high(end), low(end), high(event), low(event))
      const expected = clampTimes(start, end, events)
      assert.equal(join(clamp.startHigh, clamp.startLow), expected.startNs)
      assert.equal(join(clamp.endHigh, clamp.endLow), expected.endNs)
      assert.equal(clamp.flags, expected.flags)
    }),
    { numRuns: 2000 },
  )
})

test('the rule for milliseconds without BigInt agrees as well', () => {
  const nearby = fc
    .tuple(
      fc.constantFrom(
        0,
        Number(MIN_TIME_NS / 1_000_000n),
        Number(MAX_TIME_NS / 1_000_000n),
        1_759_000_000_000,
      ),
      fc.integer({ min: -3, max: 3 }),
    )
    .map(([a, b]) => a + b)
  const time = fc.oneof(nearby, fc.maxSafeInteger())
  fc.assert(
    fc.property(time, time, (start, end) => {
      const expected = clampTimesMs(start, end)
      assert.equal(BigInt(clampedStartMs(start, end)) * 1_000_000n, expected.startNs)
      assert.equal(BigInt(clampedEndMs(start, end)) * 1_000_000n, expected.endNs)
    }),
    { numRuns: 2000 },
  )
})
