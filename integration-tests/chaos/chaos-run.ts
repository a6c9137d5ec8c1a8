import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SeededRandom } from '../../src/audit/seeded-random.ts'
import { CheckedProducer } from '../../src/kafka/checked-producer.ts'
import { createKafka } from '../../src/kafka/client.ts'
import { freePorts } from '../../src/local/free-ports.ts'
import { ClickHouse } from '../../src/storage/clickhouse/client.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { Canaries } from './canaries.ts'
import { type ChaosStack, openChaosStack } from './chaos-stack.ts'
import type { Fault } from './fault.ts'
import { checkAll } from './final-checks.ts'
import { Group } from './group.ts'
import { LoadProcess } from './load-process.ts'
import { quantile } from './metrics.ts'
import { Poison } from './poison.ts'
import { calmDelay, type Report, type ReportedInjection } from './report.ts'
import { sendAgain } from './sending-again.ts'
import { SupervisedWorker } from './supervised-worker.ts'
import { delaysDuring, type Injection, runTimeline } from './timeline.ts'
import { Watch } from './watch.ts'
import { WrittenRows } from './written-rows.ts'

const WORKERS = 3
const CALM_MS = 10_000
/** About so many spans in a record of the load, its logs counted. */
const SPANS_A_RECORD = 2.7
const POISON_SHARE = 0.001
const SEND_MS = 120_000
/** Counts go through every row of the run. */
const COUNT_MS = 600_000

export interface ChaosRunOptions {
  readonly seed: number
  readonly folder: string
  readonly minutes: number
  /** Spans a second. */
  readonly rate: number
  readonly faults: readonly Fault[]
  /** Settings of the workers, in place of those of the run. */
  readonly changes: Readonly<Record<string, string>>
  readonly say: (line: string) => void
  readonly signal: AbortSignal
}

/** One run from the start of the servers to the verdict. */
export class ChaosRun {
  readonly #options: ChaosRunOptions
  readonly #problems: string[] = []
  readonly #work: string

