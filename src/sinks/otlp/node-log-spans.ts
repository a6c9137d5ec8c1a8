import { createHash } from 'node:crypto'
import type { AnyValue, KeyValue } from '../../model/any-value.ts'
import { isErrorNode, type NodeLog, type NodeTraceLog, type Usage } from '../../model/node-trace-log.ts'
import { type Span, STATUS_ERROR, STATUS_UNSET } from '../../model/span.ts'
import type { SpanGroup } from './span-encoder.ts'

const KIND_INTERNAL = 1
const SCOPE_NAME = 'sidereal.node_trace_log'
const NS_PER_MS = 1_000_000n
/** The largest time in nanoseconds that fits in an int64 (April 2262); beyond it a clock was wrong. OTLP takes twice that. */
const MAX_MS = 9_223_372_036_854

/**
 * A NodeTraceLog as spans, so that any tracing backend shows the workflow: one span for the log, below the span that was active when it
 * was made, and one span a node below that. Ids are a function of SID, log id and place: a later revision of the log, and a replay, have the same ones.
 */
export function nodeLogSpans(log: NodeTraceLog): SpanGroup {
  const traceId = log.traceId ?? idOf(16, 'trace', log)
  const logSpanId = idOf(8, 'log', log)
  const identity = [
    text('sid', log.sid),
    text('app_id', log.appId),
    text('uid', log.uid),
    text('chat_id', log.chatId),
  ]
  const nodes = log.trace.map((node, place) => nodeSpan(node, place, { log, traceId, logSpanId, identity }))
  return {
    resource: {
      attributes: [text('service.name', log.serviceId || log.sub || 'unknown_service')],
      droppedAttributesCount: 0,
      schemaUrl: '',
      entityRefs: [],
    },
    scope: { name: SCOPE_NAME, version: '', attributes: [], droppedAttributesCount: 0, schemaUrl: '' },
    spans: [logSpan(log, traceId, logSpanId, identity), ...nodes],
  }
}

function logSpan(log: NodeTraceLog, traceId: string, spanId: string, identity: KeyValue[]): Span {
  const isError = log.status.code !== 0
  return {
    ...EMPTY_SPAN,
    traceId,
    spanId,
    parentSpanId: log.traceId === null ? null : log.spanId,
    name: `workflow ${log.flowId || log.serviceId || log.sub}`.trimEnd(),
    ...times(log.startTimeMs, log.endTimeMs),
    statusCode: isError ? STATUS_ERROR : STATUS_UNSET,
    statusMessage: isError ? log.status.message : '',
    attributes: [
      ...identity,
      text('log_id', log.logId),
      { key: 'revision', value: BigInt(log.revision) },
      ...known({
        service_id: log.serviceId,
        flow_id: log.flowId,
        bot_id: log.botId,
        sub: log.sub,
        caller: log.caller,
        log_caller: log.logCaller,
        version: log.version,
      }),
      { key: 'question', value: log.question },
      { key: 'answer', value: log.answer },
      { key: 'status.code', value: toInt(log.status.code) },
      { key: 'status.message', value: log.status.message },
      { key: 'duration_ms', value: log.durationMs },
      ...usage(log.usage),
      ...firstFrame(log.firstFrameDurationMs),
      ...prefixed('srv', log.srv),
      ...prefixed('srv_tag', log.srvTag),
      ...prefixed('extra', log.extra),
    ],
    events: firstFrameEvents(log.startTimeMs, log.firstFrameDurationMs),
  }
}

interface NodePlace {
  readonly log: NodeTraceLog
  readonly traceId: string
  readonly logSpanId: string
  readonly identity: KeyValue[]
}

