import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { DeadLetter, DeadLetterQueue } from '../../model/dead-letter.ts'
import { DEAD_LETTER_LIMITS } from '../../model/dead-letter-cap.ts'
import { SiderealError } from '../../model/errors.ts'
import type { Fragment, FragmentRecord } from '../../model/fragment.ts'
import { ManualClock, settlePromises } from '../../model/manual-clock.ts'
import type { Sink, WriteResult } from '../../model/sink.ts'
import type { Task } from '../../model/task.ts'
import { WorkerCounters } from '../../telemetry/counters.ts'
import { silentLogger } from '../../telemetry/logger.ts'
import { DeadLetterCaps } from './dead-letter-caps.ts'
import { Deliverer, type DelivererOptions, type FragmentProcessor } from './deliverer.ts'
import { DELIVERER_LIMITS } from './deliverer-limits.ts'
import type { Delivery } from './delivery.ts'

class FakeTask implements Task {
  readonly topic = 'in'
  readonly partition: number
  readonly streamTimeMs = 0
  readonly settled: number[][] = []
  readonly lost = new AbortController().signal
  isAlive = true
  constructor(partition: number) {
    this.partition = partition
  }
  settle(offsets: readonly number[]): void {
    if (this.isAlive) this.settled.push([...offsets])
  }
  unblock(): void {
    throw new Error('delivery does not unblock')
  }
}

class FakeSink implements Sink {
  readonly name: string
  readonly written: Fragment[][] = []
  /** What the next writes do; empty = they succeed at once. */
  readonly plan: (Error | 'hang' | ((fragments: readonly Fragment[]) => WriteResult))[] = []
  inFlight = 0
  maxInFlight = 0
  constructor(name: string) {
    this.name = name
  }
  async start(): Promise<void> {
    await settlePromises()
  }
  async write(fragments: readonly Fragment[], signal: AbortSignal): Promise<WriteResult> {
    this.inFlight += 1
    this.maxInFlight = Math.max(this.maxInFlight, this.inFlight)
    try {
      await Promise.resolve()
      const step = this.plan.shift()
      if (step === 'hang') {
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))))
      }
      if (step instanceof Error) throw step
      this.written.push([...fragments])
      return typeof step === 'function' ? step(fragments) : { refused: [] }
    } finally {
      this.inFlight -= 1
    }
  }
  async close(): Promise<void> {
    await settlePromises()
  }
}

const outage = new SiderealError('SIDEREAL_CLICKHOUSE_UNAVAILABLE', 'away', { retryable: true })

interface Setup {
  readonly clock: ManualClock
  readonly deliverer: Deliverer
  readonly counters: WorkerCounters
  readonly letters: DeadLetter[]
  readonly lost: Map<string, number>
  readonly pauses: string[]
  readonly released: number[]
  mayDeliver: boolean
  add(task: FakeTask, offsets: number[], rowCount?: number, byteLength?: number): void
}

function setUp(
  required: Sink[],
  bestEffort: Sink[] = [],
  change: Partial<DelivererOptions> & { readonly clock?: ManualClock } = {},
): Setup {
  const clock = change.clock ?? new ManualClock()
  const counters = new WorkerCounters()
  const letters: DeadLetter[] = []
  const deadLetters: DeadLetterQueue = {
    offer: (letter) => letters.push(letter) > 0,
    whenRoom: (callback) => callback(),
  }
  const caps = new DeadLetterCaps({
    limits: DEAD_LETTER_LIMITS,
    clock,
    random: () => 1,
    logger: silentLogger,
  })
  const lost = new Map<string, number>()
  const pauses: string[] = []
  const released: number[] = []
  const setup: Setup = {
    clock,
    counters,
    letters,
    lost,
    pauses,
    released,
    mayDeliver: true,
    deliverer: new Deliverer({
      required,
      bestEffort,
      processor: null,
      gate: {
        mayDeliver: () => setup.mayDeliver,
        pause: (reason) => pauses.push(`pause ${reason}`),
        resume: (reason) => pauses.push(`resume ${reason}`),
      },
      deadLetters,
      caps,
      clock,
      random: () => 1,
      logger: silentLogger,
      metrics: {
        observeWrite: () => undefined,
        countError: () => undefined,
        countLost: (sink, records) => lost.set(sink, (lost.get(sink) ?? 0) + records),
        countRefused: () => undefined,
      },
      counters,
      ...change,
    }),
    add: (task, offsets, rowCount = 1, byteLength = 100) => {
      const delivery = makeDelivery(task, offsets, rowCount, byteLength, () => released.push(...offsets))
      setup.deliverer.offer(delivery)
    },
  }
  return setup
}

