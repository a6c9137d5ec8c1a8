import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SiderealError } from '../model/errors.ts'
import { ManualClock } from '../model/manual-clock.ts'
import { testBatch, testFragment, testRecord, testRecordType, testSpan } from '../sinks/fragments.testing.ts'
import type { ObjectStore } from '../storage/object-store.ts'
import { WorkerCounters } from '../telemetry/counters.ts'
import { silentLogger } from '../telemetry/logger.ts'
import { SchemaGate } from './assemble/schema-gate.ts'
import { openProcessor } from './processor.ts'

const away = new SiderealError('SIDEREAL_REGISTRY_UNAVAILABLE', 'away', { retryable: true })
const turn = () => new Promise((resolve) => setImmediate(resolve))

test('the registry counts as failing from the first failed question until it answers, and only while somebody waits', async () => {
  const clock = new ManualClock()
  // A fake, since no registry fails for exactly as long as a test says.
  const failures = { left: 2 }
  const gate = new SchemaGate({
    schemas: {
      cached: () => undefined,
      fetch: async () => {
        if (failures.left-- > 0) throw away
        throw new SiderealError('SIDEREAL_SCHEMA_UNKNOWN', 'no such schema')
      },
    },
    clock,
    random: () => 0.5,
    logger: silentLogger,
    counters: new WorkerCounters(),
  })
  assert.equal(gate.failingForMs, 0)
  const answered = Promise.withResolvers<void>()
  gate.whenKnown(7, answered.resolve)
  await turn()
  await clock.advance(10)
  assert.equal(gate.failingForMs, 10)
  let isAnswered = false
  void answered.promise.then(() => {
    isAnswered = true
  })
  for (let i = 0; i < 100 && !isAnswered; i++) {
    await clock.advance(60_000)
    await turn()
  }
  assert.ok(isAnswered)
  assert.equal(gate.failingForMs, 0)
  gate.close()
})

test('a flood of records that name another unknown schema each asks the registry 200 times a second at most, and each gets its answer', async () => {
  const clock = new ManualClock()
  let asked = 0
  const gate = new SchemaGate({
    schemas: {
      cached: () => undefined,
      fetch: async () => {
        asked += 1
        throw new SiderealError('SIDEREAL_SCHEMA_UNKNOWN', 'no such schema')
      },
    },
    clock,
    random: () => 0.5,
    logger: silentLogger,
    counters: new WorkerCounters(),
  })
  let answered = 0
  // As one partition does: the next question after the last answer.
  const askFrom = (schemaId: number): void => {
    if (schemaId === 500) return
    gate.whenKnown(schemaId, () => {
      answered += 1
      assert.ok(gate.lookUp(schemaId) instanceof SiderealError)
      askFrom(schemaId + 1)
    })
  }
  askFrom(0)
  for (let second = 1; answered < 500; second++) {
    for (let i = 0; i < 2_000; i++) await turn()
    assert.ok(asked <= 200 * second, `${asked} questions in second ${second}`)
    assert.ok(second < 10)
    await clock.advance(1_000)
  }
  assert.equal(asked, 500)
  gate.close()
})

test('the object store counts as failing while payloads wait for it, and no longer once some are stored, whatever waits then', async () => {
  const clock = new ManualClock()
  const state = { isAway: true, isSlow: false }
  // A fake, for the same reason.
  const store = {
    url: 's3://fake',
    put: async () => {
      if (state.isSlow) await new Promise(() => undefined)
      if (state.isAway)
        throw new SiderealError('SIDEREAL_OBJECT_STORE_UNAVAILABLE', 'away', { retryable: true })
    },
  } as unknown as ObjectStore
  const processor = openProcessor({
    store,
    payloadLimitBytes: 100,
    recordTypes: testRecordType,
    clock,
    random: () => 0.5,
    counters: new WorkerCounters(),
    logger: silentLogger,
  })
  const spans = [testSpan({ attributes: [{ key: 'prompt', value: 'long '.repeat(100) }] })]
  const record = { ...testRecord(testBatch({ spans })), hasLargeValue: true }
  const processed = processor.process([testFragment([record])], new AbortController().signal)
  let isProcessed = false
  void processed.then(() => {
    isProcessed = true
  })
  const deadline = performance.now() + 60_000
  while (processor.storeFailingForMs === 0) {
    assert.ok(performance.now() < deadline, 'no upload was tried')
    await turn()
    await clock.advance(1)
  }
  await clock.advance(5)
  assert.ok(processor.storeFailingForMs >= 5)
  state.isAway = false
  while (!isProcessed) {
    assert.ok(performance.now() < deadline, 'the payload was not stored')
    await clock.advance(1_000)
    await turn()
  }
  state.isSlow = true
  processor.process([testFragment([record])], new AbortController().signal).catch(() => undefined)
  await clock.advance(60_000)
  assert.equal(processor.storeFailingForMs, 0)
  processor.close()
})
