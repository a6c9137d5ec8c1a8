import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Admin } from 'kafkajs'
import { createKafka } from '../../src/kafka/client.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { freshName } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { metric, until } from '../worker/worker-for-tests.ts'
import { endWell, FreshPipeline } from './pipeline-for-tests.ts'

const PARTITIONS = 6
const SESSION_MS = 6_000
/** Whoever reads or writes sees new partitions when what it knows of the topic is so old. */
const METADATA_MS = 60_000
const HOUR_MS = 3_600_000
const servers = await useServers()

/** What makes a worker do `fault` each time it gets SIGUSR2; see the file that is loaded. */
function misbehaving(fault: string, nodeOptions = ''): Record<string, string> {
  const script = new URL('../support/misbehave.ts', import.meta.url)
  return { FAULT: fault, NODE_OPTIONS: `--import ${script} ${nodeOptions}` }
}

const assigned = (...urls: readonly string[]) =>
  Promise.all(urls.map((url) => metric(url, 'sidereal_assigned_partitions')))

async function untilSettled(pipeline: FreshPipeline, url: string): Promise<void> {
  await pipeline.until(
    'everything is settled',
    async () => (await metric(url, 'sidereal_watermark_age_seconds_max')) === 0,
  )
}

async function withAdmin(work: (admin: Admin) => Promise<unknown>): Promise<void> {
  const admin = createKafka(
    { brokers: servers.brokers },
    { clientId: freshName('client'), logger: silentLogger },
  ).admin()
  await admin.connect()
  try {
    await work(admin)
  } finally {
    await admin.disconnect()
  }
}

/** SIDs of which Kafka has records in more than one partition, by the ledger of a load. */
function movedTraces(ledger: string): number {
  const partitions = new Map<number, Set<number>>()
  let names: [number, number][] = []
  for (const line of readFileSync(ledger, 'utf8').split('\n').slice(1, -1)) {
    const { type, records, at } = JSON.parse(line)
    if (type === 'send') names = records
    if (type !== 'acknowledged') continue
    for (const [index, [trace]] of names.entries()) {
      partitions.set(trace, (partitions.get(trace) ?? new Set()).add(at[index][0]))
    }
  }
  return [...partitions.values()].filter((own) => own.size > 1).length
}

describe('in the middle of a load', { concurrency: 2 }, () => {
  test('the topic gets more partitions, and SIDs move: the tables are what was sent', async () => {
    const pipeline = await FreshPipeline.open(servers, { SIDEREAL_TOPIC_PARTITIONS: '3' })
    const worker = pipeline.startWorker()
    const url = await worker.metricsUrl()
    // Slow, so that many traces are half sent at any moment.
    const load = pipeline.startLoad(150)
    await pipeline.untilStored(200)
    const topicPartitions = [{ topic: pipeline.topic, count: PARTITIONS }]
    await withAdmin((admin) => admin.createPartitions({ topicPartitions }))
    await until(
      'the new partitions are assigned and used',
      async () => (await assigned(url))[0] === PARTITIONS && movedTraces(load.ledger) > 0,
      METADATA_MS + 60_000,
    )
    await pipeline.untilStored((await pipeline.storedSpans()) + 500)
    await load.stop()
    await pipeline.verifyClean([load.ledger])
    assert.equal(await metric(url, 'sidereal_position_jumps_total'), 0)
    await endWell(worker)
  })

  test('the loop of a worker stands still beyond its session: it answers no probe, another takes its work, it comes back, and the tables are what was sent', async () => {
    const pipeline = await FreshPipeline.open(servers)
    const standing = pipeline.startWorker(misbehaving(`block:${3 * SESSION_MS}`))
    const other = pipeline.startWorker()
    const urls = [await standing.metricsUrl(), await other.metricsUrl()] as const
    await pipeline.until('both share the partitions', async () =>
      (await assigned(...urls)).every((count) => count === PARTITIONS / 2),
    )
    const load = pipeline.startLoad(300)
    await pipeline.untilStored(500)
    const joins = await metric(urls[1], 'sidereal_rebalances_total')

    standing.signal('SIGUSR2')
    await pipeline.until('it stands still', () => standing.stderr.includes('fault: block'))
    const probe = fetch(`${urls[0]}/healthz`, { signal: AbortSignal.timeout(1_000) })
    await assert.rejects(probe, { name: 'TimeoutError' })
    await pipeline.until('the other takes all', async () => (await assigned(urls[1]))[0] === PARTITIONS)
    await pipeline.until('both share the partitions again', async () =>
      (await assigned(...urls)).every((count) => count === PARTITIONS / 2),
    )
    assert.ok((await metric(urls[1], 'sidereal_rebalances_total')) > joins)
    await pipeline.until('it is ready', async () => (await fetch(`${urls[0]}/readyz`)).status === 200)
    await pipeline.untilStored((await pipeline.storedSpans()) + 500)
    await load.stop()
    await pipeline.verifyClean([load.ledger])
    await endWell(standing)
    await endWell(other)
  })

  test('the wall clock of a worker jumps an hour ahead, and two back: it goes on, and the tables are what was sent', async () => {
    const pipeline = await FreshPipeline.open(servers)
    const worker = pipeline.startWorker(misbehaving(`clock:${HOUR_MS},${-2 * HOUR_MS}`))
    const url = await worker.metricsUrl()
    const load = pipeline.startLoad(300)
    await pipeline.untilStored(300)
    for (const jump of [1, 2]) {
      worker.signal('SIGUSR2')
      await pipeline.until(
        `its clock has jumped ${jump} times`,
        () => worker.stderr.split('fault: clock').length > jump,
      )
      // Longer than it would take to lose the lease, without which nothing is stored.
      await sleep(SESSION_MS + 2_000)
      await pipeline.untilStored((await pipeline.storedSpans()) + 300)
    }
    assert.equal((await fetch(`${url}/readyz`)).status, 200)
    await load.stop()
    await pipeline.verifyClean([load.ledger])
    await endWell(worker)
  })

  test('the heap of a worker is full: it ends with a signal, and with its successor the tables are what was sent', async () => {
    const pipeline = await FreshPipeline.open(servers)
    const first = pipeline.startWorker(misbehaving('fill-heap', '--max-old-space-size=150'))
    await first.metricsUrl()
    const load = pipeline.startLoad(300, '--open-share', '0.1')
    await pipeline.untilStored(500)
    const { code, signal, stderr } = await first.kill('SIGUSR2')
    assert.deepEqual([code, signal], [null, 'SIGABRT'])
    assert.match(stderr, /heap out of memory/)
    const second = pipeline.startWorker()
    await second.metricsUrl()
    await pipeline.untilStored((await pipeline.storedSpans()) + 500)
    await load.stop()
    await pipeline.verifyClean([load.ledger])
    await endWell(second)
  })

  test('a second worker comes with the instance id of the first: both are told, both work on, and the tables are what was sent', async () => {
    const pipeline = await FreshPipeline.open(servers, { SIDEREAL_INSTANCE_ID: 'pod-0' })
    const first = pipeline.startWorker()
    const firstUrl = await first.metricsUrl()
    const load = pipeline.startLoad(300)
    await pipeline.untilStored(500)
    const second = pipeline.startWorker()
    const secondUrl = await second.metricsUrl()
    await pipeline.until('both share the partitions', async () =>
      (await assigned(firstUrl, secondUrl)).every((count) => count === PARTITIONS / 2),
    )
    assert.match(second.stdout, /removed a member of this instance id.*or a second one that lives/)
    assert.match(first.stdout, /joined the group as a new member.*another process has this instance id/)
    await pipeline.untilStored((await pipeline.storedSpans()) + 500)
    await load.stop()
    await pipeline.verifyClean([load.ledger])
    await endWell(first)
    await endWell(second)
  })
})