function makeDelivery(
  task: FakeTask,
  offsets: number[],
  rowCount: number,
  byteLength: number,
  release: () => void,
): Delivery {
  const records = offsets.map(
    (offset): FragmentRecord => ({
      kind: 'spans',
      topic: task.topic,
      partition: task.partition,
      offset,
      receivedAtMs: offset,
      byteLength: byteLength / offsets.length,
      rowCount: rowCount / offsets.length,
      repeatedBytes: 0,
      hasLargeValue: false,
      bytes: Buffer.from(`value ${offset}`),
      bodyStart: 5,
      day: -1,
      memory: Buffer.from(`value ${offset}`),
      contentStart: 5,
      contentEnd: 7,
      schemaId: 7,
      decode: () => {
        throw new Error('not needed here')
      },
    }),
  )
  return {
    fragment: { sid: `sid-${offsets[0]}`, reason: 'complete', records, facts: [], byteLength, rowCount },
    task,
    heldBytes: byteLength,
    original: (offset) => ({
      key: Buffer.from(`key ${offset}`),
      value: Buffer.from(`value ${offset}`),
      headers: { trace: Buffer.from('t') },
    }),
    release,
  }
}

test('fragments of several tasks share a batch, and each fragment is settled in one call after every required sink has it', async () => {
  const [first, second] = [new FakeSink('a'), new FakeSink('b')]
  const setup = setUp([first, second])
  const [left, right] = [new FakeTask(0), new FakeTask(1)]
  setup.add(left, [1, 4])
  setup.add(right, [2])
  setup.add(left, [3])
  await setup.clock.advance(900)
  assert.equal(first.written.length, 0, 'a batch waits for others')
  await setup.clock.advance(200)
  assert.deepEqual([first.written.length, second.written.length], [1, 1])
  assert.deepEqual(left.settled, [[1, 4], [3]])
  assert.deepEqual(right.settled, [[2]])
  assert.deepEqual(setup.released, [1, 4, 2, 3])
  assert.equal(setup.deliverer.undeliveredBytes, 0)
  assert.equal(setup.counters.fragmentsSettled.complete, 3)
})

test('nothing is settled before the slowest required sink has acknowledged, however often it fails', async () => {
  const [good, bad] = [new FakeSink('good'), new FakeSink('bad')]
  for (let i = 0; i < 12; i++) bad.plan.push(outage)
  const setup = setUp([good, bad])
  const task = new FakeTask(0)
  setup.add(task, [1])
  await setup.clock.advance(60_000)
  assert.equal(good.written.length, 1)
  assert.deepEqual(task.settled, [])
  assert.equal(setup.deliverer.sinkHealth[1]?.failingForMs !== 0, true)
  await setup.clock.advance(60_000)
  assert.deepEqual(task.settled, [[1]])
  assert.equal(good.written.length, 1, 'a sink that has the batch does not get it again')
  assert.equal(setup.deliverer.sinkHealth[1]?.failingForMs, 0)
})

test('no attempt is made while the source is in doubt, and fragments of a partition that was lost are never written nor settled', async () => {
  const sink = new FakeSink('a')
  const setup = setUp([sink])
  const [kept, lost] = [new FakeTask(0), new FakeTask(1)]
  setup.mayDeliver = false
  setup.add(kept, [1])
  setup.add(lost, [2])
  await setup.clock.advance(5_000)
  assert.equal(sink.written.length, 0)
  lost.isAlive = false
  setup.mayDeliver = true
  await setup.clock.advance(1_000)
  assert.deepEqual(
    sink.written.map((batch) => batch.map((fragment) => fragment.sid)),
    [['sid-1']],
  )
  assert.deepEqual(kept.settled, [[1]])
  assert.deepEqual(lost.settled, [])
  assert.deepEqual(setup.released.sort(), [1, 2], 'the memory of both is free')
  assert.equal(setup.counters.fragmentsDropped, 1)
})

