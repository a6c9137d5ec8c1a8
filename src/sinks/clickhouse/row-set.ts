import type { SchemaWalks } from '../../codec/schema-walks.ts'
import { type ByObjectsObserver, byObjectsReason } from '../../model/by-objects.ts'
import type { FragmentRecord } from '../../model/fragment.ts'
import type { NodeTraceLog } from '../../model/node-trace-log.ts'
import type { Span, SpanBatch } from '../../model/span.ts'
import { type ClampedTimes, clampTimes, MAX_TIME_NS, MIN_TIME_NS, NO_DAY } from '../../model/time.ts'
import { type BlockLimits, DayBlocks, type OpenBlock, type Rows } from './day-blocks.ts'
import { LogRows, logContext } from './log-rows.ts'
import { LookupRows } from './lookup-rows.ts'
import { ChunkPool } from './native/chunk-pool.ts'
import { NodeRows } from './node-rows.ts'
import type { RowRange } from './row-parts.ts'
import type { SpanWalk } from './span-bytes-walk.ts'
import { SpanRows, spanBatchContext } from './span-rows.ts'
import { TimeBounds } from './time-bounds.ts'

/** The tables that are written record by record, all at once. */
export type RecordTable = 'spans' | 'node_trace_logs' | 'node_logs' | 'id_lookup'
export const RECORD_TABLES: readonly RecordTable[] = ['spans', 'node_trace_logs', 'node_logs', 'id_lookup']

const DAY_MS = 86_400_000

/** Feeders that wait for their next block. */
export class RowsPool<R extends Rows> {
  readonly #free: R[] = []
  readonly #create: () => R

  constructor(create: () => R) {
    this.#create = create
  }

  take(): R {
    return this.#free.pop() ?? this.#create()
  }

  give(rows: R): void {
    rows.reset()
    if (this.#free.length < 3) this.#free.push(rows)
  }
}

/** The feeders of all tables, over one pool of chunks. */
export class RowsPools {
  readonly chunks = new ChunkPool()
  readonly spans = new RowsPool(() => new SpanRows(this.chunks))
  readonly logs = new RowsPool(() => new LogRows(this.chunks))
  readonly nodes = new RowsPool(() => new NodeRows(this.chunks))
  readonly lookup = new RowsPool(() => new LookupRows(this.chunks))
}

/**
 * Blocks of rows made from records, for all tables that are wanted: from a record's bytes where that can be, else decoded once.
 * `release` gives everything back.
 */
export class RowSet {
  readonly #pools: RowsPools
  readonly #wanted: ReadonlySet<RecordTable>
  readonly #walks: SchemaWalks<SpanWalk> | undefined
  readonly #observer: ByObjectsObserver | undefined
  readonly #times = new TimeBounds()
  readonly #spans: DayBlocks<SpanRows>
  readonly #logs: DayBlocks<LogRows>
  readonly #nodes: DayBlocks<NodeRows>
  readonly #lookups: DayBlocks<LookupRows>

  /**
   * @param walks from bytes to rows; without them every record goes by objects
   * @param observer hears of each record that does
   */
  constructor(
    pools: RowsPools,
    limits: BlockLimits,
    tables: readonly RecordTable[] = RECORD_TABLES,
    walks?: SchemaWalks<SpanWalk>,
    observer?: ByObjectsObserver,
  ) {
    this.#pools = pools
    this.#wanted = new Set(tables)
    this.#walks = walks
    this.#observer = observer
    this.#spans = new DayBlocks(() => pools.spans.take(), limits)
    this.#logs = new DayBlocks(() => pools.logs.take(), limits)
    this.#nodes = new DayBlocks(() => pools.nodes.take(), limits)
    this.#lookups = new DayBlocks(() => pools.lookup.take(), limits)
  }

  /**
   * Throws what `record.decode` throws, before any row is made.
   *
   * @param range the rows that are wanted of it, when not all; such a record goes by objects
   */
  add(record: FragmentRecord, range?: RowRange): void {
    const walk = range === undefined ? this.#walkFor(record) : undefined
    if (walk !== undefined) {
      const lookup = this.#wanted.has('id_lookup') ? this.#lookupFor(record) : undefined
      this.#spans.rowsForDay(record.day, record).bytes.append(walk, record, lookup)
      return
    }
    this.#tellByObjects(record, range)
    const decoded = record.decode()
    if ('spans' in decoded) this.#addSpans(record, decoded, range)
    else this.#addLog(record, decoded, range)
  }

