import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Fragment, FragmentRecord } from '../../model/fragment.ts'
import { ManualClock, settlePromises } from '../../model/manual-clock.ts'
import type { RefusedRecord, Sink } from '../../model/sink.ts'
import { type Logger, silentLogger } from '../../telemetry/logger.ts'
import { BestEffortSink } from './best-effort-sink.ts'
import { DELIVERER_LIMITS } from './deliverer-limits.ts'
import { SharedDelivery } from './delivery.ts'

function setUp(
  change: {
    logger?: Logger
    refuse?: (fragments: readonly Fragment[]) => RefusedRecord[]
    countLost?: (sink: string, records: number) => void
  } = {},
) {
  const clock = new ManualClock()
  const answers: (() => void)[] = []
  const written: string[] = []
  const sink: Sink = {
    name: 'optional',
    start: () => Promise.resolve(),
    write: async (fragments) => {
      await new Promise<void>((resolve) => answers.push(resolve))
      written.push(...fragments.map(({ sid }) => sid))
      return { refused: change.refuse?.(fragments) ?? [] }
    },
    close: () => Promise.resolve(),
  }
  const gate = { mayDeliver: true }
  const queue = new BestEffortSink({
    sink,
    limits: DELIVERER_LIMITS.bestEffort,
    mayDeliver: () => gate.mayDeliver,
    clock,
    random: () => 1,
    logger: change.logger ?? silentLogger,
    metrics: {
      observeWrite: () => undefined,
      countError: () => undefined,
      countLost: change.countLost ?? (() => assert.fail('nothing may be lost')),
      countRefused: () => undefined,
    },
  })
  return { clock, answers, written, gate, queue }
}

function queued(sid: string, heldBytes = 1) {
  const fragment: Fragment = { sid, reason: 'complete', records: [], facts: [], byteLength: 1, rowCount: 1 }
  const task = {
    topic: 'in',
    partition: 0,
    isAlive: true,
    lost: new AbortController().signal,
    streamTimeMs: 0,
    settle: () => undefined,
    unblock: () => undefined,
  }
  const delivery = { fragment, task, heldBytes, original: () => undefined, release: () => undefined }
  return { fragment, shared: new SharedDelivery(delivery, 0) }
}

test('a fragment that is offered while the last write ends is written, at whatever moment it comes', async () => {
  for (let turns = 0; turns < 12; turns++) {
    const { answers, written, queue } = setUp()
    await queue.start()
    queue.offer([queued('first')])
    await settlePromises()
    answers.shift()?.()
    for (let turn = 0; turn < turns; turn++) await Promise.resolve()
    queue.offer([queued('second')])
    await settlePromises()
    answers.shift()?.()
    await queue.drained()
    assert.deepEqual(written, ['first', 'second'], `after ${turns} turns`)
    assert.equal(queue.queuedBytes, 0)
  }
})

test('nothing is written while the source is in doubt, and nothing is lost by it', async () => {
  const { clock, answers, written, gate, queue } = setUp()
  await queue.start()
  gate.mayDeliver = false
  queue.offer([queued('first')])
  await clock.advance(60_000)
  assert.equal(answers.length, 0)
  gate.mayDeliver = true
  await clock.advance(1_000)
  answers.shift()?.()
  await queue.drained()
  assert.deepEqual(written, ['first'])
})

test('the queue is charged with the memory that its fragments hold, of which their bytes may be a small part', async () => {
  let losses = 0
  const { answers, written, queue } = setUp({ countLost: () => losses++ })
  const { maxQueueBytes } = DELIVERER_LIMITS.bestEffort
  await queue.start()
  queue.offer(['a', 'b', 'c'].map((sid) => queued(sid, maxQueueBytes / 2)))
  assert.equal(queue.queuedBytes, maxQueueBytes)
  assert.equal(losses, 1)
  for (let batch = 0; batch < 2; batch++) {
    await settlePromises()
    answers.shift()?.()
  }
  await queue.drained()
  assert.equal(queue.queuedBytes, 0)
  assert.deepEqual(written, ['a', 'b'])
})

test('what the receiver refuses is logged with its offsets, so that it can be found again', async () => {
  const lines: unknown[] = []
  const logger: Logger = { ...silentLogger, error: (fields: object) => void lines.push(fields) }
  const record = { ...({} as FragmentRecord), topic: 'in', partition: 3, offset: 41 }
  const { answers, queue } = setUp({ logger, refuse: () => [{ record, reason: 'too many attributes' }] })
  await queue.start()
  queue.offer([queued('first')])
  await settlePromises()
  answers.shift()?.()
  await queue.drained()
  assert.deepEqual(lines, [
    { sink: 'optional', why: 'too many attributes', records: 1, offsets: ['in/3:41'] },
  ])
})
