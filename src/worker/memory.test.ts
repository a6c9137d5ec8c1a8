import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../model/manual-clock.ts'
import { silentLogger } from '../telemetry/logger.ts'
import { MemoryGuard } from './memory.ts'

/** A guard with a limit of 1,000 bytes, and what it was told to do. */
class GuardBench {
  readonly clock = new ManualClock()
  readonly scales: number[] = []
  readonly pauses: boolean[] = []
  collections = 0
  thorough = 0
  rssBytes = 0
  isIdle = false
  /** What a collection gives back. */
  garbageBytes = 0
  readonly guard = new MemoryGuard({
    maxMemoryBytes: 1_000,
    clock: this.clock,
    logger: silentLogger,
    readRss: () => this.rssBytes,
    collectGarbage: (isThorough) => {
      this.collections += 1
      if (isThorough) this.thorough += 1
      this.rssBytes -= this.garbageBytes
      this.garbageBytes = 0
    },
    onScale: (scale) => void this.scales.push(scale),
    onPause: (isPaused) => void this.pauses.push(isPaused),
    isIdle: () => this.isIdle,
  })

  async at(rssBytes: number, ms: number): Promise<void> {
    this.rssBytes = rssBytes
    await this.clock.advance(ms)
  }
}

test('near the limit the shares shrink to half at most, and grow back under it', async () => {
  const bench = new GuardBench()
  bench.guard.start()
  await bench.at(1_100, 30_500)
  assert.equal(bench.guard.scale, 0.5)
  await bench.at(700, 30_000)
  assert.equal(bench.guard.scale, 1)
  const told = bench.scales.length
  await bench.clock.advance(10_000)
  assert.equal(bench.scales.length, told, 'nobody is told when nothing changes')
  bench.guard.close()
  await bench.at(1_100, 10_000)
  assert.equal(bench.guard.scale, 1)
})

test('garbage is collected before reading pauses, and not again before more has come', async () => {
  const bench = new GuardBench()
  bench.guard.start()
  bench.garbageBytes = 200
  await bench.at(950, 100)
  assert.deepEqual([bench.collections, bench.pauses], [1, []], 'what was given back is enough')
  await bench.at(820, 900)
  assert.equal(bench.collections, 1)
  await bench.at(820, 1_000)
  assert.equal(bench.collections, 2, 'more has come since')
  await bench.at(840, 10_000)
  assert.equal(bench.collections, 2, 'too little has come since')
  await bench.at(500, 10_000)
  await bench.at(810, 2_000)
  assert.equal(bench.collections, 3, 'what had gone by itself has come again')
  assert.equal(bench.thorough, 1, 'thoroughly only where reading would pause')
  bench.guard.close()
})

test('where hardly any room is left, garbage is collected at every look', async () => {
  const bench = new GuardBench()
  bench.guard.start()
  await bench.at(930, 900)
  assert.equal(bench.collections, 1, 'once a second below')
  await bench.at(960, 300)
  assert.equal(bench.collections, 4)
  bench.guard.close()
})

test('reading pauses close to the limit, and goes on when memory was given back', async () => {
  const bench = new GuardBench()
  bench.guard.start()
  await bench.at(950, 100)
  assert.deepEqual(bench.pauses, [true])
  await bench.at(870, 5_000)
  assert.deepEqual(bench.pauses, [true], 'not for a little')
  await bench.at(840, 100)
  assert.deepEqual(bench.pauses, [true, false])
  bench.guard.close()
})

test('reading goes on when nothing is left that could be given back: lag must not grow for ever', async () => {
  const bench = new GuardBench()
  bench.guard.start()
  await bench.at(950, 2_000)
  assert.deepEqual(bench.pauses, [true])
  bench.isIdle = true
  await bench.at(950, 2_000)
  assert.deepEqual(bench.pauses, [true, false])
  bench.guard.close()
})

test('reading goes on also when memory stays between the two marks: a paused worker makes no garbage that would be worth a collection', async () => {
  const bench = new GuardBench()
  bench.guard.start()
  await bench.at(950, 100)
  await bench.at(870, 60_000)
  assert.deepEqual(bench.pauses, [true], 'something waits for a sink')
  bench.isIdle = true
  await bench.at(870, 2_000)
  assert.deepEqual(bench.pauses, [true, false])
  assert.deepEqual([bench.collections, bench.thorough], [2, 2], 'after what could be given back was')
  await bench.at(870, 60_000)
  assert.deepEqual(bench.pauses, [true, false])
  bench.guard.close()
})