  #tellByObjects(record: FragmentRecord, range: RowRange | undefined): void {
    const reason = byObjectsReason(record, this.#walks !== undefined)
    if (range === undefined) this.#observer?.byObjects?.(reason)
    else if (range.from === 0) this.#observer?.byObjects?.(reason === 'no_walk' ? 'too_large' : reason)
  }

  /** The blocks by table, ready to be sent. Call once, after the last record. */
  blocks(): { table: RecordTable; open: OpenBlock<Rows> }[] {
    for (const { rows } of this.#lookups.blocks) rows.fill()
    return [
      ...this.#spans.blocks.map((open) => ({ table: 'spans' as const, open })),
      ...this.#logs.blocks.map((open) => ({ table: 'node_trace_logs' as const, open })),
      ...this.#nodes.blocks.map((open) => ({ table: 'node_logs' as const, open })),
      ...this.#lookups.blocks.map((open) => ({ table: 'id_lookup' as const, open })),
    ]
  }

  release(): void {
    for (const { rows } of this.#spans.blocks) this.#pools.spans.give(rows)
    for (const { rows } of this.#logs.blocks) this.#pools.logs.give(rows)
    for (const { rows } of this.#nodes.blocks) this.#pools.nodes.give(rows)
    for (const { rows } of this.#lookups.blocks) this.#pools.lookup.give(rows)
  }

  #walkFor(record: FragmentRecord): SpanWalk | undefined {
    if (record.day === NO_DAY || !this.#wanted.has('spans')) return undefined
    return this.#walks?.get(record.schemaId)
  }

  #addSpans(record: FragmentRecord, batch: SpanBatch, range: RowRange | undefined): void {
    const spans = range === undefined ? batch.spans : batch.spans.slice(range.from, range.to)
    if (spans.length === 0) return
    const context = spanBatchContext(record, batch)
    const wantsSpans = this.#wanted.has('spans')
    const traceIds: string[] = []
    const starts = this.#times
    starts.reset()
    for (const span of spans) {
      const times = spanTimes(span)
      starts.includeNs(times.startNs)
      if (traceIds.at(-1) !== span.traceId) traceIds.push(span.traceId)
      if (wantsSpans) this.#spans.rowsFor(times.startNs, record).append(context, span, times)
    }
    if (!this.#wanted.has('id_lookup')) return
    this.#lookupFor(record).add({ ...identityOf(batch), traceIds }, starts, record.receivedAtMs)
  }

  #addLog(record: FragmentRecord, log: NodeTraceLog, range: RowRange | undefined): void {
    const context = logContext(record, log)
    const { logTimeNs } = context
    const { from, to } = range ?? { from: 0, to: log.trace.length }
    if (this.#wanted.has('node_trace_logs') && from === 0)
      this.#logs.rowsFor(logTimeNs, record).append(context)
    if (this.#wanted.has('node_logs')) {
      for (let place = from; place < to; place++) {
        this.#nodes.rowsFor(logTimeNs, record).append(context, log.trace[place]!, place)
      }
    }
    if (!this.#wanted.has('id_lookup') || from > 0) return
    const times = this.#times
    times.reset()
    times.includeNs(logTimeNs)
    const traceIds = log.traceId === null ? [] : [log.traceId]
    this.#lookupFor(record).add({ ...identityOf(log), traceIds }, times, record.receivedAtMs)
  }

  /** By the day on which the record was received: the table's partitions are weeks of it, and a replayed record may name any. */
  #lookupFor(record: FragmentRecord): LookupRows {
    return this.#lookups.rowsForDay(Math.floor(record.receivedAtMs / DAY_MS), record)
  }
}

function spanTimes(span: Span): ClampedTimes {
  // Events are asked only when the start time is no use: that is nearly never.
  const isUsable = span.startTimeNs >= MIN_TIME_NS && span.startTimeNs < MAX_TIME_NS
  if (isUsable) return clampTimes(span.startTimeNs, span.endTimeNs)
  return clampTimes(
    span.startTimeNs,
    span.endTimeNs,
    span.events.map((event) => event.timeNs),
  )
}

function identityOf({ sid, appId, uid, chatId }: SpanBatch | NodeTraceLog) {
  return { sid, appId, uid, chatId }
}
