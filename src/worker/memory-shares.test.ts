import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryShares } from './memory-shares.ts'

const MIB = 1024 * 1024

test('the shares leave room for the runtime, and a batch fits its share twice and more', () => {
  for (const megabytes of [64, 256, 400, 512, 4096]) {
    const shares = memoryShares(megabytes * MIB)
    assert.ok(shares.openBytes + shares.undeliveredBytes < 0.4 * megabytes * MIB)
    assert.ok(shares.batchBytes * 3 <= shares.undeliveredBytes)
    assert.ok(shares.fetchPartitionBytes <= shares.fetchBytes)
  }
})
