import { type ExportResult, ExportResultCode } from '@opentelemetry/core'
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace'
import type { Resource, Scope } from '../model/span.ts'
import { toModelResource, toModelScope, toModelSpan } from './model-span.ts'
import type { RecordEncoder } from './record-encoder.ts'
import type { RecordQueue } from './record-queue.ts'
import type { EndedSpans } from './sid-span-processor.ts'
import { type SpanGroup, SpanGroups } from './span-groups.ts'
import { waitTime } from './wait-time.ts'

export interface KafkaSpanExporterOptions {
  readonly encoder: Pick<RecordEncoder, 'addSpans' | 'addLargeSpan' | 'encodeOrigin' | 'maxSpanBytes'>
  readonly queue: Pick<RecordQueue, 'accept' | 'drained' | 'drop'>
  /** How long spans wait for others of their request. Default 500. */
  readonly lingerMs?: number
  /** Spans at which the wait ends. Default 512. */
  readonly maxPendingSpans?: number
  /** How long `forceFlush` waits for Kafka. Default 10 s. */
  readonly flushTimeoutMs?: number
}

const MAX_OVERDUE = 8
/** Encoded spans that end the wait, too. */
const MAX_PENDING_BYTES = 1024 * 1024

/** Resource and scope, as models and as bytes. */
interface Origin {
  readonly resource: Resource
  readonly scope: Scope
  readonly bytes: Buffer
}

/**
 * Exports spans to Kafka: spans of one (SID, app, user, chat, resource, scope) share records. A span counts as exported when the queue has it;
 * what becomes of it from there is in the queue's statistics. Never throws, never waits.
 */
export class KafkaSpanExporter implements SpanExporter, EndedSpans {
  readonly #options: Required<KafkaSpanExporterOptions>
  readonly #origins = new WeakMap<SpanGroup['scope'], WeakMap<SpanGroup['resource'], Origin>>()
  readonly #groups: SpanGroups
  #ended: ReadableSpan[] = []
  #timer: NodeJS.Timeout | undefined
  #immediate: NodeJS.Immediate | undefined
  #isShutDown = false

  constructor(options: KafkaSpanExporterOptions) {
    this.#options = { lingerMs: 500, maxPendingSpans: 512, flushTimeoutMs: 10_000, ...options }
    this.#groups = new SpanGroups(options.encoder.maxSpanBytes)
  }

  /** Lone surrogates in spans that were replaced by U+FFFD. */
  get replacedSurrogates(): number {
    return this.#groups.replacedSurrogates
  }

  add(span: ReadableSpan): void {
    this.#options.queue.accept('spans', 1)
    if (this.#isShutDown) {
      this.#options.queue.drop('spans', 1, 'shutdown')
      return
    }
    this.#ended.push(span)
    // Not within `span.end()`, which is the request's time; but one that never gives up the thread must not fill the memory.
    if (this.#ended.length >= this.#options.maxPendingSpans * MAX_OVERDUE) this.encodePending()
    else this.#immediate ??= setImmediate(() => this.#encodeEnded())
  }

  export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void {
    for (const span of spans) this.add(span)
    resultCallback({ code: ExportResultCode.SUCCESS })
  }

  /** Makes records of what waits for its linger time, now. */
  encodePending(): void {
    this.#writeEnded()
    clearTimeout(this.#timer)
    this.#timer = undefined
    try {
      for (const group of this.#groups.take()) {
        try {
          this.#encode(group)
        } catch (error) {
          this.#options.queue.drop('spans', Math.max(1, group.ends.length), 'invalid', error)
        }
      }
    } finally {
      this.#groups.clear()
    }
  }

  async forceFlush(timeoutMs: number = this.#options.flushTimeoutMs): Promise<void> {
    this.encodePending()
    await this.#options.queue.drained(timeoutMs)
  }

  async shutdown(timeoutMs: number = this.#options.flushTimeoutMs): Promise<void> {
    if (!this.#isShutDown) await this.forceFlush(timeoutMs)
    this.close()
  }

  /** Makes records of what has ended so far; what ends from now on is dropped, counted. */
  close(): void {
    this.encodePending()
    this.#isShutDown = true
  }

  /** Encodes what ended in this turn, and then waits for others of the same requests. */
  #encodeEnded(): void {
    this.#writeEnded()
    const { spans, bytes } = this.#groups
    if (spans >= this.#options.maxPendingSpans || bytes >= MAX_PENDING_BYTES) {
      this.encodePending()
    } else if (this.#timer === undefined) {
      this.#timer = setTimeout(() => this.encodePending(), waitTime(this.#options.lingerMs))
      this.#timer.unref()
    }
  }

  #writeEnded(): void {
    clearImmediate(this.#immediate)
    this.#immediate = undefined
    const ended = this.#ended
    this.#ended = []
    for (const span of ended) {
      try {
        this.#groups.add(span)
      } catch (error) {
        this.#options.queue.drop('spans', 1, 'invalid', error)
      }
    }
  }

  #encode({ identity, resource, scope, starts, ends, large }: SpanGroup): void {
    const { encoder } = this.#options
    const origin = this.#origin(resource, scope)
    if (large === undefined) {
      encoder.addSpans(identity, origin.bytes, { source: this.#groups.memory, starts, ends })
    } else {
      encoder.addLargeSpan(
        { ...identity, resource: origin.resource, scope: origin.scope },
        toModelSpan(large),
      )
    }
  }

  #origin(resource: SpanGroup['resource'], scope: SpanGroup['scope']): Origin {
    let ofScope = this.#origins.get(scope)
    if (ofScope === undefined) {
      ofScope = new WeakMap()
      this.#origins.set(scope, ofScope)
    }
    let origin = ofScope.get(resource)
    if (origin === undefined) {
      const models = { resource: toModelResource(resource), scope: toModelScope(scope) }
      origin = { ...models, bytes: this.#options.encoder.encodeOrigin(models.resource, models.scope) }
      if (resource.asyncAttributesPending !== true) ofScope.set(resource, origin)
    }
    return origin
  }
}
