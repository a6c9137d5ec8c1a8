import { type AnyValue, type KeyValue, KeyValueList } from '../model/any-value.ts'
import type { NodeLog, NodeTraceLog, Usage } from '../model/node-trace-log.ts'
import { type OffloadableString, PayloadReference } from '../model/payload-reference.ts'
import type { EntityRef, Resource, Scope, Span, SpanBatch, SpanEvent, SpanLink } from '../model/span.ts'
import { MAX_VALUE_DEPTH } from './avro/walk.ts'
import { AvroOutput, invalid } from './avro-output.ts'
import { BODY_START, writeFrameHeader } from './wire.ts'

// Branches of the value union, in the order of the schema.
const NULL = 0
const STRING = 1
const LONG = 2
const DOUBLE = 3
const BOOLEAN = 4
const BYTES = 5
const ARRAY_VALUE = 6
const KEY_VALUE_LIST = 7
const PAYLOAD_REFERENCE = 8

const MAX_SID_BYTES = 256

/**
 * Writes records in the newest bundled schema, framed. One writer is used for many records: its buffer is reused, what it returns is a
 * copy of the right size.
 *
 * Strings that are not well-formed get U+FFFD for each lone surrogate, counted in `replacedSurrogates`. Anything else that the schema cannot
 * hold is a SiderealError `SIDEREAL_RECORD_INVALID` that names the field.
 */
export class RecordWriter {
  readonly #out = new AvroOutput()

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
    this.#attributes(log.srv)
    this.#attributes(log.srvTag)
    this.#offloadable(log.question)
    this.#offloadable(log.answer)
    out.number(log.startTimeMs, 'startTimeMs')
    out.number(log.endTimeMs, 'endTimeMs')
    out.number(log.durationMs, 'durationMs')
    out.double(log.firstFrameDurationMs)
    out.number(log.status.code, 'status.code')
    this.#offloadable(log.status.message)
    this.#usage(log.usage)
    out.string(log.version)
    this.#list(log.trace, this.#node)
    this.#attributes(log.extra)
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
    this.#attributes(resource.attributes)
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
    this.#attributes(scope.attributes)
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
    this.#offloadable(span.statusMessage)
    out.string(span.traceState)
    this.#attributes(span.attributes)
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
    this.#attributes(event.attributes)
    out.number(event.droppedAttributesCount, 'event.droppedAttributesCount')
  }

  #link(link: SpanLink): void {
    const out = this.#out
    out.hex(link.traceId, 16, 'link.traceId')
    out.hex(link.spanId, 8, 'link.spanId')
    out.string(link.traceState)
    this.#attributes(link.attributes)
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
    this.#offloadable(node.llmOutput)
    out.boolean(node.runningStatus)
    this.#attributes(node.data.input)
    this.#attributes(node.data.output)
    this.#attributes(node.data.config)
    this.#usage(node.data.usage)
    this.#list(node.logs, this.#offloadable)
    this.#attributes(node.extra)
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
    if (typeof value === 'string') {
      this.#out.branch(0)
      this.#out.string(value)
    } else {
      this.#out.branch(1)
      this.#reference(value)
    }
  }

  #list<T>(items: readonly T[], write: (this: RecordWriter, item: T) => void): void {
    if (items.length > 0) {
      this.#out.count(items.length)
      for (const item of items) write.call(this, item)
    }
    this.#out.count(0)
  }

  #attributes(attributes: readonly KeyValue[]): void {
    this.#keyValues(attributes, 0)
  }

  #keyValues(entries: readonly KeyValue[], depth: number): void {
    const out = this.#out
    if (entries.length > 0) {
      out.count(entries.length)
      for (const { key, value } of entries) {
        out.string(key)
        this.#value(value, key, depth)
      }
    }
    out.count(0)
  }

  #value(value: AnyValue, key: string, depth: number): void {
    const out = this.#out
    switch (typeof value) {
      case 'string':
        out.branch(STRING)
        out.string(value)
        return
      case 'bigint':
        out.branch(LONG)
        out.bigint(value, `attribute "${key}"`)
        return
      case 'number':
        out.branch(DOUBLE)
        out.double(value)
        return
      case 'boolean':
        out.branch(BOOLEAN)
        out.boolean(value)
        return
    }
    if (value === null) {
      out.branch(NULL)
    } else if (value instanceof Uint8Array) {
      out.branch(BYTES)
      out.bytes(value)
    } else if (value instanceof KeyValueList) {
      out.branch(KEY_VALUE_LIST)
      this.#keyValues(value.entries, deeper(depth, key))
    } else if (value instanceof PayloadReference) {
      out.branch(PAYLOAD_REFERENCE)
      this.#reference(value)
    } else if (Array.isArray(value)) {
      out.branch(ARRAY_VALUE)
      this.#values(value, key, deeper(depth, key))
    } else {
      throw invalid(`attribute "${key}"`, `a ${typeof value} is not a value of an attribute`)
    }
  }

  #values(values: readonly AnyValue[], key: string, depth: number): void {
    if (values.length > 0) {
      this.#out.count(values.length)
      for (const value of values) this.#value(value, key, depth)
    }
    this.#out.count(0)
  }

  #reference(reference: PayloadReference): void {
    const out = this.#out
    out.branch(reference.key === null ? 0 : 1)
    if (reference.key !== null) out.string(reference.key)
    out.number(reference.offset, 'payload reference: offset')
    out.number(reference.length, 'payload reference: length')
    out.number(reference.size, 'payload reference: size')
    out.hex(reference.sha256, 32, 'payload reference: sha256')
    out.string(reference.encoding)
    out.string(reference.preview)
  }
}

function deeper(depth: number, key: string): number {
  if (depth >= MAX_VALUE_DEPTH) {
    throw invalid(`attribute "${key}"`, `values are nested deeper than ${MAX_VALUE_DEPTH} levels`)
  }
  return depth + 1
}
