import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SettledSet } from './settled-set.ts'

const base = fc.constantFrom(0, 1, 31, 32, 4_095, 4_096, 123_456, 2 ** 40 + 17)

test('the watermark is the lowest unsettled offset, in whatever order offsets settle', () => {
  fc.assert(
    fc.property(base, fc.array(fc.nat(9_000), { maxLength: 300 }), fc.nat(9_000), (start, picks, dense) => {
      const set = new SettledSet(start)
      const model = new Set<number>()
      for (let i = 0; i < dense; i++) picks.push(dense - 1 - i)
      for (const pick of picks) {
        set.settle([start + pick])
        model.add(start + pick)
      }
      let watermark = start
      while (model.has(watermark)) watermark += 1
      assert.equal(set.watermark, watermark)
      assert.equal(set.countAbove, [...model].filter((offset) => offset > watermark).length)
      for (let offset = start; offset < start + 9_100; offset += 7) {
        assert.equal(set.has(offset), model.has(offset))
      }
    }),
    { numRuns: 60 },
  )
})

test('runs found by nextSettled and nextUnsettled are exactly what was settled', () => {
  fc.assert(
    fc.property(
      base,
      fc.array(fc.tuple(fc.nat(20_000), fc.nat(6_000)), { maxLength: 20 }),
      (start, ranges) => {
        const set = new SettledSet(start)
        const model = new Set<number>()
        for (const [from, length] of ranges) {
          let fresh = 0
          for (let offset = start + from; offset < start + from + length; offset++) {
            if (!model.has(offset)) fresh += 1
            model.add(offset)
          }
          assert.equal(set.settleRange(start + from, start + from + length), fresh)
        }
        let at = set.watermark
        assert.equal(model.has(at), false)
        while (at < set.end) {
          const from = set.nextSettled(at)
          for (let offset = at; offset < from; offset++) assert.equal(model.has(offset), false)
          at = set.nextUnsettled(from)
          for (let offset = from; offset < at; offset++) assert.equal(model.has(offset), true)
        }
      },
    ),
    { numRuns: 60 },
  )
})

test('a gap of a billion offsets settles at once and the watermark passes it', () => {
  const set = new SettledSet(10)
  assert.equal(set.settleRange(20, 1_000_000_020), 1_000_000_000)
  assert.equal(set.watermark, 10)
  set.settleRange(10, 20)
  assert.equal(set.watermark, 1_000_000_020)
  assert.equal(set.countAbove, 0)
})

test('a gap from the watermark on takes no memory, however long: retention may have passed all that a group had not read', () => {
  const set = new SettledSet(10)
  set.settle([12, 5_000])
  const end = 2 ** 50
  assert.equal(set.settleRange(3, end), end - 10 - 2)
  assert.deepEqual([set.watermark, set.end, set.countAbove], [end, end, 0])
  assert.deepEqual([set.has(end - 1), set.has(end)], [true, false])
  assert.equal(set.settle([end + 1]), true)
  assert.equal(set.settleRange(end - 5, end + 1), 1)
  assert.deepEqual([set.watermark, set.countAbove], [end + 2, 0])
  assert.equal(set.settleRange(0, 100), 0)
})

test('offsets below the watermark stay settled and change nothing', () => {
  const set = new SettledSet(100)
  assert.equal(set.settle([5, 99]), false)
  assert.equal(set.has(5), true)
  assert.equal(set.watermark, 100)
})