test('at most two batches are on their way, and each keeps to the limits', async () => {
  const sink = new FakeSink('a')
  const limits = { ...DELIVERER_LIMITS, batchRows: 10 }
  for (let i = 0; i < 5; i++) sink.plan.push('hang')
  const setup = setUp([sink], [], { limits })
  const task = new FakeTask(0)
  for (let i = 0; i < 40; i++) setup.add(task, [i], 3)
  await settlePromises()
  assert.equal(setup.deliverer.batchesInFlight, 2)
  assert.equal(sink.maxInFlight, 2)
  await setup.deliverer.close()
  assert.equal(setup.deliverer.undeliveredBytes, 0)
  assert.deepEqual(task.settled, [], 'giving up settles nothing')

  const free = new FakeSink('b')
  const second = setUp([free], [], { limits })
  for (let i = 0; i < 40; i++) second.add(task, [i], 3)
  await second.clock.advance(2_000)
  assert.ok(free.written.every((batch) => batch.length <= 3))
  assert.equal(free.written.flat().length, 40)
})

test('reading pauses over the share of memory, and goes on when enough is delivered', async () => {
  const sink = new FakeSink('a')
  sink.plan.push(outage, outage)
  const setup = setUp([sink], [], { limits: { ...DELIVERER_LIMITS, maxUndeliveredBytes: 1_000 } })
  const task = new FakeTask(0)
  for (let i = 0; i < 11; i++) setup.add(task, [i])
  assert.deepEqual(setup.pauses, ['pause undelivered'])
  await setup.clock.advance(60_000)
  assert.deepEqual(setup.pauses, ['pause undelivered', 'resume undelivered'])
  setup.deliverer.scaleShare(0.5)
  for (let i = 0; i < 6; i++) setup.add(task, [20 + i])
  assert.equal(setup.deliverer.isPaused, true)
})

test('a record that a sink refuses becomes one dead letter with its original bytes, and its fragment is settled only after that is stored', async () => {
  const [first, second] = [new FakeSink('a'), new FakeSink('b')]
  const refuse = (fragments: readonly Fragment[]): WriteResult => {
    const record = fragments[0]?.records[1]
    return { refused: record === undefined ? [] : [{ record, reason: 'cannot parse' }] }
  }
  first.plan.push(refuse)
  second.plan.push(refuse)
  const setup = setUp([first, second])
  const task = new FakeTask(3)
  setup.add(task, [1, 4])
  await setup.clock.advance(1_000)
  assert.equal(setup.letters.length, 1, 'two sinks refuse one record: one letter')
  const letter = setup.letters[0]
  assert.deepEqual(
    [letter?.partition, letter?.offset, letter?.reason, String(letter?.key), String(letter?.value)],
    [3, 4, 'refused', 'key 4', 'value 4'],
  )
  assert.deepEqual(task.settled, [])
  letter?.onStored()
  await settlePromises()
  assert.deepEqual(task.settled, [[1, 4]])
})

/** A sink that refuses every record of a partition while it is told to, and some for ever. */
class RefusingSink extends FakeSink {
  isRefusing = true
  readonly alwaysRefused = new Set<number>()
  readonly #partition: number
  constructor(partition: number) {
    super('table')
    this.#partition = partition
  }
  override async write(fragments: readonly Fragment[], signal: AbortSignal): Promise<WriteResult> {
    await super.write(fragments, signal)
    const records = fragments.flatMap((fragment) => fragment.records)
    const bad = records.filter(
      ({ partition, offset }) =>
        partition === this.#partition && (this.isRefusing || this.alwaysRefused.has(offset)),
    )
    return { refused: bad.map((record) => ({ record, reason: 'VIOLATED_CONSTRAINT (code 469)' })) }
  }
}

/** The dead-letter topic has all of them. */
async function storeLetters({ letters }: Setup): Promise<void> {
  for (const letter of letters) letter.onStored()
  await settlePromises()
}

