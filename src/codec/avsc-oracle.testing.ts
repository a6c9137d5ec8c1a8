import avro from 'avsc'
import { type AnyValue, type KeyValue, KeyValueList } from '../model/any-value.ts'
import type { NodeTraceLog } from '../model/node-trace-log.ts'
import { type OffloadableString, PayloadReference } from '../model/payload-reference.ts'
import type { SpanBatch } from '../model/span.ts'

/** An independent way between model and Avro, by avsc, against which the codec is tested. Longs are BigInt throughout. */

const int64 = avro.types.LongType.__with({
  fromBuffer: (buffer: Buffer) => buffer.readBigInt64LE(),
  toBuffer(value: bigint) {
    const buffer = Buffer.alloc(8)
    buffer.writeBigInt64LE(value)
    return buffer
  },
  fromJSON: (json: string) => BigInt(json),
  toJSON: (value: bigint) => String(value),
  isValid: (value: unknown) => typeof value === 'bigint',
  compare: (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0),
})

/** Makes avsc read and write longs as BigInt; without it, it throws above 2^53. */
export function int64TypeHook(schema: unknown): avro.Type | undefined {
  const type = typeof schema === 'object' && schema !== null && 'type' in schema ? schema.type : schema
  return type === 'long' ? int64 : undefined
}

/** The avsc type of a schema, with unions wrapped and longs as BigInt. */
export function avscType(schemaJson: string): avro.Type {
  return avro.Type.forSchema(JSON.parse(schemaJson), {
    wrapUnions: 'always',
    typeHook: int64TypeHook,
  })
}

const hex = (value: string) => Buffer.from(value, 'hex')

export function batchToAvsc(batch: SpanBatch): object {
  return {
    sid: batch.sid,
    app_id: batch.appId,
    uid: batch.uid,
    chat_id: batch.chatId,
    batch_id: hex(batch.batchId),
    resource: {
      attributes: entries(batch.resource.attributes),
      dropped_attributes_count: BigInt(batch.resource.droppedAttributesCount),
      schema_url: batch.resource.schemaUrl,
      entity_refs: batch.resource.entityRefs.map((ref) => ({
        schema_url: ref.schemaUrl,
        type: ref.type,
        id_keys: ref.idKeys,
        description_keys: ref.descriptionKeys,
      })),
    },
    scope: {
      name: batch.scope.name,
      version: batch.scope.version,
      attributes: entries(batch.scope.attributes),
      dropped_attributes_count: BigInt(batch.scope.droppedAttributesCount),
      schema_url: batch.scope.schemaUrl,
    },
    spans: batch.spans.map((span) => ({
      trace_id: hex(span.traceId),
      span_id: hex(span.spanId),
      parent_span_id: span.parentSpanId === null ? null : { 'sidereal.SpanId': hex(span.parentSpanId) },
      flags: BigInt(span.flags),
      name: span.name,
      kind: span.kind,
      start_time: span.startTimeNs,
      end_time: span.endTimeNs,
      status_code: span.statusCode,
      status_message: offloadable(span.statusMessage),
      trace_state: span.traceState,
      attributes: entries(span.attributes),
      dropped_attributes_count: BigInt(span.droppedAttributesCount),
      events: span.events.map((event) => ({
        time: event.timeNs,
        name: event.name,
        attributes: entries(event.attributes),
        dropped_attributes_count: BigInt(event.droppedAttributesCount),
      })),
      dropped_events_count: BigInt(span.droppedEventsCount),
      links: span.links.map((link) => ({
        trace_id: hex(link.traceId),
        span_id: hex(link.spanId),
        trace_state: link.traceState,
        attributes: entries(link.attributes),
        dropped_attributes_count: BigInt(link.droppedAttributesCount),
        flags: BigInt(link.flags),
      })),
      dropped_links_count: BigInt(span.droppedLinksCount),
    })),
  }
}

export function logToAvsc(log: NodeTraceLog): object {
  return {
    sid: log.sid,
    app_id: log.appId,
    uid: log.uid,
    chat_id: log.chatId,
    log_id: hex(log.logId),
    revision: log.revision,
    trace_id: log.traceId === null ? null : { 'sidereal.TraceId': hex(log.traceId) },
    span_id: log.spanId === null ? null : { 'sidereal.SpanId': hex(log.spanId) },
    service_id: log.serviceId,
    flow_id: log.flowId,
    bot_id: log.botId,
    sub: log.sub,
    caller: log.caller,
    log_caller: log.logCaller,
    srv: entries(log.srv),
    srv_tag: entries(log.srvTag),
    question: offloadable(log.question),
    answer: offloadable(log.answer),
    start_time: BigInt(log.startTimeMs),
    end_time: BigInt(log.endTimeMs),
    duration: BigInt(log.durationMs),
    first_frame_duration: log.firstFrameDurationMs,
    status: { code: BigInt(log.status.code), message: offloadable(log.status.message) },
    usage: usage(log.usage),
    version: log.version,
    trace: log.trace.map((node) => ({
      id: node.id,
      sid: node.sid,
      node_id: node.nodeId,
      node_type: node.nodeType,
      node_name: node.nodeName,
      func_id: node.funcId,
      func_type: node.funcType,
      func_name: node.funcName,
      next_log_ids: node.nextLogIds,
      start_time: BigInt(node.startTimeMs),
      end_time: BigInt(node.endTimeMs),
      duration: BigInt(node.durationMs),
      first_frame_duration: node.firstFrameDurationMs,
      node_first_cost_time: node.nodeFirstCostTime,
      llm_output: offloadable(node.llmOutput),
      running_status: node.runningStatus,
      data: {
        input: entries(node.data.input),
        output: entries(node.data.output),
        config: entries(node.data.config),
        usage: usage(node.data.usage),
      },
      logs: node.logs.map(offloadable),
      extra: entries(node.extra),
    })),
    extra: entries(log.extra),
  }
}

function usage(counts: NodeTraceLog['usage']): object {
  return {
    question_tokens: BigInt(counts.questionTokens),
    prompt_tokens: BigInt(counts.promptTokens),
    completion_tokens: BigInt(counts.completionTokens),
    total_tokens: BigInt(counts.totalTokens),
  }
}

function entries(attributes: readonly KeyValue[]): object[] {
  return attributes.map(({ key, value }) => ({ key, value: valueToAvsc(value) }))
}

/** A value as the union that avsc writes. */
export function valueToAvsc(value: AnyValue): object | null {
  if (value === null) return null
  if (typeof value === 'string') return { string: value }
  if (typeof value === 'bigint') return { long: value }
  if (typeof value === 'number') return { double: value }
  if (typeof value === 'boolean') return { boolean: value }
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value) }
  if (value instanceof KeyValueList) return { 'sidereal.KeyValueList': { values: entries(value.entries) } }
  if (value instanceof PayloadReference) return { 'sidereal.PayloadReference': reference(value) }
  return { 'sidereal.ArrayValue': { values: value.map(valueToAvsc) } }
}

function offloadable(value: OffloadableString): object {
  return typeof value === 'string' ? { string: value } : { 'sidereal.PayloadReference': reference(value) }
}

function reference(value: PayloadReference): object {
  return {
    key: value.key === null ? null : { string: value.key },
    offset: BigInt(value.offset),
    length: BigInt(value.length),
    size: BigInt(value.size),
    sha256: hex(value.sha256),
    encoding: value.encoding,
    preview: value.preview,
  }
}
