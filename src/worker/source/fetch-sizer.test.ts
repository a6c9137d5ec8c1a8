import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FetchSizer, RECORD_COST_BYTES } from './fetch-sizer.ts'

const MIB = 1024 * 1024
const LIMITS = { maxBytes: 8 * MIB, maxBytesPerPartition: MIB }
const SHARE = 20 * MIB

/** Fetches of one kind of data until the size settles; gives what the last one took in memory. */
function memoryOfFetch(sizer: FetchSizer, ratio: number, recordBytes: number): number {
  let memory = 0
  for (let fetches = 0; fetches < 40; fetches++) {
    const { maxBytes } = sizer.next(6)
    const unpackedBytes = maxBytes * ratio
    const records = unpackedBytes / recordBytes
    sizer.note({ plainBytes: 0, packedBytes: maxBytes, unpackedBytes, records })
    memory = unpackedBytes + records * RECORD_COST_BYTES
  }
  return memory
}

test('what a fetch becomes in memory fits the share, for any ratio and any size of records', () => {
  const ratio = fc.double({ min: 1, max: 250, noNaN: true })
  fc.assert(
    fc.property(ratio, fc.integer({ min: 500, max: 5_000_000 }), (packing, recordBytes) => {
      assert.ok(memoryOfFetch(new FetchSizer(LIMITS, SHARE), packing, recordBytes) <= SHARE * 1.01)
    }),
  )
})

test('cheap data is fetched in full size again after dear data', () => {
  const sizer = new FetchSizer(LIMITS, SHARE)
  memoryOfFetch(sizer, 100, 1_000_000)
  assert.ok(sizer.next(1).maxBytes < MIB)
  memoryOfFetch(sizer, 1, 1_000_000)
  assert.equal(sizer.next(1).maxBytes, LIMITS.maxBytes)
})

test('the first fetch is small: nothing is known of the data', () => {
  assert.ok(new FetchSizer(LIMITS, SHARE).next(6).maxBytes <= MIB)
})
