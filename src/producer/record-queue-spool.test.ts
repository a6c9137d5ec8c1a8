import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { SiderealError } from '../model/errors.ts'
import { silentLogger } from '../telemetry/logger.ts'
import { DeliveryCounts, DROP_REASONS, type ItemStats } from './delivery-counts.ts'
import { RecordQueue, type RecordQueueOptions } from './record-queue.ts'
import { sendEachBy } from './send-each.testing.ts'
import { Spool } from './spool.ts'

const away = () => new SiderealError('SIDEREAL_KAFKA_UNAVAILABLE', 'away', { retryable: true })
const held = ({ waiting, spooled }: ItemStats) => waiting + spooled
const total = (stats: ItemStats) =>
  held(stats) + stats.sent + DROP_REASONS.reduce((sum, reason) => sum + stats.dropped[reason], 0)

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'sidereal-queue-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A Kafka that can be switched off, and keeps what it got. */
function kafka() {
  const state = { isAway: false, arrived: [] as string[], answers: 'at once' as 'at once' | 'never' }
  const send: RecordQueueOptions['send'] = sendEachBy(async (_topic, outgoing) => {
    await new Promise((resolve) => setImmediate(resolve))
    if (state.answers === 'never') await new Promise(() => undefined)
    if (state.isAway) throw away()
    assert.equal(outgoing.value!.readUInt32BE(1), 7)
    state.arrived.push(String(outgoing.key))
  })
  return { state, send }
}

function open(folder: string, options: Partial<RecordQueueOptions>): RecordQueue {
  return new RecordQueue({
    topic: 't',
    send: sendEachBy(async () => undefined),
    schemaId: async () => 7,
    logger: silentLogger,
    retryPauseMs: 1,
    spool: { folder, afterMs: 50 },
    ...options,
  })
}

function add(queue: RecordQueue, sid: string, bytes = 100, items = 1): void {
  queue.accept('spans', items)
  queue.add({ kind: 'spans', sid, framed: Buffer.alloc(bytes), items })
}

async function until(isTrue: () => boolean): Promise<void> {
  const deadline = performance.now() + 30_000
  while (!isTrue()) {
    assert.ok(performance.now() < deadline, 'the condition never became true')
    await sleep(5)
  }
}

const sids = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `${from + i}`)

test('while Kafka is away records go to disk, far more than memory may hold; when it is back they arrive in order, and the disk is empty', async (t) => {
  const folder = temporaryFolder(t)
  const { state, send } = kafka()
  state.isAway = true
  const queue = open(folder, { send, maxItems: 100, maxInFlightBytes: 400 })
  for (const sid of sids(0, 600)) {
    add(queue, sid, 20_000)
    if (Number(sid) % 20 === 19) await until(() => queue.stats('spans').waiting < 80)
  }
  await until(() => queue.stats('spans').spooled > 500)
  state.isAway = false
  assert.equal(await queue.drained(30_000), true)
  assert.deepEqual(state.arrived, sids(0, 600))
  const { accepted, sent } = queue.stats('spans')
  assert.deepEqual([accepted, sent, queue.spoolBytes], [600, 600, 0])
  queue.close()
  await queue.closeSpool(60_000)
  assert.deepEqual(readdirSync(folder), [])
})

test('a spool smaller than what comes at once stays within its size, and holds the newest', async (t) => {
  const folder = temporaryFolder(t)
  const { state, send } = kafka()
  state.isAway = true
  const maxBytes = 100_000
  const queue = open(folder, { send, maxInFlightBytes: 1, spool: { folder, afterMs: 50, maxBytes } })
  let largest = 0
  for (const sid of sids(0, 600)) add(queue, sid, 1_000)
  await until(() => {
    largest = Math.max(largest, queue.spoolBytes)
    return queue.stats('spans').dropped.spool_full > 400 && queue.stats('spans').waiting < 20
  })
  assert.ok(largest <= maxBytes, `${largest} bytes on disk`)
  assert.ok(queue.spoolBytes > maxBytes / 2, `${queue.spoolBytes} bytes on disk`)
  state.isAway = false
  assert.equal(await queue.drained(30_000), true)
  assert.equal(state.arrived.at(-1), '599')
  const { accepted } = queue.stats('spans')
  assert.deepEqual([accepted, total(queue.stats('spans'))], [600, 600])
  queue.close()
  await queue.closeSpool(60_000)
})

test('what Kafka has been sent and does not answer is on disk as well, and a later process sends it first', async (t) => {
  const folder = temporaryFolder(t)
  const first = kafka()
  first.state.answers = 'never'
  const killed = open(folder, { send: first.send, maxInFlightBytes: 1_000 })
  for (const sid of sids(0, 20)) add(killed, sid)
  await until(() => killed.stats('spans').spooled > 10)
  // As kill -9: no close but that of the lock, which the system would release.
  await killed.closeSpool(60_000)
  const second = kafka()
  const queue = open(folder, { send: second.send, maxInFlightBytes: 1 })
  add(queue, 'new')
  assert.equal(await queue.drained(30_000), true)
  assert.deepEqual(second.state.arrived, [...sids(0, 20), 'new'])
  const stats = queue.stats('spans')
  assert.deepEqual([stats.accepted, stats.recovered, stats.sent], [21, 20, 21])
  queue.close()
  await queue.closeSpool(60_000)
})