function nodeSpan(node: NodeLog, place: number, { log, traceId, logSpanId, identity }: NodePlace): Span {
  return {
    ...EMPTY_SPAN,
    traceId,
    spanId: idOf(8, `node ${place}`, log),
    parentSpanId: logSpanId,
    name: node.nodeName || node.nodeType || node.nodeId || 'node',
    ...times(node.startTimeMs, node.endTimeMs),
    statusCode: isErrorNode(node) ? STATUS_ERROR : STATUS_UNSET,
    attributes: [
      ...identity,
      text('log_id', log.logId),
      { key: 'place', value: BigInt(place) },
      ...known({
        id: node.id,
        node_id: node.nodeId,
        node_type: node.nodeType,
        node_name: node.nodeName,
        func_id: node.funcId,
        func_type: node.funcType,
        func_name: node.funcName,
      }),
      { key: 'next_log_ids', value: node.nextLogIds },
      { key: 'running_status', value: node.runningStatus },
      { key: 'duration_ms', value: node.durationMs },
      { key: 'node_first_cost_time', value: node.nodeFirstCostTime },
      ...usage(node.data.usage),
      ...firstFrame(node.firstFrameDurationMs),
      { key: 'llm_output', value: node.llmOutput },
      ...prefixed('data.input', node.data.input),
      ...prefixed('data.output', node.data.output),
      ...prefixed('data.config', node.data.config),
      { key: 'logs', value: node.logs },
      ...prefixed('extra', node.extra),
    ],
    events: firstFrameEvents(node.startTimeMs, node.firstFrameDurationMs),
  }
}

const EMPTY_SPAN: Span = {
  traceId: '',
  spanId: '',
  parentSpanId: null,
  flags: 0,
  name: '',
  kind: KIND_INTERNAL,
  startTimeNs: 0n,
  endTimeNs: 0n,
  statusCode: STATUS_UNSET,
  statusMessage: '',
  traceState: '',
  attributes: [],
  droppedAttributesCount: 0,
  events: [],
  droppedEventsCount: 0,
  links: [],
  droppedLinksCount: 0,
}

function idOf(bytes: number, what: string, log: NodeTraceLog): string {
  const hash = createHash('sha256').update(`${what}\n${log.logId}\n${log.sid}`).digest('hex')
  return hash.slice(0, bytes * 2)
}

/** Sources of today overwrite the start after the end was taken: an interval is never negative. */
function times(startMs: number, endMs: number): { startTimeNs: bigint; endTimeNs: bigint } {
  return { startTimeNs: toNs(startMs), endTimeNs: toNs(Math.max(startMs, endMs)) }
}

function toNs(ms: number): bigint {
  return Number.isFinite(ms) ? BigInt(Math.round(Math.min(Math.max(ms, 0), MAX_MS))) * NS_PER_MS : 0n
}

/** −1 means unknown. */
function firstFrame(durationMs: number): KeyValue[] {
  return durationMs >= 0 ? [{ key: 'first_frame_duration_ms', value: durationMs }] : []
}

function firstFrameEvents(startMs: number, durationMs: number): Span['events'] {
  if (!(durationMs >= 0 && durationMs < MAX_MS)) return []
  const timeNs = toNs(startMs) + BigInt(Math.round(durationMs * 1e6))
  return [{ timeNs, name: 'first_frame', attributes: [], droppedAttributesCount: 0 }]
}

function usage(counts: Usage): KeyValue[] {
  return [
    { key: 'usage.question_tokens', value: toInt(counts.questionTokens) },
    { key: 'usage.prompt_tokens', value: toInt(counts.promptTokens) },
    { key: 'usage.completion_tokens', value: toInt(counts.completionTokens) },
    { key: 'usage.total_tokens', value: toInt(counts.totalTokens) },
  ]
}

function toInt(value: number): AnyValue {
  return Number.isSafeInteger(value) ? BigInt(value) : value
}

function text(key: string, value: string): KeyValue {
  return { key, value }
}

/** Empty means unknown: such a field is left out. */
function known(fields: Readonly<Record<string, string>>): KeyValue[] {
  return Object.entries(fields).flatMap(([key, value]) => (value === '' ? [] : [{ key, value }]))
}

function prefixed(prefix: string, entries: readonly KeyValue[]): KeyValue[] {
  return entries.map(({ key, value }) => ({ key: `${prefix}.${key}`, value }))
}
