import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../model/manual-clock.ts'
import { silentLogger } from '../telemetry/logger.ts'
import { MemoryGuard, memoryShares } from './memory.ts'

test('the shares leave room for the runtime, and a batch fits its share twice and more', () => {
  for (const megabytes of [64, 256, 512, 4096]) {
    const shares = memoryShares(megabytes * 1024 * 1024)
    assert.ok(shares.openBytes + shares.undeliveredBytes < 0.5 * megabytes * 1024 * 1024)
    assert.ok(shares.batchBytes * 3 <= shares.undeliveredBytes)
    assert.ok(shares.fetchPartitionBytes <= shares.fetchBytes)
  }
})

test('over the limit the shares shrink to half at most, and grow back under it', async () => {
  const clock = new ManualClock()
  const scales: number[] = []
  let rssBytes = 600
  const guard = new MemoryGuard({
    maxMemoryBytes: 512,
    clock,
    logger: silentLogger,
    readRss: () => rssBytes,
    onScale: (scale) => void scales.push(scale),
  })
  guard.start()
  await clock.advance(30_500)
  assert.equal(guard.scale, 0.5)
  rssBytes = 400
  await clock.advance(30_000)
  assert.equal(guard.scale, 1)
  const told = scales.length
  await clock.advance(10_000)
  assert.equal(scales.length, told, 'nobody is told when nothing changes')
  guard.close()
  rssBytes = 600
  await clock.advance(10_000)
  assert.equal(guard.scale, 1)
})