describe('in its group', { concurrency: 2 }, () => {
  test('the offsets of the group are deleted between two runs: everything is read again, and the tables are what was sent', async () => {
    const pipeline = await FreshPipeline.open(servers)
    const ledgers: string[] = []
    const loadSome = async (): Promise<void> => {
      const ledger = pipeline.newFile('load.jsonl')
      const load = await pipeline.run(['load', '--ledger', ledger, '--traces', '100'])
      assert.equal(load.code, 0, load.output)
      ledgers.push(ledger)
    }
    const runWorker = async (): Promise<number> => {
      const worker = pipeline.startWorker()
      const url = await worker.metricsUrl()
      await pipeline.untilStored(1_200 * ledgers.length)
      await untilSettled(pipeline, url)
      const records = await metric(url, 'sidereal_records_consumed_total')
      await endWell(worker)
      return records
    }
    await loadSome()
    const first = await runWorker()
    await withAdmin((admin) => admin.deleteGroups([pipeline.env['SIDEREAL_GROUP'] ?? '']))
    await loadSome()
    const second = await runWorker()
    assert.ok(second > 1.5 * first, `${first} records, then ${second}: it went on where it was`)
    for (const ledger of ledgers) await pipeline.verifyClean([ledger])
  })

  test('a member of another kind is in the group: the worker ends with code 1 and one line that says what to change', async () => {
    const pipeline = await FreshPipeline.open(servers)
    const groupId = pipeline.env['SIDEREAL_GROUP'] ?? ''
    const stranger = createKafka(
      { brokers: servers.brokers },
      { clientId: freshName('client'), logger: silentLogger },
    ).consumer({ groupId })
    const joined = new Promise((resolve) => stranger.on(stranger.events.GROUP_JOIN, resolve))
    await stranger.connect()
    await stranger.subscribe({ topic: pipeline.topic })
    await stranger.run({ autoCommit: false, eachBatch: async () => undefined })
    await joined
    try {
      const { code, stderr } = await pipeline.run(['worker'])
      assert.equal(code, 1, stderr)
      assert.match(stderr, /^sidereal: SIDEREAL_SOURCE_LOST: .*no Sidereal workers; set SIDEREAL_GROUP/)
      assert.equal(stderr.trim().split('\n').length, 1, stderr)
    } finally {
      await stranger.disconnect()
    }
  })
})
