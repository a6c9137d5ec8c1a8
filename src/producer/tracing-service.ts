import {
  context as contextApi,
  metrics,
  ProxyTracerProvider,
  propagation,
  type TextMapPropagator,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AlwaysOnSampler,
  ParentBasedSampler,
  type SpanExporter,
  type SpanProcessor,
  type TracerProvider,
} from '@opentelemetry/sdk-trace'
import { type BundledSchemaName, bundledSchema } from '../codec/bundled-schemas.ts'
import { RecordWriter } from '../codec/record-writer.ts'
import { SchemaRegistry, subjectFor } from '../codec/schema-registry.ts'
import { CheckedProducer } from '../kafka/checked-producer.ts'
import { createKafka } from '../kafka/client.ts'
import type { NodeTraceLog as NodeTraceLogRecord } from '../model/node-trace-log.ts'
import { SidGenerator } from '../model/sid.ts'
import type { Logger } from '../telemetry/logger.ts'
import { checkConfig } from './config-check.ts'
import { droppedOf, type ItemStats, type RecordKind } from './delivery-counts.ts'
import { observeDelivery } from './delivery-metrics.ts'
import { furtherProcessors } from './further-exporters.ts'
import { harmlessLogger } from './harmless.ts'
import { IdentityTracer, IdentityTracerProvider } from './identity-tracer.ts'
import { KafkaSpanExporter } from './kafka-span-exporter.ts'
import type { NodeTraceLog } from './node-trace-log.ts'
import { NodeTraceLogPublisher } from './node-trace-log-publisher.ts'
import { OtherProcessors } from './other-processors.ts'
import { RecordEncoder } from './record-encoder.ts'
import { RecordQueue } from './record-queue.ts'
import { serviceResource } from './service-resource.ts'
import { SidSpanProcessor } from './sid-span-processor.ts'
import { Span, type SpanInit } from './span.ts'
import { SidPropagator } from './trace-context.ts'
import { defaultLogger, ownAddress, type TracingConfig, tracingConfigFromEnv } from './tracing-config.ts'
import { waitTime } from './wait-time.ts'

const DEFAULT_TOPIC = 'sidereal.traces.v1'
const DEFAULT_FLUSH_MS = 10_000
const REGISTRY_TIMEOUT_MS = 10_000
/** Of the time for `shutdown`; the rest is for what ends meanwhile. */
const FIRST_FLUSH_SHARE = 0.9
/** Of a time that Kafka has used up. */
const SPOOL_CLOSE_MS = 500
const ALREADY_SET =
  'OpenTelemetry was set up in this process before: spans of its tracers do not come to Kafka. Call initTracing first, or add the spanProcessor of a TracingService to what is there'
const SCHEMAS: Record<RecordKind, BundledSchemaName> = {
  spans: 'sidereal.SpanBatch',
  log: 'sidereal.NodeTraceLog',
}

/** What became of everything that this process traced. */
export interface TracingStats {
  readonly spans: ItemStats
  readonly logs: ItemStats
  /** Values cut since a record of one span or log must fit the topic. */
  readonly cutValues: number
  /** Bytes of what is in memory only; `maxQueueBytes` is their limit. */
  readonly queueBytes: number
  /** Bytes of the spool on disk. */
  readonly spoolBytes: number
  /** Lone surrogates that became U+FFFD. */
  readonly replacedSurrogates: number
}

/**
 * Tracing of one service. Nothing in it throws at the service or makes it wait, but for `flush` and `shutdown`, which wait for at most
 * the time they are given.
 */
export class TracingService {
  /** For spans of the application's own: `tracer.startActiveSpan(…)`. Any other tracer of `@opentelemetry/api` does as well. */
  readonly tracer: Tracer
  /** For an OpenTelemetry that somebody else has set up: as one of its span processors it sends spans here, and flushes with it. `shutdown` stays this service's. */
  readonly spanProcessor: SpanProcessor
  /** Carries trace and identity between services, as `baggageHosts` and `identityPeers` allow it: for an OpenTelemetry that somebody else has set up. */
  readonly propagator: TextMapPropagator
  readonly #sids: SidGenerator
  readonly #producer: CheckedProducer
  readonly #queue: RecordQueue
  readonly #writer = new RecordWriter()
  readonly #encoder: RecordEncoder
  readonly #exporter: KafkaSpanExporter
  readonly #publisher: NodeTraceLogPublisher
  readonly #provider: TracerProvider
  readonly #others: OtherProcessors
  readonly #unregister: (() => void)[] = []
  readonly #hasSpool: boolean
  readonly #endMetrics: () => void
  readonly #logger: Logger
  readonly #isDisabled: boolean
  #shutdown: Promise<boolean> | undefined

