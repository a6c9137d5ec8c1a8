import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { SeededRandom } from '../../src/audit/seeded-random.ts'
import { freePorts } from '../../src/local/free-ports.ts'
import { FreshPipeline } from '../invariants/pipeline-for-tests.ts'
import { useServers } from '../support/servers.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../worker/worker-for-tests.ts'
import { SupervisedWorker } from './supervised-worker.ts'

const SESSION_MS = 6_000
const PARTITIONS = 6
const SPANS_A_SECOND = 400
const SPANS_BETWEEN_FAULTS = 800
/** A supervised worker comes back by itself, but on a busy machine it takes its time. */
const PATIENCE_MS = 240_000
const WAITING_BYTES = 500_000
const COMMIT_MS = 500
const COMMITS = 6
const servers = await useServers()

test('two workers under load, killed, stopped beyond their session, joined and left in a storm, with a ClickHouse that hangs: the tables are what was sent', async () => {
  const seed = Number(process.env['CHAOS_SEED'] ?? Math.floor(Math.random() * 1_000_000))
  const say = (line: string) => process.stderr.write(`${new Date().toISOString()} ${line}\n`)
  say(`CHAOS_SEED=${seed}`)
  const random = new SeededRandom(seed, 0, 0x6368616f)
  const pipeline = await FreshPipeline.open(servers, {
    SIDEREAL_TOPIC_PARTITIONS: String(PARTITIONS),
    SIDEREAL_SESSION_TIMEOUT_MS: String(SESSION_MS),
    SIDEREAL_CLICKHOUSE_TIMEOUT_MS: '5000',
    SIDEREAL_COMMIT_INTERVAL_MS: String(COMMIT_MS),
  })
  const door = new TcpProxy(servers.clickhouseUrl)
  const clickHouseUrl = await door.start()
  const logFolder = mkdtempSync(join(tmpdir(), 'sidereal-chaos-'))
  const ports = await freePorts(3)
  const workers = ports.map(
    (metricsPort, place) =>
      new SupervisedWorker({
        name: `worker-${place}`,
        env: { ...pipeline.env, SIDEREAL_CLICKHOUSE_URL: clickHouseUrl },
        metricsPort,
        logFolder,
        onEvent: say,
      }),
  )
  const [first, second, guest] = workers
  assert.ok(first !== undefined && second !== undefined && guest !== undefined)
  const residents = [first, second]
  /** After each fault more of what is sent must arrive, or the next fault hides what the last one broke. */
  const more = async () => {
    const wanted = (await pipeline.storedSpans()) + SPANS_BETWEEN_FAULTS
    const isThere = async () => (await pipeline.storedSpans()) >= wanted
    await until(`${wanted} spans are stored`, isThere, PATIENCE_MS)
  }

  /** Hangs until this worker has batches that wait, and has made several commits since: none of them may know of these. */
  const hang = async (worker: SupervisedWorker) => {
    // One that is starting again would not get past the check of ClickHouse.
    await worker.untilReady()
    door.set('hanging')
    const isWaiting = async () =>
      ((await worker.metrics())?.get('sidereal_undelivered_bytes') ?? 0) > WAITING_BYTES
    await until(`batches of ${worker.name} wait for ClickHouse`, isWaiting, PATIENCE_MS)
    await sleep(COMMITS * COMMIT_MS)
  }
  const faults: Record<string, () => Promise<void>> = {
    'kill -9': async () => random.pick(residents).killHard(),
    'ClickHouse hangs': async () => {
      await hang(random.pick(residents))
      door.reopen()
    },
    'kill -9 while ClickHouse hangs': async () => {
      const worker = random.pick(residents)
      await hang(worker)
      worker.killHard()
      door.reopen()
    },
    SIGSTOP: async () => {
      const worker = random.pick(residents)
      worker.freeze()
      await sleep(SESSION_MS * 1.5)
      worker.thaw()
    },
    'join storm': async () => {
      for (let turn = 0; turn < 3; turn++) {
        guest.start()
        await guest.untilReady()
        await sleep(random.integer(0, 1_500))
        await guest.stop()
      }
    },
  }

  try {
    for (const worker of residents) worker.start()
    const load = pipeline.startLoad(SPANS_A_SECOND, '--payload-share', '0.1', '--open-share', '0.05')
    await more()
    const names = Object.keys(faults)
    while (names.length > 0) {
      const [name] = names.splice(random.integer(0, names.length - 1), 1)
      say(name!)
      await faults[name!]!()
      await more()
    }
    await load.stop()
    await pipeline.verifyClean([load.ledger])
    for (const worker of residents) await worker.stop()
  } finally {
    await Promise.all(workers.map((worker) => worker.destroy()))
    await door.close()
    rmSync(logFolder, { recursive: true, force: true })
  }
})