  constructor(options: ChaosRunOptions) {
    this.#options = options
    this.#work = join(options.folder, 'work')
    mkdirSync(this.#work, { recursive: true })
  }

  async run(): Promise<Report> {
    const { changes, say } = this.#options
    await using chaos = await openChaosStack(changes, say)
    const workers = await this.#workers(chaos)
    const load = new LoadProcess({
      env: chaos.env,
      folder: this.#work,
      seed: this.#options.seed,
      rate: this.#options.rate,
      onEvent: say,
    })
    try {
      return await this.#runOn(chaos, workers, load)
    } finally {
      await load.destroy()
      await Promise.all(workers.map((worker) => worker.destroy()))
    }
  }

  async #runOn(chaos: ChaosStack, workers: readonly SupervisedWorker[], load: LoadProcess): Promise<Report> {
    const { seed, minutes, rate, faults, say, signal } = this.#options
    const startedAt = new Date()
    const startMs = performance.now()
    const env = (key: string): string => chaos.env[key] ?? ''
    const brokers = env('SIDEREAL_KAFKA_BROKERS').split(',')
    const topic = env('SIDEREAL_TOPIC')
    const deadLetterTopic = env('SIDEREAL_DEAD_LETTER_TOPIC')
    const registryUrl = env('SIDEREAL_REGISTRY_URL')
    const clickHouse = new ClickHouse({
      url: env('SIDEREAL_CLICKHOUSE_URL'),
      database: env('SIDEREAL_CLICKHOUSE_DATABASE'),
      requestTimeoutMs: 10_000,
    })
    const written = new WrittenRows(
      new ClickHouse({
        url: env('SIDEREAL_CLICKHOUSE_URL'),
        database: env('SIDEREAL_CLICKHOUSE_DATABASE'),
        requestTimeoutMs: COUNT_MS,
      }),
    )
    await written.create()
    const producer = new CheckedProducer({
      kafka: createKafka({ brokers }, { clientId: 'chaos-producer', logger: silentLogger }),
      brokers,
      logger: silentLogger,
      sendTimeoutMs: SEND_MS,
    })
    await producer.start()
    const group = new Group({ brokers, topic, deadLetterTopic, groupId: env('SIDEREAL_GROUP') })
    await group.connect()
    const canaries = new Canaries({ producer, topic, registryUrl, clickHouse })
    const perSecond = (rate / SPANS_A_RECORD) * POISON_SHARE
    const partitions = Number(env('SIDEREAL_TOPIC_PARTITIONS'))
    const poison = await Poison.open({ producer, topic, registryUrl, perSecond, partitions })
    const residents = workers.slice(0, WORKERS)
    const guest = workers[WORKERS]
    if (guest === undefined) throw new Error('there is no guest')
    for (const worker of residents) worker.start()
    await Promise.all(residents.map((worker) => worker.untilReady()))
    const watch = new Watch(group, canaries, workers)
    const random = new SeededRandom(seed, 0, 0x6368616f)

    say(`load of ${rate} spans/s begins`)
    load.start()
    await canaries.start()
    poison.start()
    watch.start()
    const timeline = await runTimeline({
      faults,
      context: {
        chaos,
        workers: residents,
        guest,
        canaries,
        group,
        random,
        sendAgain: () => sendAgain(group, producer, random),
        say,
      },
      watch,
      durationMs: minutes * 60_000,
      broken: (what) => {
        say(`BROKEN ${what}`)
        this.#problems.push(what)
      },
      signal,
    })

    say('the faults are over')
    await sleep(CALM_MS)
    await load.stop()
    poison.stop()
    canaries.stopSending()
    const tookMinutes = (performance.now() - startMs) / 60_000
    await producer.close()
    const verdict = await checkAll({
      env: chaos.env,
      ledgers: load.ledgers,
      poison,
      canaries,
      brokers,
      deadLetterTopic,
      say,
    })
    await watch.stop()
    const { end } = await group.lag()
    await Promise.all(residents.map((worker) => worker.stop()))
    const report: Report = {
      seed,
      minutes: tookMinutes,
      rate,
      startedAt: startedAt.toISOString(),
      isClean: this.#problems.length + verdict.problems.length === 0,
      problems: [...this.#problems, ...verdict.problems],
      unexpectedEnds: workers.flatMap(({ unexpectedEnds }) => unexpectedEnds),
      loads: load.ledgers.length,
      records: end,
      rowsWritten: await written.total(),
      rowsRewritten: await written.totalRepeated(),
      calmDelayMs: calmDelay(timeline),
      verdict,
      injections: await this.#withConsequences(timeline.injections, canaries, written),
    }
    await group.close()
    await Promise.all([clickHouse.close(), written.close()])
    return report
  }

  /** Only at the end: what was sent during a fault may have become visible long after it, and to count rows takes the server a while. */
  async #withConsequences(
    injections: readonly Injection[],
    canaries: Canaries,
    written: WrittenRows,
  ): Promise<ReportedInjection[]> {
    const reported: ReportedInjection[] = []
    for (const injection of injections) {
      const delays = delaysDuring(injection, canaries.delays)
      reported.push({
        ...injection,
        rewritten: await written.repeatedBetween(injection.startedMs, injection.recoveredMs),
        p99DelayMs: quantile(delays, 0.99),
        maxDelayMs: Math.max(0, ...delays),
      })
    }
    return reported
  }

  async #workers(chaos: ChaosStack): Promise<SupervisedWorker[]> {
    const ports = await freePorts(WORKERS + 1)
    return ports.map(
      (metricsPort, place) =>
        new SupervisedWorker({
          name: place < WORKERS ? `worker-${place}` : 'guest',
          env: chaos.workerEnv,
          metricsPort,
          logFolder: this.#work,
          onEvent: this.#options.say,
        }),
    )
  }
}
