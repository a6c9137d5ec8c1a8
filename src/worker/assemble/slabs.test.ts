import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type SlabPlace, SlabPool } from './slabs.ts'

function place(storedBytes: number): SlabPlace {
  return { slab: null, start: 0, storedBytes, isPinned: false }
}

function read(at: SlabPlace): Buffer {
  assert.ok(at.slab !== null)
  return at.slab.buffer.subarray(at.start, at.start + at.storedBytes)
}

test('what was stored is read back the same through any order of stores, pins, releases and compactions', () => {
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ op: fc.constant('store' as const), size: fc.integer({ min: 0, max: 900 }) }),
    },
    { weight: 4, arbitrary: fc.record({ op: fc.constant('release' as const), at: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('pin' as const), at: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('compact' as const) }) },
  )
  fc.assert(
    fc.property(fc.array(step, { minLength: 50, maxLength: 400 }), (steps) => {
      const pool = new SlabPool({ slabBytes: 1024, maxFreeSlabs: 2 })
      const live: { place: SlabPlace; bytes: Buffer; view: Buffer | null }[] = []
      let fill = 0
      for (const action of steps) {
        if (action.op === 'store') {
          fill += 1
          const bytes = Buffer.alloc(action.size, fill % 251)
          const at = place(action.size)
          pool.store(at, bytes)
          live.push({ place: at, bytes, view: null })
        } else if (action.op === 'compact') {
          pool.compact()
        } else {
          const index = action.at % Math.max(1, live.length)
          const entry = live[index]
          if (entry === undefined) continue
          if (action.op === 'pin') {
            pool.pin(entry.place)
            entry.view = read(entry.place)
          } else {
            pool.release(entry.place)
            pool.release(entry.place)
            live.splice(index, 1)
          }
        }
        for (const entry of live) {
          assert.ok(read(entry.place).equals(entry.bytes))
          if (entry.view !== null)
            assert.ok(entry.view.equals(entry.bytes), 'a pinned record moved or was overwritten')
        }
        assert.equal(
          pool.liveBytes,
          live.reduce((sum, entry) => sum + entry.bytes.length, 0),
        )
        assert.ok(pool.allocatedBytes >= pool.liveBytes)
      }
      for (const entry of live) pool.release(entry.place)
      assert.equal(pool.liveBytes, 0)
      assert.ok(pool.allocatedBytes <= 3 * 1024, `empty pool holds ${pool.allocatedBytes}`)
    }),
    { numRuns: 60 },
  )
})

test('a few long-lived records do not hold the slabs that the others left', () => {
  const pool = new SlabPool({ slabBytes: 64 * 1024, maxFreeSlabs: 0 })
  const bytes = Buffer.alloc(1024)
  const survivors: SlabPlace[] = []
  for (let i = 0; i < 6400; i++) {
    const at = place(1024)
    pool.store(at, bytes)
    if (i % 64 === 0) survivors.push(at)
    else pool.release(at)
  }
  assert.ok(pool.allocatedBytes >= 90 * 64 * 1024, 'each slab is held by its one survivor')
  const copied = pool.compact()
  assert.ok(copied <= 100 * 1024)
  assert.ok(pool.allocatedBytes <= 4 * 64 * 1024, `${pool.allocatedBytes} bytes for 100 KB`)
  assert.equal(pool.liveBytes, survivors.length * 1024)
})

test('slabs that stay free are given back, those that are used again and again are kept', () => {
  const pool = new SlabPool({ slabBytes: 1024 })
  const fill = (): SlabPlace[] =>
    Array.from({ length: 40 }, () => {
      const at = place(256)
      pool.store(at, Buffer.alloc(256))
      return at
    })
  for (const at of fill()) pool.release(at)
  pool.shrink()
  for (const at of fill()) pool.release(at)
  pool.shrink()
  assert.ok(pool.allocatedBytes >= 9 * 1024, 'ten slabs were in use since the last call')
  pool.shrink()
  assert.ok(pool.allocatedBytes <= 1024, `${pool.allocatedBytes} bytes for nothing`)
})
