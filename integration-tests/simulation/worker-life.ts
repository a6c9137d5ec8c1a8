import { SeededRandom } from '../../src/audit/seeded-random.ts'
import type { Clock, Timer } from '../../src/model/clock.ts'
import { pause } from '../../src/model/retry.ts'
import type { SourceRecord, Task, TaskHandler } from '../../src/model/task.ts'
import { WorkerCounters } from '../../src/telemetry/counters.ts'
import type { Logger } from '../../src/telemetry/logger.ts'
import { TaskAssembler } from '../../src/worker/assemble/task-assembler.ts'
import { memoryShares } from '../../src/worker/memory-shares.ts'
import { Pipeline } from '../../src/worker/pipeline.ts'
import { Offload } from '../../src/worker/process/offload.ts'
import { sourceSettings } from '../../src/worker/source/source-options.ts'
import { SourceState } from '../../src/worker/source/source-state.ts'
import { CapsOracle } from './caps-oracle.ts'
import { KafkaClient } from './kafka-client.ts'
import { OpenTracesOracle } from './open-traces-oracle.ts'
import { PAYLOAD_LIMIT } from './records.ts'
import { SimProcess } from './scheduler.ts'
import { deadLetterProducer, payloadStorage, schemaSource } from './services.ts'
import { recordSink, tableSink } from './sinks.ts'
import type { World } from './world.ts'

const COMMIT_POLL_MS = 20
const STOP_TIMEOUT_MS = 1_000
const CLOSE_MS = 500

/** One life of a worker process, from its start to its end or its death: wired as worker.ts and source.ts wire it. */
export class WorkerLife {
  readonly index: number
  readonly process: SimProcess
  readonly client: KafkaClient
  readonly state: SourceState
  readonly pipeline: Pipeline
  readonly counters = new WorkerCounters()
  readonly clock: Clock
  readonly shares: ReturnType<typeof memoryShares>
  /** Records that best-effort sinks said they lost. */
  lostToBestEffort = 0
  readonly openTraces: OpenTracesOracle
  /** Undefined = the process is below its memory limit. */
  overMemorySinceMs: number | undefined
  /** Resident memory at other times. */
  restingRssBytes = 0
  undeliveredSinceMs: number | undefined
  hasLeft = false
  readonly #world: World
  #ticker: Timer | undefined

  constructor(world: World, index: number, life: number) {
    const { options, scheduler } = world
    this.#world = world
    this.index = index
    this.process = new SimProcess(`w${index}.${life}`)
    this.openTraces = new OpenTracesOracle(options.rules, (partition) => world.log(partition))
    const seeded = new SeededRandom(world.seed, 5, index, life)
    const random = (): number => seeded.next()
    this.clock = scheduler.clockOf(this.process, seeded.integer(-3_600_000, 3_600_000))
    const settings = sourceSettings(
      {
        topic: world.topic,
        groupId: 'group',
        instanceId: options.hasInstanceIds ? `instance-${index}` : undefined,
        sessionTimeoutMs: options.sessionTimeoutMs,
        rebalanceTimeoutMs: options.rebalanceTimeoutMs,
        heartbeatMs: options.heartbeatMs,
        maxWaitMs: options.maxWaitMs,
        commitIntervalMs: options.commitIntervalMs,
        maxUncommittedMs: options.maxUncommittedMs,
        tickMs: 200,
        quietPollMs: 450,
        maxLedgerCharacters: options.clientLedgerCharacters,
        fetchSilenceMs: options.fetchSilenceMs,
        stopTimeoutMs: STOP_TIMEOUT_MS,
      },
      random,
    )
    const logger = this.#logger()
    this.client = new KafkaClient(world, this.process, settings, new SeededRandom(world.seed, 6, index, life))
    this.state = new SourceState({
      settings,
      clock: this.clock,
      logger,
      port: this.client,
      createHandler: (task) => this.#observe(task, this.pipeline.handlerFor(task)),
    })
    this.shares = memoryShares(options.maxMemoryBytes)
    this.pipeline = new Pipeline(
      {
        rules: options.rules,
        maxMemoryBytes: options.maxMemoryBytes,
        batchRows: options.batchRows,
        batchMs: options.batchMs,
        bestEffortQueueBytes: options.bestEffortQueueBytes,
        deadLetterTopic: 'dead-letters',
        deadLetterLimits: world.deadLetterLimits,
        groupId: 'group',
      },
      {
        schemas: schemaSource(world, this.process),
        processor: options.hasObjectStore
          ? new Offload({
              packer: payloadStorage(world, this.process, this.clock),
              recordTypes: (id) => world.recordTypes.get(id),
              logger,
              limitBytes: PAYLOAD_LIMIT,
            })
          : null,
        required: [
          tableSink(world, this.process),
          ...(options.hasArchive ? [recordSink(world, this.process, 'archive')] : []),
        ],
        bestEffort: options.hasBestEffort ? [recordSink(world, this.process, 'otlp')] : [],
        deadLetterProducer: deadLetterProducer(world, this.process),
        gate: this.state,
        instanceId: settings.instanceId,
        metrics: {
          observeWrite: () => undefined,
          countError: () => undefined,
          countRefused: () => undefined,
          countLost: (_sink, records) => {
            this.lostToBestEffort += records
          },
        },
        counters: this.counters,
        clock: this.clock,
        random,
        logger,
        collectGarbage: () => undefined,
        readRss: () =>
          this.overMemorySinceMs === undefined ? this.restingRssBytes : options.maxMemoryBytes + 1,
      },
    )
  }

