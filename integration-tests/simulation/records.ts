import { logKey, nodeIdKey, nodeKey, spanKey } from '../../src/codec/hash.ts'
import type { DeadLetterReason } from '../../src/model/dead-letter.ts'
import type { NodeLog, NodeTraceLog } from '../../src/model/node-trace-log.ts'
import type { OffloadableString } from '../../src/model/payload-reference.ts'
import type { Span, SpanBatch } from '../../src/model/span.ts'
import { sha256Hex } from './sha256-hex.ts'

/** Values over this many bytes are payloads in the simulation: cheap to encode, and still two kinds. */
export const PAYLOAD_LIMIT = 48
/** A span or a log of this name is refused by the tables for its content. */
export const REFUSED = 'refused'

export type TableName = 'spans' | 'node_trace_logs' | 'node_logs'

/** A row that a record must become: its identity and what it says, in a form of our own. */
export interface ExpectedRow {
  readonly table: TableName
  readonly key: string
  readonly content: string
}

/** What was produced: once encoded, maybe appended several times. */
export interface ProducedRecord {
  readonly id: number
  readonly sid: string
  readonly model: SpanBatch | NodeTraceLog | null
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Record<string, string>
  /** Where it must end. `refused` = the tables refuse its content. */
  readonly end: 'rows' | DeadLetterReason
  /** Where it may end instead, while a bad deployment is not mended. */
  readonly mayEnd?: DeadLetterReason
  readonly rows: readonly ExpectedRow[]
  /** What the rows of `trace_fragments` must hold of it, once it is settled. */
  readonly factKeys: readonly bigint[]
  readonly revision: number
  readonly about: string
}

/** How a string of a row is told: a payload by what it is, wherever it lies. */
export type TextForm = (text: OffloadableString) => string

/** Texts as they must be in rows. @param isOffloading true = long ones are payload references */
export function expectedText(isOffloading: boolean): TextForm {
  return (text) => {
    if (typeof text !== 'string') throw new Error('producers of the simulation send no references')
    const bytes = Buffer.byteLength(text)
    return isOffloading && bytes > PAYLOAD_LIMIT ? `payload ${sha256Hex(text)} ${bytes}` : text
  }
}

/** Texts as they are in a record that the worker hands to a sink. */
export const deliveredText: TextForm = (text) =>
  typeof text === 'string' ? text : `payload ${text.sha256} ${text.size}`

export function rowsOf(model: SpanBatch | NodeTraceLog, text: TextForm): ExpectedRow[] {
  if ('spans' in model) {
    return model.spans.map((span) => ({
      table: 'spans',
      key: spanRowKey(model.appId, model.sid, span.traceId, span.spanId, span.startTimeNs),
      content: spanContent(model, span, text),
    }))
  }
  return [
    {
      table: 'node_trace_logs',
      key: logRowKey(model.appId, model.sid, model.logId),
      content: logContent(model, text),
    },
    ...model.trace.map((node, place) => ({
      table: 'node_logs' as const,
      key: `${logRowKey(model.appId, model.sid, model.logId)}|${place}`,
      content: nodeContent(model, node, text),
    })),
  ]
}

export function spanRowKey(
  app: string,
  sid: string,
  traceId: string,
  spanId: string,
  startNs: bigint,
): string {
  return `${app}|${sid}|${traceId}|${spanId}|${startNs}`
}

export function logRowKey(app: string, sid: string, logId: string): string {
  return `${app}|${sid}|${logId}`
}

export function isSpanError(span: Span): boolean {
  return span.statusCode === 2 || span.events.some(({ name }) => name === 'exception')
}

export function serviceOf(batch: SpanBatch): string {
  return String(batch.resource.attributes.find(({ key }) => key === 'service.name')?.value ?? '')
}

export function factKeysOf(model: SpanBatch | NodeTraceLog): bigint[] {
  if ('spans' in model) return model.spans.map((span) => spanKey(span.traceId, span.spanId))
  return [
    logKey(model.logId),
    ...model.trace.map((_, place) => nodeKey(model.logId, place)),
    ...model.trace.filter(({ id }) => id !== '').map(({ id }) => nodeIdKey(model.logId, id)),
  ]
}

function spanContent(batch: SpanBatch, span: Span, text: TextForm): string {
  return [
    span.parentSpanId ?? '',
    span.name,
    span.statusCode,
    text(span.statusMessage),
    isSpanError(span),
    batch.uid,
    batch.chatId,
    serviceOf(batch),
    span.endTimeNs,
    batch.batchId,
  ].join('|')
}

function logContent(log: NodeTraceLog, text: TextForm): string {
  const { usage } = log
  return [
    log.revision,
    log.uid,
    log.chatId,
    log.serviceId,
    text(log.answer),
    log.status.code,
    usage.questionTokens,
    usage.promptTokens,
    usage.completionTokens,
    usage.totalTokens,
    log.trace.length,
  ].join('|')
}

function nodeContent(log: NodeTraceLog, node: NodeLog, text: TextForm): string {
  const { usage } = node.data
  return [
    log.revision,
    node.id,
    node.nodeId,
    node.nodeType,
    node.runningStatus,
    text(node.llmOutput),
    node.nextLogIds.join(','),
    usage.questionTokens,
    usage.promptTokens,
    usage.completionTokens,
    usage.totalTokens,
  ].join('|')
}
