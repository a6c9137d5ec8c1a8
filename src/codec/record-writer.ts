import type { NodeLog, NodeTraceLog, Usage } from '../model/node-trace-log.ts'
import type { OffloadableString } from '../model/payload-reference.ts'
import type { EntityRef, Resource, Scope, Span, SpanBatch, SpanEvent, SpanLink } from '../model/span.ts'
import { AvroOutput, invalid } from './avro-output.ts'
import { ValueWriter } from './value-writer.ts'
import { BODY_START, writeFrameHeader } from './wire.ts'

const MAX_SID_BYTES = 256

/** Encoded spans, at least one: each from its start to its end in `source`. */
export interface EncodedSpans {
  readonly source: Buffer
  readonly starts: readonly number[]
  readonly ends: readonly number[]
}

/**
 * Writes records in the newest bundled schema, framed. One writer is used for many records: its buffer is reused, what it returns is a
 * copy of the right size.
 *
 * Strings that are not well-formed get U+FFFD for each lone surrogate, counted in `replacedSurrogates`. Anything else that the schema cannot
 * hold is a SiderealError `SIDEREAL_RECORD_INVALID` that names the field.
 */
export class RecordWriter {
  readonly #out = new AvroOutput()
  readonly #values = new ValueWriter(this.#out)

  /** Lone surrogates replaced since this writer was made. */
  get replacedSurrogates(): number {
    return this.#out.replacedSurrogates
  }

  encodeSpanBatch(batch: SpanBatch, schemaId: number): Buffer {
    const out = this.#out
    out.begin(BODY_START)
    this.#identity(batch)
    out.hex(batch.batchId, 16, 'batchId')
    this.#resource(batch.resource)
    this.#scope(batch.scope)
    this.#list(batch.spans, this.#span)
    return this.#framed(schemaId)
  }

  /** Resource and scope as they lie in a batch, for {@link encodeSpanBatchOf}: they are the same in many. */
  encodeOrigin(resource: Resource, scope: Scope): Buffer {
    this.#out.begin(0)
    this.#resource(resource)
    this.#scope(scope)
    return this.#out.take()
  }

  /** A batch of parts that are encoded already: an origin, and spans that a `SpanWriter` has written. */
  encodeSpanBatchOf(
    batch: Omit<SpanBatch, 'resource' | 'scope' | 'spans'>,
    origin: Buffer,
    spans: EncodedSpans,
    schemaId: number,
  ): Buffer {
    const out = this.#out
    out.begin(BODY_START)
    this.#identity(batch)
    out.hex(batch.batchId, 16, 'batchId')
    out.raw(origin, 0, origin.length)
    out.count(spans.ends.length)
    for (let i = 0; i < spans.ends.length; ) {
      const start = spans.starts[i]!
      let end = spans.ends[i++]!
      // Spans of one request were mostly written after one another.
      while (spans.starts[i] === end) end = spans.ends[i++]!
      out.raw(spans.source, start, end)
    }
    out.count(0)
    return this.#framed(schemaId)
  }

  encodeNodeTraceLog(log: NodeTraceLog, schemaId: number): Buffer {
    const out = this.#out
    out.begin(BODY_START)
    this.#identity(log)
    out.hex(log.logId, 16, 'logId')
    out.int(log.revision, 'revision')
    this.#optionalHex(log.traceId, 16, 'traceId')
    this.#optionalHex(log.spanId, 8, 'spanId')
    out.string(log.serviceId)
    out.string(log.flowId)
    out.string(log.botId)
    out.string(log.sub)
    out.string(log.caller)
    out.string(log.logCaller)
    this.#values.attributes(log.srv)
    this.#values.attributes(log.srvTag)
    this.#values.offloadable(log.question)
    this.#values.offloadable(log.answer)
    out.number(log.startTimeMs, 'startTimeMs')
    out.number(log.endTimeMs, 'endTimeMs')
    out.number(log.durationMs, 'durationMs')
    out.double(log.firstFrameDurationMs)
    out.number(log.status.code, 'status.code')
    this.#values.offloadable(log.status.message)
    this.#usage(log.usage)
    out.string(log.version)
    this.#list(log.trace, this.#node)
    this.#values.attributes(log.extra)
    return this.#framed(schemaId)
  }