  start(): void {
    this.client.start(this.state)
    this.pipeline.start()
    this.#tickLater()
  }

  /** As `Worker.stop` and `Source.close`. */
  async stop(): Promise<void> {
    const { options } = this.#world
    this.state.stopIntake()
    await this.#before(options.sessionTimeoutMs * 0.6, this.pipeline.drained())
    await this.#before(
      CLOSE_MS,
      this.pipeline.close().then(() => this.#checkNothingIsHeld()),
    )
    this.state.stopIntake()
    const deadlineMs = this.clock.monotonicMs() + STOP_TIMEOUT_MS
    this.state.commitNow()
    while (!this.state.isCommitted && this.clock.monotonicMs() < deadlineMs) {
      await new Promise<void>((resolve) => this.clock.setTimer(resolve, COMMIT_POLL_MS))
    }
    this.#ticker?.cancel()
    this.state.loseAll()
    this.client.leave()
    this.hasLeft = true
  }

  #checkNothingIsHeld(): void {
    const { undeliveredBytes } = this.pipeline.deliverer
    if (undeliveredBytes > 0 && this.process.isAlive)
      this.#world.oracle.fail(`${this.process.name} has closed, and still holds ${undeliveredBytes} bytes`)
  }

  #tickLater(): void {
    this.#ticker = this.clock.setTimer(() => {
      this.#tickLater()
      this.state.tick()
    }, this.#world.options.tickMs)
  }

  async #before(limitMs: number, work: Promise<unknown>): Promise<void> {
    const isOver = new AbortController()
    await Promise.race([work, pause(this.clock, limitMs, isOver.signal)])
    isOver.abort()
  }

  /** The handler, and what the oracle wants to see of it. */
  #observe(task: Task, handler: TaskHandler): TaskHandler {
    const seen = { taken: new Set<number>(), settled: undefined }
    const { oracle, deadLetterLimits } = this.#world
    const { deadLetters } = this.pipeline
    const caps = new CapsOracle(this.#world, this.process.name, task, deadLetterLimits, this.pipeline.caps)
    this.#world.refusedBudget.noteBegun(task.partition)
    return {
      onRecord: (record: SourceRecord) => {
        const [before, letters] = [caps.before(), deadLetters.queuedRecords]
        const answer = handler.onRecord(record)
        caps.after(before, { offset: record.offset, answer, isLetter: deadLetters.queuedRecords > letters })
        if (answer === 'taken') {
          oracle.onTaken(this.process, task, record.offset, seen)
          this.openTraces.noteTaken(task, record.offset, record.appendTimeMs)
        }
        return answer
      },
      onSkipped: (record) => {
        handler.onSkipped(record)
        if (handler instanceof TaskAssembler)
          oracle.onSkipped(this.process, handler.oldestMs, record.appendTimeMs)
        this.openTraces.noteSkipped(task, record.appendTimeMs)
        oracle.checkOpenTraces(this)
      },
      onQuiet: (clockMs) => handler.onQuiet(clockMs),
      onTick: () => handler.onTick(),
      onLost: () => handler.onLost(),
    }
  }

  #logger(): Logger {
    const nothing = (): void => undefined
    return {
      debug: nothing,
      info: (fields, message) => this.#world.onInfoLine(fields, message),
      warn: nothing,
      error: (fields, message) => this.#world.onErrorLine(fields, message),
    }
  }
}