test('shutdown leaves on disk what Kafka does not have, and drops nothing', async (t) => {
  const folder = temporaryFolder(t)
  const { state, send } = kafka()
  state.isAway = true
  const queue = open(folder, { send, spool: { folder, afterMs: 60_000 } })
  for (const sid of sids(0, 30)) add(queue, sid)
  await queue.park(30_000)
  queue.close()
  await sleep(5)
  await queue.closeSpool(60_000)
  const stats = queue.stats('spans')
  assert.deepEqual([stats.spooled, stats.waiting, stats.dropped.shutdown], [30, 0, 0])
  state.isAway = false
  const next = open(folder, { send })
  assert.equal(await until(() => next.stats('spans').sent === 30).then(() => next.drained(30_000)), true)
  next.close()
  await next.closeSpool(60_000)
})

test('with no place on disk records wait in memory, the oldest go when it is full, and they go to disk once it can be written', async (t) => {
  const root = temporaryFolder(t)
  const folder = join(root, 'file', 'spool')
  // Stands for a full disk: a file lies where the folder should be.
  writeFileSync(join(root, 'file'), '')
  const { state, send } = kafka()
  state.isAway = true
  const queue = open(folder, { send, maxItems: 50 })
  for (const sid of sids(0, 80)) add(queue, sid)
  await sleep(100)
  const stats = queue.stats('spans')
  assert.deepEqual([stats.spooled, stats.waiting, stats.dropped.queue_full], [0, 50, 30])
  rmSync(join(root, 'file'))
  mkdirSync(join(root, 'file'))
  await until(() => queue.spoolBytes > 0)
  state.isAway = false
  assert.equal(await queue.drained(30_000), true)
  assert.deepEqual(state.arrived, sids(30, 80))
  queue.close()
  await queue.closeSpool(60_000)
})

test('a spool over its limit drops the oldest, counted as such, and what is left arrives in order', async (t) => {
  const folder = temporaryFolder(t)
  const { state, send } = kafka()
  state.isAway = true
  const spool = { folder, afterMs: 50, maxBytes: 3 * 1024 * 1024 }
  const queue = open(folder, { send, spool, maxInFlightBytes: 1 })
  for (const sid of sids(0, 60)) {
    add(queue, sid, 100_000)
    await sleep(1)
  }
  await until(() => queue.stats('spans').dropped.spool_full > 20)
  await until(() => queue.stats('spans').waiting < 12)
  state.isAway = false
  assert.equal(await queue.drained(30_000), true)
  const { sent, dropped } = queue.stats('spans')
  assert.equal(sent + dropped.spool_full, 60)
  const arrived = state.arrived.map(Number)
  assert.deepEqual(
    arrived,
    [...arrived].sort((a, b) => a - b),
  )
  assert.equal(new Set(arrived).size, sent)
  assert.equal(arrived.at(-1), 59)
  queue.close()
  await queue.closeSpool(60_000)
})

test('however Kafka and the disk come and go: accepted = waiting + spooled + sent + dropped at any time, no process sends a record twice, and the next one sends what is left', async (t) => {
  const root = temporaryFolder(t)
  // A line may be written in the middle of each change.
  let linesChecked = 0
  t.mock.method(DeliveryCounts.prototype, 'report', function (this: DeliveryCounts) {
    const stats = this.stats('spans')
    assert.equal(total(stats), stats.accepted)
    linesChecked += 1
  })
  const step = fc.record({
    records: fc.integer({ min: 0, max: 30 }),
    bytes: fc.integer({ min: 5, max: 3_000 }),
    isAway: fc.boolean(),
    isDiskGone: fc.boolean(),
    pauseMs: fc.constantFrom(0, 0, 3, 12),
  })
  let run = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 12 }),
      fc.boolean(),
      fc.constantFrom(40_000, 256 * 1024 * 1024),
      async (steps, endsAway, maxBytes) => {
        const folder = join(root, `run-${run++}`)
        mkdirSync(folder)
        const { state, send } = kafka()
        const spool = { folder, afterMs: 1, maxBytes }
        const queue = open(folder, { send, spool, maxInFlightBytes: 4_000, maxBytes: 150_000 })
        const check = () => {
          assert.equal(total(queue.stats('spans')), queue.stats('spans').accepted)
        }
        let number = 0
        for (const { records, bytes, isAway, isDiskGone, pauseMs } of steps) {
          state.isAway = isAway
          // As root this changes nothing; then the disk is always there.
          chmodSync(folder, isDiskGone ? 0o500 : 0o700)
          for (let i = 0; i < records; i++) add(queue, `${number++}`, bytes)
          check()
          await sleep(pauseMs)
          check()
        }
        chmodSync(folder, 0o700)
        state.isAway = endsAway
        if (endsAway) await queue.park(10_000)
        else assert.equal(await queue.drained(30_000), true)
        queue.close()
        await sleep(2)
        await queue.closeSpool(60_000)
        check()
        assert.equal(queue.stats('spans').waiting, 0)
        assert.equal(queue.stats('spans').dropped.shutdown, 0)
        assert.equal(state.arrived.length, queue.stats('spans').sent)
        assert.equal(new Set(state.arrived).size, state.arrived.length)
        state.isAway = false
        const next = open(folder, { send, spool })
        const left = queue.stats('spans').spooled
        const before = state.arrived.length
        await until(() => next.stats('spans').sent >= left)
        assert.equal(await next.drained(30_000), true)
        next.close()
        await next.closeSpool(60_000)
        const { recovered, sent } = next.stats('spans')
        assert.equal(sent, recovered)
        // A segment that was sent in part is sent whole: its file is as it was.
        assert.equal(new Set(state.arrived.slice(before)).size, sent)
        const { queue_full, spool_full } = queue.stats('spans').dropped
        assert.equal(new Set(state.arrived).size + queue_full + spool_full, number)
        // What was acknowledged while its segment was being closed may stay, and is sent again by the one after.
        for (let more = 0; more < 5 && readdirSync(folder).length > 0; more++) {
          const last = open(folder, { send, spool })
          assert.equal(await last.drained(30_000), true)
          last.close()
          await last.closeSpool(60_000)
        }
        assert.deepEqual(readdirSync(folder), [])
      },
    ),
    { numRuns: 25, endOnFailure: true },
  )
  assert.ok(linesChecked > 0)
})

