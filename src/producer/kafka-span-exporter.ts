import { type ExportResult, ExportResultCode } from '@opentelemetry/core'
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace'
import type { Resource, Scope, Span } from '../model/span.ts'
import { boxOfSpan, type Identity, identityOfAttributes } from './identity.ts'
import { toModelResource, toModelScope, toModelSpan } from './model-span.ts'
import type { RecordEncoder } from './record-encoder.ts'
import type { RecordQueue } from './record-queue.ts'
import type { EndedSpans } from './sid-span-processor.ts'

export interface KafkaSpanExporterOptions {
  readonly encoder: Pick<RecordEncoder, 'addSpans'>
  readonly queue: Pick<RecordQueue, 'accept' | 'drained' | 'drop'>
  /** How long spans wait for others of their request. Default 500. */
  readonly lingerMs?: number
  /** Spans at which the wait ends. Default 512. */
  readonly maxPendingSpans?: number
  /** How long `forceFlush` waits for Kafka. Default 10 s. */
  readonly flushTimeoutMs?: number
}

const MAX_OVERDUE = 8

interface Group {
  readonly identity: Identity
  readonly resource: Resource
  readonly scope: Scope
  readonly spans: Span[]
}

/**
 * Exports spans to Kafka: spans of one (SID, app, user, chat, resource, scope) share records. A span counts as exported when the queue has it;
 * what becomes of it from there is in the queue's statistics. Never throws, never waits.
 */
export class KafkaSpanExporter implements SpanExporter, EndedSpans {
  readonly #options: Required<KafkaSpanExporterOptions>
  readonly #resources = new WeakMap<ReadableSpan['resource'], Resource>()
  readonly #scopes = new WeakMap<ReadableSpan['instrumentationScope'], Scope>()
  readonly #numbers = new WeakMap<object, number>()
  #nextNumber = 0
  #pending: ReadableSpan[] = []
  #timer: NodeJS.Timeout | undefined
  #immediate: NodeJS.Immediate | undefined
  #isShutDown = false

  constructor(options: KafkaSpanExporterOptions) {
    this.#options = { lingerMs: 500, maxPendingSpans: 512, flushTimeoutMs: 10_000, ...options }
  }

  add(span: ReadableSpan): void {
    this.#options.queue.accept('spans', 1)
    if (this.#isShutDown) {
      this.#options.queue.drop('spans', 1, 'shutdown')
      return
    }
    this.#pending.push(span)
    const { length } = this.#pending
    const { maxPendingSpans } = this.#options
    // Not within `span.end()`, which is the request's time; but one that never gives up the thread must not fill the memory.
    if (length >= maxPendingSpans * MAX_OVERDUE) this.encodePending()
    else if (length === maxPendingSpans) this.#immediate = setImmediate(() => this.encodePending())
    else if (this.#timer === undefined) {
      this.#timer = setTimeout(() => this.encodePending(), this.#options.lingerMs)
      this.#timer.unref()
    }
  }

  export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void {
    for (const span of spans) this.add(span)
    resultCallback({ code: ExportResultCode.SUCCESS })
  }

  /** Makes records of what waits for its linger time, now. */
  encodePending(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    clearImmediate(this.#immediate)
    this.#immediate = undefined
    const spans = this.#pending
    this.#pending = []
    const groups = new Map<string, Group>()
    for (const span of spans) {
      try {
        this.#group(groups, span)
      } catch (error) {
        this.#options.queue.drop('spans', 1, 'invalid', error)
      }
    }
    for (const { identity, resource, scope, spans: members } of groups.values()) {
      this.#options.encoder.addSpans({ ...identity, resource, scope }, members)
    }
  }

  async forceFlush(timeoutMs: number = this.#options.flushTimeoutMs): Promise<void> {
    this.encodePending()
    await this.#options.queue.drained(timeoutMs)
  }

  async shutdown(timeoutMs: number = this.#options.flushTimeoutMs): Promise<void> {
    if (!this.#isShutDown) await this.forceFlush(timeoutMs)
    this.#isShutDown = true
  }

  #group(groups: Map<string, Group>, span: ReadableSpan): void {
    // Read now and not when the span ended: the identity may have become known since.
    const identity =
      boxOfSpan(span)?.identity ?? identityOfAttributes(span.attributes, span.spanContext().traceId)
    const { sid, appId, uid, chatId } = identity
    // Lengths keep the parts apart, at a tenth of what JSON costs.
    const lengths = `${sid.length},${appId.length},${uid.length}`
    const key = `${this.#number(span.resource)},${this.#number(span.instrumentationScope)},${lengths}:${sid}${appId}${uid}${chatId}`
    let group = groups.get(key)
    if (group === undefined) {
      group = {
        identity,
        resource: this.#resource(span.resource),
        scope: this.#scope(span.instrumentationScope),
        spans: [],
      }
      groups.set(key, group)
    }
    group.spans.push(toModelSpan(span))
  }

  #number(object: object): number {
    let number = this.#numbers.get(object)
    if (number === undefined) {
      number = this.#nextNumber++
      this.#numbers.set(object, number)
    }
    return number
  }

  #resource(resource: ReadableSpan['resource']): Resource {
    let model = this.#resources.get(resource)
    if (model === undefined) {
      model = toModelResource(resource)
      if (resource.asyncAttributesPending !== true) this.#resources.set(resource, model)
    }
    return model
  }

  #scope(scope: ReadableSpan['instrumentationScope']): Scope {
    let model = this.#scopes.get(scope)
    if (model === undefined) {
      model = toModelScope(scope)
      this.#scopes.set(scope, model)
    }
    return model
  }
}
