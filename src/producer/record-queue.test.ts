import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { SiderealError } from '../model/errors.ts'
import { silentLogger } from '../telemetry/logger.ts'
import { DROP_REASONS, type ItemStats } from './delivery-counts.ts'
import type { EncodedRecord } from './encoded-record.ts'
import { RecordQueue, type RecordQueueOptions } from './record-queue.ts'
import { sendEachBy } from './send-each.testing.ts'

const away = () => new SiderealError('SIDEREAL_KAFKA_UNAVAILABLE', 'away', { retryable: true })
const record = (sid: string, items = 1, bytes = 100): EncodedRecord => ({
  kind: 'spans',
  sid,
  framed: Buffer.alloc(bytes),
  items,
})
const total = ({ waiting, spooled, sent, dropped }: ItemStats) =>
  waiting + spooled + sent + DROP_REASONS.reduce((sum, reason) => sum + dropped[reason], 0)

function open(options: Partial<RecordQueueOptions>): RecordQueue {
  const send: RecordQueueOptions['send'] = sendEachBy(async () => undefined)
  return new RecordQueue({
    topic: 't',
    send,
    schemaId: async () => 7,
    logger: silentLogger,
    retryPauseMs: 1,
    ...options,
  })
}

/** A full collection of garbage, now. */
function gc(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}

function add(queue: RecordQueue, entry: EncodedRecord): void {
  queue.accept(entry.kind, entry.items)
  queue.add(entry)
}

test('records that were made while registry and Kafka were away arrive with their schema id, in order', async () => {
  let registryAnswers = 0
  let sends = 0
  const arrived: string[] = []
  const queue = open({
    schemaId: async () => {
      if (registryAnswers++ < 2)
        throw new SiderealError('SIDEREAL_REGISTRY_UNAVAILABLE', 'away', { retryable: true })
      return 7
    },
    maxInFlightBytes: 1,
    send: sendEachBy(async (_topic, outgoing) => {
      if (sends++ < 3) throw away()
      assert.equal(outgoing.value!.readUInt32BE(1), 7)
      arrived.push(String(outgoing.key))
    }),
  })
  for (const sid of ['a', 'b', 'c']) add(queue, record(sid))
  assert.equal(await queue.drained(5_000), true)
  assert.deepEqual(arrived, ['a', 'b', 'c'])
  assert.equal(queue.stats('spans').sent, 3)
})

test('a schema that cannot even be asked for is tried again like any other, and no exception comes out', async () => {
  let asked = 0
  const queue = open({
    schemaId: () => {
      if (++asked < 3) throw new Error('no schemas here')
      return Promise.resolve(7)
    },
  })
  add(queue, record('a'))
  assert.equal(await queue.drained(5_000), true)
  assert.deepEqual([asked, queue.stats('spans').sent], [3, 1])
})

test('a service that flushes after each request pays nothing for those that ended without Kafka', async () => {
  const queue = open({ schemaId: () => new Promise(() => undefined) })
  add(queue, record('waits'))
  const flush = async () => {
    for (let turn = 0; turn < 20; turn++)
      await Promise.all(Array.from({ length: 2_000 }, () => queue.drained(0)))
    const collect = gc()
    collect()
    return process.memoryUsage().heapUsed
  }
  await flush()
  const before = await flush()
  const grown = (await flush()) - before
  assert.ok(grown < 1_000_000, `${grown} bytes for 40,000 flushes`)
  queue.close()
})

test('delivery runs outside the request that set it off, and keeps nothing of it', async () => {
  const requests = new AsyncLocalStorage<string>()
  const seen: unknown[] = []
  const queue = open({
    schemaId: async () => {
      seen.push(requests.getStore())
      return 7
    },
    send: (_topic, records, onSettled) => {
      seen.push(requests.getStore())
      for (const index of records.keys()) onSettled(index, undefined)
    },
  })
  for (const name of ['first', 'second']) {
    requests.run(name, () => add(queue, record(name)))
    assert.equal(await queue.drained(30_000), true)
  }
  assert.deepEqual(seen, [undefined, undefined, undefined])
  queue.close()
})

test('a full queue drops the oldest, and counts spans and not records', async () => {
  const queue = open({ maxItems: 10, maxInFlightBytes: 1, schemaId: () => new Promise(() => undefined) })
  for (let i = 0; i < 8; i++) add(queue, record(`${i}`, 2))
  const { accepted, waiting, dropped } = queue.stats('spans')
  assert.deepEqual({ accepted, waiting, full: dropped.queue_full }, { accepted: 16, waiting: 10, full: 6 })
  queue.close()
  assert.equal(queue.stats('spans').dropped.shutdown, 10)
})

