import type { Completeness } from '../../codec/facts.ts'
import type { CloseReason } from '../../model/fragment.ts'
import {
  Lane,
  OpenTrace,
  RECORD_OVERHEAD_BYTES,
  TRACE_OVERHEAD_BYTES,
  type TraceEntry,
} from './open-trace.ts'
import { RecentSids } from './recent-sids.ts'

/** When a trace closes. All times are stream time in milliseconds. */
export interface ClosingRules {
  /** Without a record for that long, a complete trace (or a late one) closes. Default 10 s. */
  readonly quietMs: number
  /** Without a record for that long, any trace closes: as complete if only remote roots were awaited, else as `idle`. Default 120 s. */
  readonly idleMs: number
  /** After its first record. Default 15 min. */
  readonly maxAgeMs: number
  /** Spans and nodes; and records, since one may have neither. Default 10,000. */
  readonly maxRows: number
  /** Bytes of its records. Default 32 MiB. */
  readonly maxBytes: number
}

export const CLOSING_RULES: ClosingRules = {
  quietMs: 10_000,
  idleMs: 120_000,
  maxAgeMs: 900_000,
  maxRows: 10_000,
  maxBytes: 32 * 1024 * 1024,
}

export interface TraceTableOptions<R extends TraceEntry> {
  readonly rules: ClosingRules
  /** Looks at a trace that has been quiet. Called once for each time it falls quiet. */
  readonly judge: (trace: OpenTrace<R>) => Completeness
  /** Takes a closed trace over. Must not call back. */
  readonly onClose: (trace: OpenTrace<R>, reason: CloseReason) => void
  /** How many SIDs are remembered after they closed. Default 32,768. */
  readonly recentSids?: number
}

/**
 * The open traces of one task, and the rule that closes them.
 *
 * The cut is a function of the log alone: the fragments do not depend on how the records were batched or when somebody looked,
 * since everything that is due at a time is closed, in the order in which it fell due, before a record of that time is appended.
 * So two readers of one partition cut at the same offsets, and what one of them wrote twice is equal. Exceptions are
 * `memory_pressure`, and the clock of a quiet partition, which never runs ahead of the broker.
 */
export class TraceTable<R extends TraceEntry> {
  readonly #options: TraceTableOptions<R>
  readonly #traces = new Map<string, OpenTrace<R>>()
  /** By last record, until they have been quiet; then until they are idle. */
  readonly #quiet = new Lane<OpenTrace<R>>()
  readonly #idle = new Lane<OpenTrace<R>>()
  readonly #byAge = new Lane<OpenTrace<R>>()
  readonly #recent: RecentSids
  #heldBytes = 0

  constructor(options: TraceTableOptions<R>) {
    this.#options = options
    this.#recent = new RecentSids(options.recentSids)
  }

  get size(): number {
    return this.#traces.size
  }

  /** Memory that the open traces are charged with. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  /** Stream time of the first record of the oldest open trace; Infinity without one. */
  get oldestMs(): number {
    return this.#byAge.first?.firstMs ?? Number.POSITIVE_INFINITY
  }

  /** Closes all traces whose time has come at `clockMs`, in the order in which they fell due. */
  advance(clockMs: number): void {
    const { rules } = this.#options
    for (;;) {
      const quiet = this.#quiet.first
      const idle = this.#idle.first
      const oldest = this.#byAge.first
      const quietDueMs = quiet === null ? Number.POSITIVE_INFINITY : quiet.lastMs + rules.quietMs
      const idleDueMs = idle === null ? Number.POSITIVE_INFINITY : idle.lastMs + rules.idleMs
      const ageDueMs = oldest === null ? Number.POSITIVE_INFINITY : oldest.firstMs + rules.maxAgeMs
      const dueMs = Math.min(quietDueMs, idleDueMs, ageDueMs)
      if (dueMs > clockMs) return
      if (quiet !== null && quietDueMs === dueMs) this.#lookAt(quiet)
      else if (idle !== null && idleDueMs === dueMs)
        this.#close(idle, idle.isCompleteIfIdle ? 'complete' : 'idle')
      else if (oldest !== null) this.#close(oldest, 'max_age')
      else return
    }
  }

  /**
   * Adds a record to the trace of its SID, after everything that is due at `streamMs` has been closed.
   * `streamMs` is the stream time with this record, and must not go back between calls.
   */
  append(sid: string, record: R, streamMs: number): void {
    this.advance(streamMs)
    const { rules } = this.#options
    let trace = this.#traces.get(sid)
    if (trace !== undefined) {
      // Before the record is in, not after: so a trace never exceeds the limit by more than its first record does.
      const reason: CloseReason | null =
        trace.rowCount + record.rowCount > rules.maxRows || trace.records.length >= rules.maxRows
          ? 'span_limit'
          : trace.byteLength + record.byteLength > rules.maxBytes
            ? 'bytes_limit'
            : null
      if (reason === null) {
        this.#laneOf(trace).remove(trace.byLast)
      } else {
        this.#close(trace, reason)
        trace = undefined
      }
    }
    if (trace === undefined) {
      trace = new OpenTrace<R>(sid, streamMs, this.#recent.has(sid))
      this.#traces.set(sid, trace)
      this.#byAge.push(trace.byAge)
      this.#heldBytes += TRACE_OVERHEAD_BYTES
    }
    trace.records.push(record)
    trace.byteLength += record.byteLength
    trace.rowCount += record.rowCount
    trace.headerBytes += record.headerBytes
    trace.lastMs = streamMs
    trace.isCompleteIfIdle = null
    this.#quiet.push(trace.byLast)
    this.#heldBytes += record.byteLength + record.headerBytes + RECORD_OVERHEAD_BYTES
  }

  /** A record of this SID was settled by a former owner: what comes now is late. */
  noteSettled(sid: string): void {
    this.#recent.add(sid)
  }

  /** Closes the oldest trace as `memory_pressure`; false = there is none. */
  closeOldest(): boolean {
    const trace = this.#byAge.first
    if (trace === null) return false
    this.#close(trace, 'memory_pressure')
    return true
  }

  /** Forgets all open traces; each is handed to `drop`. */
  clear(drop: (trace: OpenTrace<R>) => void): void {
    for (const trace of this.#traces.values()) {
      this.#laneOf(trace).remove(trace.byLast)
      this.#byAge.remove(trace.byAge)
      drop(trace)
    }
    this.#traces.clear()
    this.#heldBytes = 0
  }

  #lookAt(trace: OpenTrace<R>): void {
    const completeness = trace.isLate ? 'late' : this.#options.judge(trace)
    if (completeness === 'complete' || completeness === 'late') {
      this.#close(trace, completeness)
      return
    }
    this.#quiet.remove(trace.byLast)
    trace.isCompleteIfIdle = completeness === 'complete_if_idle'
    this.#idle.push(trace.byLast)
  }

  #close(trace: OpenTrace<R>, reason: CloseReason): void {
    this.#laneOf(trace).remove(trace.byLast)
    this.#byAge.remove(trace.byAge)
    this.#traces.delete(trace.sid)
    this.#recent.add(trace.sid)
    this.#heldBytes -= trace.heldBytes
    this.#options.onClose(trace, reason)
  }

  #laneOf(trace: OpenTrace<R>): Lane<OpenTrace<R>> {
    return trace.isCompleteIfIdle === null ? this.#quiet : this.#idle
  }
}
