import assert from 'node:assert/strict'
import { test } from 'node:test'
import { median, medianFigures } from './median.ts'
import { slopeOf } from './slope.ts'

test('a median is the value in the middle, or the mean of the two there', () => {
  assert.equal(median([30, 10, 20]), 20)
  assert.equal(median([40, 10, 20, 30]), 25)
  assert.deepEqual(
    medianFigures([
      { cpu: 1, rss: 30 },
      { cpu: 9, rss: 10 },
      { cpu: 2, rss: 20 },
    ]),
    { cpu: 2, rss: 20 },
  )
  assert.throws(() => medianFigures([]), /no run/)
})

test('a slope is found under noise that goes both ways alike', () => {
  const points = Array.from({ length: 600 }, (_, second) => ({
    x: second / 60,
    y: 300 + 2 * (second / 60) + (second % 2 === 0 ? 40 : -40),
  }))
  assert.ok(Math.abs(slopeOf(points) - 2) < 0.1, String(slopeOf(points)))
  // A saw, as garbage collection makes it, that ends at its top.
  const saw = points.map(({ x }, second) => ({ x, y: 300 + ((second + 1) % 60) / 6 }))
  assert.ok(Math.abs(slopeOf(saw)) < 0.2, String(slopeOf(saw)))
})
