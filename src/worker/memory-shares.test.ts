import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryShares } from './memory-shares.ts'

const MIB = 1024 * 1024

test('the shares leave room for the runtime, and a batch fits its share twice and more', () => {
  for (const megabytes of [64, 256, 400, 512, 4096]) {
    const shares = memoryShares(megabytes * MIB)
    // What is beyond 400 MB is memory of open traces, but for a tenth.
    const room = 0.4 * Math.min(400, megabytes) + 0.9 * Math.max(0, megabytes - 400)
    assert.ok(shares.openBytes + shares.undeliveredBytes < room * MIB)
    assert.ok(shares.batchBytes * 3 <= shares.undeliveredBytes)
    assert.ok(shares.fetchPartitionBytes <= shares.fetchBytes)
  }
})

test('1.3 GB have room for 100,000 open traces of 12 spans', () => {
  // Encoded bytes, 500 of the trace, 250 of each of its three records (docs/operations.md).
  const traceBytes = 12 * 628 + 500 + 3 * 250
  assert.ok(memoryShares(1_300_000_000).openBytes > 98_000 * traceBytes)
  assert.ok(memoryShares(400_000_000).openBytes > 11_000 * traceBytes)
})