test('what a full disk refused stays behind what it has taken before', async (t) => {
  const folder = temporaryFolder(t)
  const { state, send } = kafka()
  state.isAway = true
  const queue = open(folder, { send, spool: { folder, afterMs: 1 }, maxInFlightBytes: 1 })
  for (const sid of sids(0, 20)) add(queue, sid)
  await until(() => queue.stats('spans').spooled === 20)
  t.mock.method(Spool.prototype, 'append', async () => {
    throw new Error('no space left on device')
  })
  for (const sid of sids(20, 40)) add(queue, sid)
  await sleep(20)
  assert.deepEqual([queue.stats('spans').spooled, queue.stats('spans').waiting], [20, 20])
  state.isAway = false
  assert.equal(await queue.drained(30_000), true)
  assert.deepEqual(state.arrived, sids(0, 40))
  queue.close()
  await queue.closeSpool(60_000)
})

test('what is parked goes to disk although Kafka takes some of it meanwhile', async (t) => {
  const folder = temporaryFolder(t)
  let isSlow = true
  const queue = open(folder, {
    maxInFlightBytes: 1_000,
    send: sendEachBy(async () => {
      if (isSlow) await sleep(1)
    }),
  })
  for (const sid of sids(0, 2_000)) add(queue, sid)
  await queue.drained(20)
  await queue.park(10_000)
  queue.close()
  isSlow = false
  await sleep(20)
  await queue.closeSpool(60_000)
  const { sent, spooled, dropped } = queue.stats('spans')
  assert.deepEqual([dropped.shutdown, sent + spooled], [0, 2_000])
  assert.ok(sent < 2_000)
})

test('records whose segment was given up while Kafka had them count as waiting, not as spooled', async (t) => {
  const folder = temporaryFolder(t)
  const { state, send } = kafka()
  state.answers = 'never'
  const spool = { folder, afterMs: 1, maxBytes: 40_000 }
  const queue = open(folder, { send, spool, maxInFlightBytes: 60_000 })
  for (const sid of sids(0, 100)) {
    add(queue, sid, 1_000)
    if (Number(sid) % 10 === 9) await sleep(5)
  }
  await sleep(50)
  const { accepted, waiting, spooled, dropped } = queue.stats('spans')
  assert.equal(waiting + spooled + dropped.spool_full, accepted)
  assert.ok(waiting > 0 && spooled * 1_000 <= queue.spoolBytes, `${waiting} wait, ${spooled} on disk`)
  queue.close()
  await queue.closeSpool(60_000)
})

test('a spool folder that does not answer holds up what Kafka can have for some seconds, and no longer', {
  skip: process.platform === 'win32' && 'there is no mkfifo',
}, async (t) => {
  const folder = temporaryFolder(t)
  // As of a network file system that hangs: what another process left cannot be read to its end.
  const left = join(folder, '0'.repeat(32))
  mkdirSync(left)
  writeFileSync(join(left, 'lock'), '')
  const pipe = join(left, '0000000001.spool')
  execFileSync('mkfifo', [pipe])
  const { state, send } = kafka()
  const queue = open(folder, { send, spool: { folder, afterMs: 1 } })
  for (const sid of sids(0, 50)) add(queue, sid)
  await until(() => queue.stats('spans').sent === 50)
  assert.deepEqual(state.arrived, sids(0, 50))
  assert.equal(await queue.drained(1_000), true)
  // It answers after all.
  closeSync(openSync(pipe, 'w'))
  state.isAway = true
  for (const sid of sids(50, 60)) add(queue, sid)
  await until(() => queue.stats('spans').spooled === 10)
  queue.close()
  await queue.closeSpool(60_000)
})