function setUpRefusing(limits = DELIVERER_LIMITS) {
  const sink = new RefusingSink(0)
  const optional = new FakeSink('optional')
  const clock = new ManualClock()
  const caps = new DeadLetterCaps({
    limits: { maxConsecutive: 3, maxRatio: 0 },
    clock,
    random: () => 1,
    logger: silentLogger,
  })
  const setup = setUp([sink], [optional], { caps, clock, limits })
  const tasks = [new FakeTask(0), new FakeTask(1)] as const
  const opened = tasks.map((task) => caps.open(task))
  return { sink, optional, clock, caps, setup, tasks, opened }
}

test('when a sink refuses too many records of a partition, that partition stops with its fragments, makes no more dead letters, and the others go on', async () => {
  const { sink, optional, clock, caps, setup, tasks, opened } = setUpRefusing()
  const [bad, good] = tasks
  for (let offset = 0; offset < 10; offset++) {
    setup.add(bad, [offset])
    setup.add(good, [offset])
  }
  await clock.advance(1_000)
  await storeLetters(setup)
  assert.equal(opened[0]?.refused.isStopped, true)
  assert.deepEqual(
    caps.stops.map(({ partition, offset, reason }) => [partition, offset, reason]),
    [[0, 3, 'refused']],
  )
  assert.deepEqual([setup.letters.length, bad.settled.length, good.settled.length], [3, 3, 10])
  assert.equal(setup.deliverer.undeliveredBytes, 700, 'what is held keeps its memory')
  assert.equal(setup.deliverer.batchesInFlight, 0)
  setup.add(good, [10])
  setup.add(bad, [10])
  await clock.advance(600_000)
  assert.deepEqual([setup.letters.length, bad.settled.length, good.settled.length], [3, 3, 11])
  assert.ok(
    sink.written.length > 5 && sink.written.length < 30,
    `${sink.written.length} writes in ten minutes`,
  )
  assert.equal(optional.written.flat().length, 22, 'a best-effort sink gets each fragment once')

  sink.isRefusing = false
  await clock.advance(61_000)
  assert.deepEqual(
    bad.settled.flat().sort((a, b) => a - b),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  )
  assert.equal(setup.letters.length, 3)
  assert.equal(caps.stops.length, 0)
  assert.equal(setup.deliverer.undeliveredBytes, 0)
  assert.equal(setup.released.length, 22)
})

test('other partitions go on when what is held of one takes more than the share of what may be undelivered', async () => {
  const { sink, clock, setup, tasks } = setUpRefusing({ ...DELIVERER_LIMITS, maxUndeliveredBytes: 1_000 })
  const [bad, good] = tasks
  for (let offset = 0; offset < 20; offset++) setup.add(bad, [offset])
  assert.deepEqual(setup.pauses, ['pause undelivered'])
  await clock.advance(1_000)
  await storeLetters(setup)
  assert.equal(setup.deliverer.undeliveredBytes, 1_700)
  assert.deepEqual(setup.pauses, ['pause undelivered', 'resume undelivered'])
  assert.equal(setup.deliverer.isIdle, true, 'waiting gives nothing back')
  for (let offset = 0; offset < 5; offset++) {
    setup.add(good, [offset])
    await clock.advance(1_000)
  }
  assert.equal(good.settled.length, 5)
  assert.equal(setup.pauses.length, 2)
  sink.isRefusing = false
  await clock.advance(61_000)
  assert.equal(setup.deliverer.undeliveredBytes, 0)
  assert.equal(bad.settled.length, 20)
})

test('all partitions wait while what is held takes twice the share of what may be undelivered, and go on when it is written', async () => {
  const { sink, clock, setup, tasks } = setUpRefusing({ ...DELIVERER_LIMITS, maxUndeliveredBytes: 1_000 })
  const [bad] = tasks
  for (let offset = 0; offset < 30; offset++) setup.add(bad, [offset])
  await clock.advance(1_000)
  await storeLetters(setup)
  assert.equal(setup.deliverer.undeliveredBytes, 2_700)
  assert.deepEqual(setup.pauses, ['pause undelivered'])
  sink.isRefusing = false
  await clock.advance(61_000)
  assert.equal(setup.deliverer.undeliveredBytes, 0)
  assert.deepEqual(setup.pauses, ['pause undelivered', 'resume undelivered'])
})

