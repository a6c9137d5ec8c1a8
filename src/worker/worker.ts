import { SchemaRegistry } from '../codec/schema-registry.ts'
import type { Config } from '../config/config.ts'
import {
  clickHouseConnection,
  kafkaConnection,
  objectStoreConnection,
  registryConnection,
} from '../config/connections.ts'
import { CheckedProducer } from '../kafka/checked-producer.ts'
import { createKafka } from '../kafka/client.ts'
import { UNAVAILABLE_ADVICE } from '../kafka/kafka-error.ts'
import type { Clock } from '../model/clock.ts'
import { type ErrorCode, SiderealError } from '../model/errors.ts'
import { pause } from '../model/retry.ts'
import { within } from '../model/within.ts'
import { type ObjectStore, openObjectStore } from '../storage/object-store.ts'
import { WorkerCounters } from '../telemetry/counters.ts'
import { HealthServer } from '../telemetry/health-server.ts'
import type { Logger } from '../telemetry/logger.ts'
import { WorkerMetrics } from '../telemetry/metrics.ts'
import { garbageCollector } from './collect-garbage.ts'
import { checkDeadLetterTopic } from './deliver/check-dead-letter-topic.ts'
import { memoryShares } from './memory-shares.ts'
import { Observer } from './observer.ts'
import { Pipeline } from './pipeline.ts'
import { openProcessor, type Processor } from './processor.ts'
import { loadSinks, type SinkSettings, type Sinks } from './sinks.ts'
import { Source } from './source/source.ts'
import { sourceRequestMs } from './source-request-ms.ts'

/** Time for one start check. The servers are checked side by side, so that a worker says what is wrong within 15 s, on a busy machine too. */
const CHECK_MS = 10_000
/** Time to reach the group, once the servers are known to answer. */
const JOIN_MS = 12_000
/** Part of the session timeout that draining may take: the partitions must still be ours when it ends. */
const DRAIN_SHARE = 0.6
const MAX_DRAIN_MS = 20_000
/** For what must end soon, once draining is over. */
const CLOSE_MS = 3_000

export interface WorkerDeps {
  readonly logger: Logger
  readonly clock: Clock
  readonly random: () => number
}

/**
 * A stream worker: Kafka → traces → sinks. Life: `open()`, `start()`; `failed` rejects when it cannot go on; `stop()` drains and leaves.
 * One a process, since memory and health are the process's own.
 */
export class Worker {
  readonly #config: Config
  readonly #deps: WorkerDeps
  readonly #counters = new WorkerCounters()
  readonly #schemas: SchemaRegistry
  readonly #store: ObjectStore | null
  readonly #processor: Processor
  readonly #sinks: Sinks
  readonly #producer: CheckedProducer
  readonly #source: Source
  readonly #pipeline: Pipeline
  readonly #observer: Observer
  readonly #health: HealthServer
  readonly #failed = Promise.withResolvers<never>()

  static async open(config: Config, deps: WorkerDeps): Promise<Worker> {
    return new Worker(config, deps, await loadSinks(config.worker.sinks))
  }