  #framed(schemaId: number): Buffer {
    const framed = this.#out.take()
    writeFrameHeader(framed, schemaId)
    return framed
  }

  #identity(record: { sid: string; appId: string; uid: string; chatId: string }): void {
    const length = Buffer.byteLength(record.sid)
    if (length === 0 || length > MAX_SID_BYTES) {
      throw invalid('sid', `it has ${length} bytes of UTF-8; 1 to ${MAX_SID_BYTES} are allowed`)
    }
    this.#out.string(record.sid)
    this.#out.string(record.appId)
    this.#out.string(record.uid)
    this.#out.string(record.chatId)
  }

  #resource(resource: Resource): void {
    const out = this.#out
    this.#values.attributes(resource.attributes)
    out.number(resource.droppedAttributesCount, 'resource.droppedAttributesCount')
    out.string(resource.schemaUrl)
    this.#list(resource.entityRefs, this.#entityRef)
  }

  #entityRef(ref: EntityRef): void {
    this.#out.string(ref.schemaUrl)
    this.#out.string(ref.type)
    this.#list(ref.idKeys, this.#string)
    this.#list(ref.descriptionKeys, this.#string)
  }

  #scope(scope: Scope): void {
    const out = this.#out
    out.string(scope.name)
    out.string(scope.version)
    this.#values.attributes(scope.attributes)
    out.number(scope.droppedAttributesCount, 'scope.droppedAttributesCount')
    out.string(scope.schemaUrl)
  }

  #span(span: Span): void {
    const out = this.#out
    out.hex(span.traceId, 16, 'span.traceId')
    out.hex(span.spanId, 8, 'span.spanId')
    this.#optionalHex(span.parentSpanId, 8, 'span.parentSpanId')
    out.number(span.flags, 'span.flags')
    out.string(span.name)
    out.int(span.kind, 'span.kind')
    out.bigint(span.startTimeNs, 'span.startTimeNs')
    out.bigint(span.endTimeNs, 'span.endTimeNs')
    out.int(span.statusCode, 'span.statusCode')
    this.#values.offloadable(span.statusMessage)
    out.string(span.traceState)
    this.#values.attributes(span.attributes)
    out.number(span.droppedAttributesCount, 'span.droppedAttributesCount')
    this.#list(span.events, this.#event)
    out.number(span.droppedEventsCount, 'span.droppedEventsCount')
    this.#list(span.links, this.#link)
    out.number(span.droppedLinksCount, 'span.droppedLinksCount')
  }

  #event(event: SpanEvent): void {
    const out = this.#out
    out.bigint(event.timeNs, 'event.timeNs')
    out.string(event.name)
    this.#values.attributes(event.attributes)
    out.number(event.droppedAttributesCount, 'event.droppedAttributesCount')
  }

  #link(link: SpanLink): void {
    const out = this.#out
    out.hex(link.traceId, 16, 'link.traceId')
    out.hex(link.spanId, 8, 'link.spanId')
    out.string(link.traceState)
    this.#values.attributes(link.attributes)
    out.number(link.droppedAttributesCount, 'link.droppedAttributesCount')
    out.number(link.flags, 'link.flags')
  }

  #node(node: NodeLog): void {
    const out = this.#out
    out.string(node.id)
    out.string(node.sid)
    out.string(node.nodeId)
    out.string(node.nodeType)
    out.string(node.nodeName)
    out.string(node.funcId)
    out.string(node.funcType)
    out.string(node.funcName)
    this.#list(node.nextLogIds, this.#string)
    out.number(node.startTimeMs, 'node.startTimeMs')
    out.number(node.endTimeMs, 'node.endTimeMs')
    out.number(node.durationMs, 'node.durationMs')
    out.double(node.firstFrameDurationMs)
    out.double(node.nodeFirstCostTime)
    this.#values.offloadable(node.llmOutput)
    out.boolean(node.runningStatus)
    this.#values.attributes(node.data.input)
    this.#values.attributes(node.data.output)
    this.#values.attributes(node.data.config)
    this.#usage(node.data.usage)
    this.#list(node.logs, this.#offloadable)
    this.#values.attributes(node.extra)
  }

  #usage(usage: Usage): void {
    const out = this.#out
    out.number(usage.questionTokens, 'usage.questionTokens')
    out.number(usage.promptTokens, 'usage.promptTokens')
    out.number(usage.completionTokens, 'usage.completionTokens')
    out.number(usage.totalTokens, 'usage.totalTokens')
  }

  #string(value: string): void {
    this.#out.string(value)
  }

  #optionalHex(value: string | null, size: number, field: string): void {
    this.#out.branch(value === null ? 0 : 1)
    if (value !== null) this.#out.hex(value, size, field)
  }

  #offloadable(value: OffloadableString): void {
    this.#values.offloadable(value)
  }

  #list<T>(items: readonly T[], write: (this: RecordWriter, item: T) => void): void {
    if (items.length > 0) {
      this.#out.count(items.length)
      for (const item of items) write.call(this, item)
    }
    this.#out.count(0)
  }
}