test('good records in between end a run of refused ones, also when no batch of theirs has a refused one', async () => {
  const { sink, clock, caps, setup, tasks } = setUpRefusing()
  const [bad] = tasks
  for (let round = 0; round < 12; round++) {
    sink.isRefusing = round % 3 !== 2
    setup.add(bad, [round])
    await clock.advance(1_000)
    await storeLetters(setup)
  }
  assert.equal(setup.letters.length, 8)
  assert.equal(caps.stops.length, 0)
})

test('a fragment that is tried again while dead letters of its first batch are still on their way is finished once', async () => {
  const { sink, clock, setup, tasks } = setUpRefusing()
  const [bad] = tasks
  for (let offset = 0; offset < 5; offset++) setup.add(bad, [offset])
  await clock.advance(1_000)
  assert.equal(setup.letters.length, 3)
  sink.isRefusing = false
  await clock.advance(61_000)
  assert.deepEqual(bad.settled.flat(), [3, 4])
  assert.equal(setup.deliverer.undeliveredBytes, 300, 'those whose letters are not stored yet')
  await storeLetters(setup)
  assert.equal(setup.deliverer.undeliveredBytes, 0)
  assert.deepEqual(setup.released.toSorted(), [0, 1, 2, 3, 4])
})

test('a partition goes on when the record at which it stopped is taken, also when another record of that fragment stays refused', async () => {
  const { sink, clock, caps, setup, tasks } = setUpRefusing()
  const [bad] = tasks
  setup.add(bad, [0, 1, 2, 3])
  setup.add(bad, [4])
  await clock.advance(1_000)
  assert.deepEqual(
    caps.stops.map(({ offset }) => offset),
    [3],
  )
  sink.isRefusing = false
  sink.alwaysRefused.add(0)
  await clock.advance(61_000)
  await storeLetters(setup)
  assert.equal(caps.stops.length, 0)
  assert.deepEqual(
    setup.letters.map(({ offset }) => offset),
    [0],
  )
  assert.deepEqual(bad.settled.toSorted(), [[0, 1, 2, 3], [4]])
  assert.equal(setup.deliverer.undeliveredBytes, 0)
})

test('a partition whose record was taken stops again at the next one that is too many, with a fragment that is tried again', async () => {
  const { sink, clock, caps, setup, tasks } = setUpRefusing()
  const [bad] = tasks
  setup.add(bad, [0, 1, 2, 3, 4, 5, 6, 7])
  await clock.advance(1_000)
  sink.isRefusing = false
  for (const offset of [4, 5, 6, 7]) sink.alwaysRefused.add(offset)
  await clock.advance(61_000)
  assert.deepEqual(
    caps.stops.map(({ offset }) => offset),
    [7],
  )
  assert.deepEqual([setup.letters.length, bad.settled.length], [0, 0])
  sink.alwaysRefused.delete(7)
  await clock.advance(61_000)
  await storeLetters(setup)
  assert.equal(caps.stops.length, 0)
  assert.deepEqual(
    setup.letters.map(({ offset }) => offset),
    [4, 5, 6],
  )
  assert.deepEqual(bad.settled, [[0, 1, 2, 3, 4, 5, 6, 7]])
})

for (const [end, how] of [
  ['is lost', 'lose'],
  ['stops with its worker', 'drain'],
] as const) {
  test(`fragments that are held are neither settled nor kept in memory when their partition ${end}`, async () => {
    const { clock, setup, tasks, opened } = setUpRefusing()
    const [bad] = tasks
    for (let offset = 0; offset < 6; offset++) setup.add(bad, [offset])
    await clock.advance(1_000)
    await storeLetters(setup)
    assert.equal(setup.deliverer.undeliveredBytes, 300)
    if (how === 'lose') {
      bad.isAlive = false
      opened[0]?.close()
      await settlePromises()
    } else await setup.deliverer.drained()
    assert.equal(setup.deliverer.undeliveredBytes, 0)
    assert.equal(setup.released.length, 6)
    assert.equal(bad.settled.length, 3)
    await clock.advance(600_000)
    assert.equal(setup.released.length, 6, 'once')
  })
}