  private constructor(config: Config, deps: WorkerDeps, openSinks: (settings: SinkSettings) => Sinks) {
    const { logger, clock, random } = deps
    const { worker, topics } = config
    this.#config = config
    this.#deps = deps
    const connection = kafkaConnection(config)
    const { brokers } = connection
    const limits = { payloadLimitBytes: config.payloads.limitBytes }
    this.#schemas = new SchemaRegistry({
      ...registryConnection(config),
      timeoutMs: CHECK_MS - 2_000,
      ...limits,
    })
    const store = objectStoreConnection(config)
    this.#store = store === undefined ? null : openObjectStore(store.url, store)
    const counters = this.#counters
    const shares = memoryShares(worker.maxMemoryBytes)
    const recordTypes = (schemaId: number) => this.#schemas.cached(schemaId)
    const shared = { recordTypes, counters, clock, logger }
    this.#processor = openProcessor({ store: this.#store, random, ...limits, ...shared })
    this.#sinks = openSinks({
      clickHouse: clickHouseConnection(config),
      maxRowBytes: shares.rowBytes,
      feeder: config.clickhouse.feeder,
      otlp: config.otlp,
      ...shared,
    })
    this.#producer = new CheckedProducer({
      kafka: createKafka(connection, { clientId: 'sidereal-dead-letters', logger }),
      brokers,
      logger,
    })
    const requestTimeoutMs = sourceRequestMs(worker.sessionTimeoutMs)
    this.#source = new Source(
      {
        topic: topics.traces,
        groupId: worker.group,
        instanceId: worker.instanceId,
        sessionTimeoutMs: worker.sessionTimeoutMs,
        heartbeatMs: worker.heartbeatMs,
        commitIntervalMs: worker.commitIntervalMs,
        maxBytesPerPartition: shares.fetchPartitionBytes,
        maxBytes: shares.fetchBytes,
        maxUnpackedBytes: shares.unpackedBytes,
        maxUnpackedBatchBytes: shares.unpackedBatchBytes,
        startTimeoutMs: JOIN_MS,
      },
      {
        clock,
        logger,
        random,
        createKafka: (clientId) => createKafka(connection, { clientId, logger, requestTimeoutMs }),
        brokers: brokers.join(','),
        createHandler: (task) => this.#pipeline.handlerFor(task),
        onFatal: (error) => this.#fail(error),
      },
    )
    const metrics = new WorkerMetrics({
      counters,
      figures: () => this.#observer.figures(),
      sinks: this.#sinks.all.map((sink) => sink.name),
    })
    this.#pipeline = new Pipeline(
      {
        rules: {
          quietMs: worker.quietMs,
          idleMs: worker.idleMs,
          maxAgeMs: worker.maxAgeMs,
          maxRows: worker.spanLimit,
          maxBytes: worker.bytesLimit,
        },
        maxMemoryBytes: worker.maxMemoryBytes,
        batchRows: config.clickhouse.batchRows,
        batchMs: config.clickhouse.batchMs,
        bestEffortQueueBytes: config.otlp.queueBytes,
        deadLetterTopic: topics.deadLetters,
        deadLetterLimits: {
          maxRatio: worker.deadLetterMaxRatio,
          maxConsecutive: worker.deadLetterMaxConsecutive,
        },
        groupId: worker.group,
      },
      {
        schemas: this.#schemas,
        processor: this.#processor,
        required: this.#sinks.required,
        bestEffort: this.#sinks.bestEffort,
        deadLetterProducer: this.#producer,
        gate: this.#source,
        instanceId: this.#source.instanceId,
        metrics,
        counters,
        clock,
        random,
        logger,
        readRss: () => process.memoryUsage.rss(),
        collectGarbage: garbageCollector(),
      },
    )
    this.#observer = new Observer(clock, {
      source: this.#source,
      pipeline: this.#pipeline,
      processor: this.#processor,
      storeUrl: this.#store?.url ?? null,
      registryUrl: config.registry.url,
    })
    this.#health = new HealthServer({
      host: config.metrics.host,
      port: config.metrics.port,
      registry: metrics.registry,
      verdict: () => this.#observer.verdict(),
    })
    // Whoever does not wait for it learns of it from `start` or from health.
    this.#failed.promise.catch(() => undefined)
  }

  /** Rejects when the worker cannot go on: end the process with a code that is not 0. Never resolves. */
  get failed(): Promise<never> {
    return this.#failed.promise
  }

  /**
   * Checks every server, then joins the group.
   *
   * @throws SiderealError that says which server, where, and what to try, within 15 s
   */
  async start(): Promise<void> {
    const { logger } = this.#deps
    const { topics, worker, metrics } = this.#config
    const port = await this.#listen()
    const host = metrics.host.includes(':') ? `[${metrics.host}]` : metrics.host
    await Promise.all(this.#checks())
    if (this.#store === null) {
      logger.warn(
        { key: 'SIDEREAL_OBJECT_STORE' },
        'no object store is configured: large values stay in the rows',
      )
    }
    await this.#source.start()
    this.#pipeline.start()
    this.#observer.noteStarted()
    logger.info(
      {
        metricsUrl: `http://${host}:${port}/metrics`,
        topic: topics.traces,
        group: worker.group,
        instanceId: this.#source.instanceId,
        sinks: worker.sinks.map(({ name, mode }) => `${name}:${mode}`),
      },
      'worker is running',
    )
  }

  /**
   * Stops reading, delivers what is closed for less than the session timeout, commits and leaves the group. What is open or not
   * delivered then is read again by the next owner. Never rejects.
   */
  async stop(): Promise<void> {
    const { logger } = this.#deps
    const drainMs = Math.min(MAX_DRAIN_MS, this.#config.worker.sessionTimeoutMs * DRAIN_SHARE)
    this.#observer.noteClosing()
    this.#source.stopIntake()
    const isDrained = await this.#before(drainMs, this.#pipeline.drained())
    if (!isDrained) {
      const { undeliveredBytes } = this.#pipeline.deliverer
      logger.warn(
        { drainMs, undeliveredBytes },
        'not everything was delivered in time: the next owner does it again',
      )
    }
    await this.#before(CLOSE_MS, this.#pipeline.close())
    await this.#source.close()
    this.#processor.close()
    const rest = [this.#producer.close(), ...this.#sinks.all.map((sink) => sink.close())]
    await this.#before(CLOSE_MS, Promise.allSettled(rest))
    await this.#before(CLOSE_MS, this.#store?.close() ?? Promise.resolve())
    this.#observer.close()
    await this.#health.close()
    logger.info({ isDrained, recordsSettled: this.#counters.recordsSettled }, 'worker has stopped')
  }

  #checks(): Promise<void>[] {
    const { kafka, topics, registry, clickhouse, payloads } = this.#config
    const brokers = kafka.brokers.join(',')
    const admin = createKafka(kafkaConnection(this.#config), {
      clientId: 'sidereal-start-check',
      logger: this.#deps.logger,
    })
    const checks = [
      this.#check(
        checkDeadLetterTopic(admin, topics.deadLetters, brokers).then(() => this.#producer.start()),
        'SIDEREAL_KAFKA_UNAVAILABLE',
        `Kafka at ${brokers} does not answer: ${UNAVAILABLE_ADVICE}`,
      ),
      this.#check(
        this.#schemas.check(),
        'SIDEREAL_REGISTRY_UNAVAILABLE',
        `the schema registry at ${registry.url} does not answer: check SIDEREAL_REGISTRY_URL (http or https?)`,
      ),
      this.#pipeline.deliverer.start((sink, start) =>
        this.#check(
          start,
          sink.name === 'clickhouse' ? 'SIDEREAL_CLICKHOUSE_UNAVAILABLE' : 'SIDEREAL_OTLP_FAILED',
          sink.name === 'clickhouse'
            ? `ClickHouse at ${clickhouse.url} does not answer: check SIDEREAL_CLICKHOUSE_URL (http or https?)`
            : `the receiver of the sink ${sink.name} does not answer: check SIDEREAL_OTLP_ENDPOINT`,
        ),
      ),
    ]
    if (this.#store !== null) {
      checks.push(
        this.#check(
          this.#store.probe(),
          'SIDEREAL_OBJECT_STORE_UNAVAILABLE',
          `the object store ${this.#store.url}${payloads.s3Endpoint === undefined ? '' : ` at ${payloads.s3Endpoint}`} does not answer: check SIDEREAL_OBJECT_STORE and SIDEREAL_S3_ENDPOINT`,
        ),
      )
    }
    return checks
  }

  #check(work: Promise<void>, code: ErrorCode, message: string): Promise<void> {
    const late = (): SiderealError =>
      new SiderealError(code, `${message} (nothing within ${CHECK_MS / 1_000} s)`, { retryable: true })
    return within(work, CHECK_MS, this.#deps.clock, late)
  }

  async #listen(): Promise<number> {
    const { host, port } = this.#config.metrics
    try {
      return await this.#health.start()
    } catch (cause) {
      throw new SiderealError(
        'SIDEREAL_CONFIG_INVALID',
        `metrics cannot listen on ${host}:${port}: is the port taken? Set SIDEREAL_METRICS_PORT, or 0 for any free one`,
        { cause },
      )
    }
  }

  #fail(error: SiderealError): void {
    this.#observer.noteFatal(error.message)
    this.#failed.reject(error)
  }

  /** True when the work ended before the time was up; its failure counts as an end. */
  async #before(limitMs: number, work: Promise<unknown>): Promise<boolean> {
    const { clock, logger } = this.#deps
    const isOver = new AbortController()
    const done = work.then(
      () => true,
      (error: unknown) => {
        logger.warn({ error }, 'a part did not close cleanly')
        return true
      },
    )
    const late = pause(clock, limitMs, isOver.signal).then(() => false)
    const isDone = await Promise.race([done, late])
    isOver.abort()
    return isDone
  }
}