test('a record that Kafka finds too large is given up at once, one that is refused after five attempts, the others arrive', async () => {
  const attempts = new Map<string, number>()
  const queue = open({
    send: sendEachBy(async (_topic, outgoing) => {
      const sid = String(outgoing.key)
      attempts.set(sid, (attempts.get(sid) ?? 0) + 1)
      if (sid === 'big') throw new SiderealError('SIDEREAL_RECORD_TOO_LARGE', 'too large')
      if (sid === 'bad') throw new SiderealError('SIDEREAL_KAFKA_SEND_FAILED', 'refused')
    }),
  })
  for (const sid of ['big', 'bad', 'good']) add(queue, record(sid))
  assert.equal(await queue.drained(5_000), true)
  const { sent, dropped } = queue.stats('spans')
  assert.deepEqual([sent, dropped.too_large, dropped.refused], [1, 1, 1])
  assert.deepEqual([attempts.get('big'), attempts.get('bad')], [1, 5])
})

test('whatever fails and whenever it is closed: accepted = waiting + sent + dropped, and nothing is sent twice after success', async () => {
  const step = fc.record({
    items: fc.integer({ min: 1, max: 4 }),
    bytes: fc.integer({ min: 5, max: 400 }),
    fate: fc.constantFrom('ok', 'away', 'big'),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.boolean(), async (steps, isClosedEarly) => {
      const fates = steps.map(({ fate }) => fate)
      const arrived = new Set<string>()
      const queue = open({
        maxItems: 30,
        maxBytes: 6_000,
        maxInFlightBytes: 1_000,
        send: sendEachBy(async (_topic, outgoing) => {
          await new Promise((resolve) => setImmediate(resolve))
          const sid = String(outgoing.key)
          const fate = fates[Number(sid)]
          fates[Number(sid)] = 'ok'
          if (fate === 'away') throw away()
          if (fate === 'big') throw new SiderealError('SIDEREAL_RECORD_TOO_LARGE', 'big')
          assert.ok(!arrived.has(sid))
          arrived.add(sid)
        }),
      })
      steps.forEach(({ items, bytes }, i) => {
        add(queue, record(`${i}`, items, bytes))
      })
      assert.equal(total(queue.stats('spans')), queue.stats('spans').accepted)
      if (isClosedEarly) queue.close()
      assert.equal(await queue.drained(5_000), true)
      const stats = queue.stats('spans')
      assert.equal(stats.waiting, 0)
      assert.equal(
        total(stats),
        steps.reduce((sum, { items }) => sum + items, 0),
      )
      assert.equal(
        stats.sent,
        [...arrived].reduce((sum, sid) => sum + steps[Number(sid)]!.items, 0),
      )
    }),
    { numRuns: 50 },
  )
})

test('what is due at one moment goes to Kafka in one call; one that fails comes back by itself', async () => {
  const calls: string[][] = []
  const queue = open({
    send: (_topic, records, onSettled) => {
      calls.push(records.map(({ key }) => String(key)))
      const fails = calls.length === 2
      setImmediate(() => {
        for (const [index, { key }] of records.entries())
          onSettled(index, fails && String(key) === 'b' ? away() : undefined)
      })
    },
  })
  // The schema id is known from here on.
  add(queue, record('first'))
  assert.equal(await queue.drained(5_000), true)
  for (const sid of ['a', 'b', 'c']) add(queue, record(sid))
  assert.equal(await queue.drained(5_000), true)
  assert.deepEqual(calls, [['first'], ['a', 'b', 'c'], ['b']])
  assert.equal(queue.stats('spans').sent, 4)
})

test('a burst that is more than the memory may hold is dropped only as far as Kafka cannot take it at once', async () => {
  const arrived: string[] = []
  const queue = open({
    maxItems: 10,
    maxInFlightBytes: 5 * 300,
    send: sendEachBy(async (_topic, outgoing) => {
      await new Promise((resolve) => setImmediate(resolve))
      arrived.push(String(outgoing.key))
    }),
  })
  // The schema id is known from here on.
  add(queue, record('first'))
  assert.equal(await queue.drained(5_000), true)
  for (let i = 0; i < 20; i++) add(queue, record(`${i}`))
  assert.equal(await queue.drained(5_000), true)
  assert.deepEqual(arrived.slice(1, 4), ['0', '1', '2'])
  assert.equal(arrived.length - 1 + queue.stats('spans').dropped.queue_full, 20)
})

test('the last line of a process has what was given up at its very end', async () => {
  const dropped: number[] = []
  const failing: (() => void)[] = []
  const queue = open({
    send: (_topic, records, onSettled) =>
      void failing.push(() => {
        for (const index of records.keys()) onSettled(index, away())
      }),
    logger: {
      ...silentLogger,
      warn: (fields: object) => void dropped.push((fields as { spans: ItemStats }).spans.dropped.shutdown),
    },
    maxInFlightBytes: 1_000,
  })
  for (let i = 0; i < 50; i++) add(queue, record(`${i}`))
  while (failing.length === 0) await new Promise(setImmediate)
  queue.close()
  for (const fail of failing) fail()
  await queue.closeSpool(0)
  assert.equal(queue.stats('spans').waiting, 0)
  assert.equal(dropped.at(-1), queue.stats('spans').dropped.shutdown)
})