test('a best-effort sink that fails loses and counts its records, and neither holds the watermark nor the memory of the others', async () => {
  const [required, optional] = [new FakeSink('required'), new FakeSink('optional')]
  for (let i = 0; i < 50; i++) optional.plan.push(outage)
  const limits = {
    ...DELIVERER_LIMITS,
    bestEffort: { ...DELIVERER_LIMITS.bestEffort, maxQueueBytes: 500, maxAttempts: 3 },
  }
  const setup = setUp([required], [optional], { limits })
  const task = new FakeTask(0)
  for (let i = 0; i < 8; i++) setup.add(task, [i])
  await setup.clock.advance(1_000)
  assert.equal(task.settled.length, 8)
  assert.equal(setup.deliverer.undeliveredBytes, 0)
  assert.equal(setup.lost.get('optional'), 3, 'what does not fit the queue is lost at once')
  assert.deepEqual(setup.released, [5, 6, 7])
  await setup.clock.advance(60_000)
  assert.equal(setup.lost.get('optional'), 8)
  assert.equal(setup.released.length, 8)
  assert.deepEqual(setup.deliverer.sinkQueueBytes, { optional: 0 })
})

test('sinks get what processing made of the fragments, and processing is tried until it succeeds', async () => {
  const sink = new FakeSink('a')
  let attempts = 0
  const processor: FragmentProcessor = {
    process: async (fragments) => {
      attempts += 1
      if (attempts < 4)
        throw new SiderealError('SIDEREAL_OBJECT_STORE_UNAVAILABLE', 'away', { retryable: true })
      return fragments.map((fragment) => ({ ...fragment, sid: `${fragment.sid} processed` }))
    },
  }
  const setup = setUp([sink], [], { processor })
  const task = new FakeTask(0)
  setup.add(task, [1])
  await setup.clock.advance(30_000)
  assert.equal(attempts, 4)
  assert.deepEqual(
    sink.written.flat().map((fragment) => fragment.sid),
    ['sid-1 processed'],
  )
  assert.deepEqual(task.settled, [[1]])
})

test('draining waits for nothing but the sinks', async () => {
  const sink = new FakeSink('a')
  const setup = setUp([sink])
  const task = new FakeTask(0)
  setup.add(task, [1])
  await setup.deliverer.drained()
  assert.deepEqual(task.settled, [[1]])
})

test('whatever fails, and whenever: each fragment is settled exactly once after all required sinks had it, and all memory is released', async () => {
  const failures = fc.array(fc.constantFrom<'ok' | 'fail'>('ok', 'fail'), { maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(
      failures,
      failures,
      fc.array(
        fc.record({ rows: fc.integer({ min: 1, max: 30 }), waitMs: fc.integer({ min: 0, max: 800 }) }),
        {
          minLength: 1,
          maxLength: 25,
        },
      ),
      async (one, two, adds) => {
        const sinks = [new FakeSink('a'), new FakeSink('b')]
        for (const [index, plan] of [one, two].entries()) {
          for (const step of plan) {
            sinks[index]?.plan.push(step === 'fail' ? outage : () => ({ refused: [] }))
          }
        }
        const setup = setUp(sinks, [], { limits: { ...DELIVERER_LIMITS, batchRows: 40 } })
        const task = new FakeTask(0)
        for (const [offset, { rows, waitMs }] of adds.entries()) {
          setup.add(task, [offset], rows)
          await setup.clock.advance(waitMs)
        }
        await setup.clock.advance(200_000)
        const expected = adds.map((_, offset) => offset)
        const sort = (numbers: number[]): number[] => [...numbers].sort((a, b) => a - b)
        assert.deepEqual(sort(task.settled.flat()), expected)
        assert.deepEqual(sort(setup.released), expected)
        for (const sink of sinks) {
          const offsets = sink.written
            .flat()
            .flatMap((fragment) => fragment.records.map((record) => record.offset))
          assert.deepEqual(sort(offsets), expected)
        }
      },
    ),
    { numRuns: 25 },
  )
})
