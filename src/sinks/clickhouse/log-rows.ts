import type { FragmentRecord } from '../../model/fragment.ts'
import { isErrorNode, type NodeLog, type NodeTraceLog, type Usage } from '../../model/node-trace-log.ts'
import { type OffloadableString, PayloadReference } from '../../model/payload-reference.ts'
import {
  type ClampedTimes,
  clampTimesMs,
  FLAG_START_REPLACED,
  MAX_TIME_NS,
  MIN_TIME_NS,
} from '../../model/time.ts'
import { uuidV7TimeMs } from '../../model/uuid-v7.ts'
import { NODE_TRACE_LOGS_COLUMNS } from '../../storage/clickhouse/columns.ts'
import { AttributeWriter, ReferenceWriter } from './attribute-writer.ts'
import { Block } from './native/block.ts'
import type { ChunkPool } from './native/chunk-pool.ts'
import type { Float64Column, Int64Column, UInt8Column } from './native/fixed-columns.ts'
import type { TextColumn } from './native/text-column.ts'
import { pushRecordContext, type RecordContext, recordContext, uint32 } from './record-context.ts'

/** What the rows of one log share. */
export interface LogContext extends RecordContext {
  readonly log: NodeTraceLog
  readonly times: ClampedTimes
  /** The `t` of keys: the time in a UUIDv7, else the clamped start time. */
  readonly logTimeNs: bigint
}

export function logContext(record: FragmentRecord, log: NodeTraceLog): LogContext {
  const times = clampTimesMs(log.startTimeMs, log.endTimeMs)
  const idTimeMs = uuidV7TimeMs(log.logId)
  const idTimeNs = idTimeMs === undefined ? 0n : BigInt(idTimeMs) * 1_000_000n
  const logTimeNs = idTimeNs >= MIN_TIME_NS && idTimeNs < MAX_TIME_NS ? idTimeNs : times.startNs
  return { ...recordContext(record, log.revision), log, times, logTimeNs }
}

/** Fills a block of `node_trace_logs`. */
export class LogRows {
  readonly block: Block<typeof NODE_TRACE_LOGS_COLUMNS>
  readonly #references: ReferenceWriter
  readonly #srv: AttributeWriter
  readonly #srvTag: AttributeWriter
  readonly #extra: AttributeWriter

  constructor(pool: ChunkPool) {
    this.block = new Block(NODE_TRACE_LOGS_COLUMNS, pool, ['payload_refs'])
    const c = this.block.columns
    this.#references = new ReferenceWriter(this.block, c.payload_refs)
    this.#srv = new AttributeWriter(c.srv, c.srv_types, this.#references)
    this.#srvTag = new AttributeWriter(c.srv_tag, c.srv_tag_types, this.#references)
    this.#extra = new AttributeWriter(c.extra, c.extra_types, this.#references)
  }

  append(context: LogContext): void {
    const c = this.block.columns
    const { log } = context
    c.app_id.pushString(log.appId)
    c.sid.pushString(log.sid)
    c.log_id.pushString(log.logId)
    c.revision.push(uint32(log.revision))
    c.log_time.push(context.logTimeNs)
    pushLogTimes(c, log, context.times)
    c.trace_id.pushString(log.traceId ?? '')
    c.span_id.pushString(log.spanId ?? '')
    c.uid.pushString(log.uid)
    c.chat_id.pushString(log.chatId)
    c.service_id.pushString(log.serviceId)
    c.flow_id.pushString(log.flowId)
    c.bot_id.pushString(log.botId)
    c.sub.pushString(log.sub)
    c.caller.pushString(log.caller)
    c.log_caller.pushString(log.logCaller)
    c.log_version.pushString(log.version)
    pushOffloadable(c.question, log.question, 'question', this.#references)
    pushOffloadable(c.answer, log.answer, 'answer', this.#references)
    c.status_code.pushNumber(log.status.code)
    pushOffloadable(c.status_message, log.status.message, 'status.message', this.#references)
    c.is_error.pushBool(log.status.code !== 0)
    pushUsage(c, log.usage)
    c.node_count.push(log.trace.length)
    c.error_node_count.push(log.trace.filter(isErrorNode).length)
    this.#srv.write(log.srv, 'srv.')
    this.#srvTag.write(log.srvTag, 'srv_tag.')
    this.#extra.write(log.extra, 'extra.')
    this.#references.endRow()
    pushRecordContext(c, context)
    this.block.endRow()
  }

  reset(): void {
    this.block.reset()
  }
}

export interface LogTimeColumns {
  readonly start_time: Int64Column
  readonly end_time: Int64Column
  readonly duration_ns: Int64Column
  readonly duration_reported_ms: Int64Column
  readonly time_flags: UInt8Column
  readonly start_time_original: Int64Column
  readonly end_time_original: Int64Column
  readonly first_frame_duration_ms: Float64Column
}

/** Times of a log or a node. */
export function pushLogTimes(
  columns: LogTimeColumns,
  item: NodeTraceLog | NodeLog,
  times: ClampedTimes,
): void {
  columns.start_time.push(times.startNs)
  columns.end_time.push(times.endNs)
  columns.duration_ns.push(times.durationNs)
  columns.duration_reported_ms.pushNumber(item.durationMs)
  columns.time_flags.push(times.flags)
  columns.start_time_original.pushNumber((times.flags & FLAG_START_REPLACED) !== 0 ? item.startTimeMs : 0)
  columns.end_time_original.pushNumber((times.flags & ~FLAG_START_REPLACED) !== 0 ? item.endTimeMs : 0)
  columns.first_frame_duration_ms.push(item.firstFrameDurationMs)
}

export interface UsageColumns {
  readonly question_tokens: Int64Column
  readonly prompt_tokens: Int64Column
  readonly completion_tokens: Int64Column
  readonly total_tokens: Int64Column
}

export function pushUsage(columns: UsageColumns, usage: Usage): void {
  columns.question_tokens.pushNumber(usage.questionTokens)
  columns.prompt_tokens.pushNumber(usage.promptTokens)
  columns.completion_tokens.pushNumber(usage.completionTokens)
  columns.total_tokens.pushNumber(usage.totalTokens)
}

/** The text, or the preview of a value that was moved; its reference goes to `payload_refs` under `path`. */
export function pushOffloadable(
  column: TextColumn,
  value: OffloadableString,
  path: string,
  references: ReferenceWriter,
): void {
  if (value instanceof PayloadReference) {
    column.pushString(value.preview)
    references.add(path, value)
  } else column.pushString(value)
}