  /** Use `initTracing`, which also makes it the process's tracing. */
  constructor(config: TracingConfig) {
    checkConfig(config)
    const logger = harmlessLogger(config.logger ?? defaultLogger())
    this.#logger = logger
    this.#isDisabled = config.isDisabled === true
    const { sub = 'svc', location = 'src', ip = ownAddress(), port = '00' } = config.sid ?? {}
    this.#sids = new SidGenerator({ sub, location, ip, port })
    const newSid = () => this.newSid()

    const topic = config.topic ?? DEFAULT_TOPIC
    const connection = config.kafka ?? { brokers: ['127.0.0.1:9092'] }
    const { url, username, password = '', caPath } = config.registry ?? { url: 'http://127.0.0.1:8081' }
    const auth = username === undefined ? {} : { auth: { username, password } }
    const registry = new SchemaRegistry({
      url,
      caPath,
      ...auth,
      keepsAlive: false,
      timeoutMs: REGISTRY_TIMEOUT_MS,
      payloadLimitBytes: Number.MAX_SAFE_INTEGER,
    })
    this.#producer = new CheckedProducer({
      kafka: createKafka(connection, {
        clientId: `sidereal-producer-${config.serviceName}`,
        logger,
        keepsAlive: false,
        fetches: false,
      }),
      brokers: connection.brokers,
      logger,
      keepsAlive: false,
      ...(config.compression === undefined ? {} : { compression: config.compression }),
    })
    // At once, so that an installation without them fails at the start and not with the first span.
    const schemas = { spans: bundledSchema(SCHEMAS.spans).json, log: bundledSchema(SCHEMAS.log).json }
    // A disabled service does not send for others either.
    const spool = this.#isDisabled ? undefined : config.spool
    this.#hasSpool = spool !== undefined
    this.#queue = new RecordQueue({
      topic,
      logger,
      spool,
      send: (name, records, onSettled) => this.#producer.sendEach(name, records, onSettled),
      schemaId: (kind) => registry.idOf(subjectFor(topic, SCHEMAS[kind]), schemas[kind]),
      ...(config.maxQueueBytes === undefined ? {} : { maxBytes: config.maxQueueBytes }),
      ...(config.maxQueueItems === undefined ? {} : { maxItems: config.maxQueueItems }),
    })
    const meter = (config.meterProvider ?? metrics).getMeter('sidereal-producer')
    this.#endMetrics = observeDelivery(meter, this.#queue)
    this.#encoder = new RecordEncoder({ writer: this.#writer, queue: this.#queue })
    const linger = config.lingerMs === undefined ? {} : { lingerMs: config.lingerMs }
    this.#exporter = new KafkaSpanExporter({ encoder: this.#encoder, queue: this.#queue, ...linger })
    this.#publisher = new NodeTraceLogPublisher({ encoder: this.#encoder, queue: this.#queue, newSid })
    this.spanProcessor = new SidSpanProcessor({ newSid, endedSpans: this.#exporter })
    const others = [...furtherProcessors(config.exporters ?? [], logger), ...(config.spanProcessors ?? [])]
    this.#provider = new IdentityTracerProvider({
      resource: serviceResource(config),
      spanLimits: { eventCountLimit: 1_000, ...config.spanLimits },
      spanProcessors: [this.spanProcessor, ...others],
      sampler: config.sampler ?? new ParentBasedSampler({ root: new AlwaysOnSampler() }),
    })
    this.#others = new OtherProcessors(this.#provider, others, logger)
    this.propagator = new SidPropagator(config.baggageHosts, config.identityPeers)
    this.tracer = this.#isDisabled ? passingTracer() : this.#provider.getTracer(config.serviceName)
  }

  /** For a batch processor of somebody else's: as `spanProcessor`, but of spans that had no SID from it the attribute `sid`, else the trace id, is the SID. */
  get spanExporter(): SpanExporter {
    return this.#exporter
  }

  /** Makes this the process's tracer provider, context manager and propagator. What somebody else has set before stays his: a warning. */
  register(): void {
    const taken: string[] = []
    const note = (name: string, isOurs: boolean, disable: () => void) => {
      if (isOurs) this.#unregister.push(disable)
      else taken.push(name)
    }
    const provider = this.#isDisabled ? { getTracer: () => this.tracer } : this.#provider
    note('tracer provider', trace.setGlobalTracerProvider(provider), () => trace.disable())
    const manager = new AsyncLocalStorageContextManager().enable()
    note('context manager', contextApi.setGlobalContextManager(manager), () => contextApi.disable())
    note('propagator', propagation.setGlobalPropagator(this.propagator), () => propagation.disable())
    if (taken.length > 0) this.#logger.warn({ taken }, ALREADY_SET)
  }

  /**
   * The class `Span`, bound to this service (source description: `OtlpSpanService.get_span`): `const Span = tracing.getSpan()`. The exported `Span`
   * is the same for the service that `initTracing` started.
   */
  getSpan(): new (init?: SpanInit) => Span {
    const { tracer } = this
    return class extends Span {
      constructor(init: SpanInit = {}) {
        super({ tracer, ...init })
      }
    }
  }

  /** A SID that nobody has yet, in the form of the source description. */
  newSid(): string {
    return this.#sids.next()
  }

  /** Publishes a log as it is now. Called again with the same log it publishes a further revision, which replaces the earlier one. */
  publishNodeTraceLog(log: NodeTraceLog | NodeTraceLogRecord): void {
    if (!this.#isDisabled) this.#publisher.publish(log)
  }

  /** What became of all spans and logs so far. Cheap: counts are kept, not made. */
  stats(): TracingStats {
    return {
      spans: this.#queue.stats('spans'),
      logs: this.#queue.stats('log'),
      cutValues: this.#encoder.cutValues,
      queueBytes: this.#queue.memoryBytes,
      spoolBytes: this.#queue.spoolBytes,
      replacedSurrogates: this.#writer.replacedSurrogates + this.#exporter.replacedSurrogates,
    }
  }

  /**
   * Sends what ended so far, to the exporters beside Kafka too: after each request, where the process may be frozen then. True when Kafka has all that
   * waited, false when the time was up before, or something was dropped meanwhile (`stats` says why). Never rejects.
   */
  async flush(timeoutMs: number = DEFAULT_FLUSH_MS): Promise<boolean> {
    const limitMs = waitTime(timeoutMs)
    const before = this.#dropped
    const [isDrained] = await Promise.all([this.#drain(limitMs), this.#others.flush(limitMs)])
    return isDrained && this.#dropped === before
  }

  /**
   * Flushes, disconnects, and gives up, counted, what neither Kafka nor the spool has by then; the configuration's own processors are shut down in the
   * same time. True when nothing was dropped since it was called. Never rejects.
   */
  shutdown(timeoutMs: number = DEFAULT_FLUSH_MS): Promise<boolean> {
    this.#shutdown ??= this.#close(waitTime(timeoutMs))
    return this.#shutdown
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown()
  }

  async #close(timeoutMs: number): Promise<boolean> {
    const endMs = performance.now() + timeoutMs
    const leftMs = () => Math.max(0, endMs - performance.now())
    const dropped = this.#dropped
    const firstMs = timeoutMs * FIRST_FLUSH_SHARE
    await Promise.all([this.#flushOrPark(firstMs), this.#others.shutdown(firstMs)])
    // Requests that were under way went on with their traces until now; what ended of them has the rest of the time.
    for (const unregister of this.#unregister) unregister()
    this.#exporter.close()
    const isFlushed = await this.#flushOrPark(leftMs())
    this.#queue.close()
    const diskEndMs = Math.max(endMs, performance.now() + SPOOL_CLOSE_MS)
    await this.#queue.park(diskEndMs - performance.now())
    await this.#producer.close({ timeoutMs: leftMs() })
    await this.#queue.closeSpool(Math.max(0, diskEndMs - performance.now()))
    this.#endMetrics()
    return (isFlushed || (this.#hasSpool && this.#waiting === 0)) && this.#dropped === dropped
  }

  get #waiting(): number {
    return this.#queue.stats('spans').waiting + this.#queue.stats('log').waiting
  }

  /** Spans and logs, for whatever reason. */
  get #dropped(): number {
    return droppedOf(this.#queue.stats('spans')) + droppedOf(this.#queue.stats('log'))
  }

  async #drain(timeoutMs: number): Promise<boolean> {
    this.#exporter.encodePending()
    return await this.#queue.drained(timeoutMs)
  }

  /** With a spool, a part of the time is kept for putting there what Kafka does not have. */
  async #flushOrPark(timeoutMs: number): Promise<boolean> {
    if (!this.#hasSpool) return await this.#drain(timeoutMs)
    if (await this.#drain(timeoutMs * 0.7)) return true
    await this.#queue.park(timeoutMs * 0.3)
    return false
  }
}

/**
 * Of a service whose tracing is off: passes the trace of a caller on as it came, with its sampling decision and identity, so that those behind it record
 * what they would without it.
 */
function passingTracer(): Tracer {
  // What OpenTelemetry gives where nobody has set up anything.
  return new IdentityTracer(new ProxyTracerProvider().getTracer('sidereal'))
}

/**
 * Starts the tracing of a service: its spans, of auto-instrumentation too, and its NodeTraceLogs go to Kafka. Call it before the modules
 * that are to be instrumented are loaded. Returns at once, whether or not Kafka is there.
 *
 * ```ts
 * const tracing = initTracing({ serviceName: 'workflow', kafka: { brokers: ['kafka:9092'] } })
 * await tracing.tracer.startActiveSpan('work', async (span) => { …; span.end() })
 * await tracing.shutdown()
 * ```
 *
 * @param config or the environment (`process.env`, the default): see `tracingConfigFromEnv`
 * @throws SiderealError SIDEREAL_CONFIG_INVALID, SIDEREAL_SID_INVALID for a configuration that cannot work
 */
export function initTracing(config: TracingConfig = tracingConfigFromEnv(process.env)): TracingService {
  const service = new TracingService(config)
  service.register()
  return service
}
