import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { isSiderealError } from '../model/errors.ts'
import type { PayloadReference } from '../model/payload-reference.ts'
import type { ClickHouse } from '../storage/clickhouse/client.ts'
import type { ExpectedTrace, Origin } from './expected.ts'
import type { PayloadCheck } from './row-comparison.ts'
import { Bits, boundsOf, CHUNK_TRACES, chunks } from './verify-chunks.ts'
import { EXACT_VIEWS, type ExactView, type RowBounds, RowReader } from './verify-reader.ts'
import {
  FAULTS,
  type Fault,
  type FoundTrace,
  type PendingRow,
  type TraceVerdict,
  verifyTrace,
} from './verify-trace.ts'

export interface VerifyOptions {
  readonly client: ClickHouse
  /** What was sent, trace by trace, each SID once. Called twice: the order must be the same. */
  readonly expected: () => AsyncIterable<ExpectedTrace> | Iterable<ExpectedTrace>
  /** What SIDs of this ledger, and of nothing else, begin with: rows of others that begin so are `extra`. `undefined`: they share it. */
  readonly sidPrefix: string | undefined
  readonly isDeadLettered: (origin: Origin, sid: string) => boolean
  readonly fetchPayload: (reference: PayloadReference) => Promise<Buffer>
  /** Called with the number of traces that were compared for good. */
  readonly onProgress?: (traces: number) => void
}

export interface VerifyReport {
  readonly counts: Readonly<Record<Fault, number>>
  /** Rows that are not there because their record is a dead letter. */
  readonly deadLettered: number
  readonly traces: number
  /** Rows that are as they were sent. */
  readonly rows: number
  readonly payloads: number
  /** The first faults of each kind, one line each. */
  readonly details: readonly string[]
  readonly isClean: boolean
}

/** Of the table of row counts; each costs four bytes a view here and one row of an answer. */
const SLOTS = 1 << 16
const PAYLOAD_FETCHES = 8
const DETAILS_PER_FAULT = 20

/**
 * Compares the tables with what was sent, in memory that does not grow with the run (but for a bit a trace).
 *
 * The first pass reads rows where they are expected to lie, which is quick, and counts what it read in slots by a hash of the SID. Then the
 * server counts all rows by the same slots. A trace with any fault, and every trace of a slot in which there are more rows than
 * were read (such as a copy under another day), is read a second time, wherever its rows lie, and only that reading counts.
 */
export async function verify(options: VerifyOptions): Promise<VerifyReport> {
  return await new Verification(options).run()
}

class Verification {
  readonly #options: VerifyOptions
  readonly #rows: RowReader
  readonly #seen: Record<ExactView, Int32Array> = {
    spans_exact: new Int32Array(SLOTS),
    node_trace_logs_exact: new Int32Array(SLOTS),
    node_logs_exact: new Int32Array(SLOTS),
  }
  readonly #counts: Record<Fault, number> = { lost: 0, duplicated: 0, altered: 0, truncated: 0, extra: 0 }
  readonly #details: Record<Fault, string[]> = {
    lost: [],
    duplicated: [],
    altered: [],
    truncated: [],
    extra: [],
  }
  readonly #suspects = new Bits()
  #deadLettered = 0
  #rowCount = 0
  #traceCount = 0
  #payloadCount = 0

  constructor(options: VerifyOptions) {
    this.#options = options
    this.#rows = new RowReader(options.client)
  }

  async run(): Promise<VerifyReport> {
    let ordinal = 0
    for await (const verdicts of this.#firstPass()) {
      for (const { trace, found, verdict } of verdicts) {
        if (verdict.isClean) {
          this.#see(trace.sid, found)
          this.#count(verdict)
        } else this.#suspects.set(ordinal)
        ordinal += 1
      }
    }
    await this.#recheck(await this.#slotsWithMore())
    const details = FAULTS.flatMap((fault) => this.#details[fault])
    return {
      counts: this.#counts,
      deadLettered: this.#deadLettered,
      traces: this.#traceCount,
      rows: this.#rowCount,
      payloads: this.#payloadCount,
      details,
      isClean: FAULTS.every((fault) => this.#counts[fault] === 0),
    }
  }

  /** Chunk by chunk, in order; the server works on the next one while this one is compared. */
  async *#firstPass(): AsyncGenerator<CheckedTrace[]> {
    let ahead: Promise<CheckedTrace[]> | undefined
    for await (const chunk of chunks(this.#options.expected())) {
      const next = this.#check(chunk, boundsOf(chunk))
      // Whoever awaits it later meets the error.
      next.catch(() => undefined)
      if (ahead !== undefined) yield await ahead
      ahead = next
    }
    if (ahead !== undefined) yield await ahead
  }

  /** Slots in which the server has more rows than the first pass read, with what it counted. */
  async #slotsWithMore(): Promise<Map<number, Record<ExactView, number>>> {
    const slots = new Map<number, Record<ExactView, number>>()
    const prefix = this.#options.sidPrefix ?? ''
    const counted = await Promise.all(EXACT_VIEWS.map((view) => this.#rows.countBySlot(view, SLOTS, prefix)))
    EXACT_VIEWS.forEach((view, place) => {
      for (const [slot, count] of counted[place]!) {
        if (count === this.#seen[view][slot]) continue
        const totals = slots.get(slot) ?? { spans_exact: 0, node_trace_logs_exact: 0, node_logs_exact: 0 }
        slots.set(slot, totals)
      }
    })
    for (const [slot, totals] of slots) {
      EXACT_VIEWS.forEach((view, place) => {
        totals[view] = counted[place]!.get(slot) ?? 0
        this.#seen[view][slot] = 0
      })
    }
    return slots
  }

  async #recheck(slots: ReadonlyMap<number, Record<ExactView, number>>): Promise<void> {
    let ordinal = 0
    let suspects: ExpectedTrace[] = []
    const accepted = new Set<string>()
    const flush = async () => {
      for (const { trace, found, verdict } of await this.#check(suspects, undefined)) {
        if (slots.has(slotOf(trace.sid))) this.#see(trace.sid, found)
        if (accepted.has(trace.sid)) this.#countFaults(verdict)
        else this.#count(verdict)
      }
      suspects = []
      accepted.clear()
    }
    for await (const trace of this.#options.expected()) {
      const isSuspect = this.#suspects.has(ordinal)
      ordinal += 1
      if (!isSuspect && !slots.has(slotOf(trace.sid))) continue
      if (!isSuspect) accepted.add(trace.sid)
      suspects.push(trace)
      if (suspects.length >= CHUNK_TRACES) await flush()
    }
    if (suspects.length > 0) await flush()
    if (this.#options.sidPrefix !== undefined) this.#countStrangers(slots)
  }

  /** Rows under SIDs of this ledger's kind that are not in it. */
  #countStrangers(slots: ReadonlyMap<number, Record<ExactView, number>>): void {
    for (const view of EXACT_VIEWS) {
      let strangers = 0
      for (const [slot, totals] of slots) strangers += Math.max(0, totals[view] - this.#seen[view][slot]!)
      if (strangers > 0)
        this.#fault(
          'extra',
          [`extra: ${strangers} rows of ${view} under SIDs that are not in the ledger`],
          strangers,
        )
    }
  }

  async #check(traces: readonly ExpectedTrace[], bounds: RowBounds | undefined): Promise<CheckedTrace[]> {
    const sids = traces.map(({ sid }) => sid)
    const [spans, logs, nodes, rows] = await Promise.all([
      this.#rows.spans(sids, bounds).then(bySid),
      this.#rows.logs(sids, bounds).then(bySid),
      this.#rows.nodes(sids, bounds).then(bySid),
      this.#rows.traces(sids).then(bySid),
    ])
    const checked = traces.map((trace): CheckedTrace => {
      const { sid } = trace
      const found = {
        spans: spans.get(sid) ?? [],
        logs: logs.get(sid) ?? [],
        nodes: nodes.get(sid) ?? [],
        trace: rows.get(sid)?.[0],
      }
      return { trace, found, verdict: verifyTrace(trace, found, this.#options.isDeadLettered) }
    })
    await this.#fetchPayloads(
      checked.flatMap(({ verdict }) => verdict.pending.map((row) => ({ verdict, row }))),
    )
    return checked
  }

  async #fetchPayloads(pending: readonly { verdict: TraceVerdict; row: PendingRow }[]): Promise<void> {
    const queue = pending.values()
    const fetchAll = async () => {
      for (const { verdict, row } of queue) {
        const faults: string[] = []
        for (const check of row.payloads) {
          const fault = await this.#payloadFault(check)
          if (fault !== undefined) faults.push(`${check.path} (${fault})`)
        }
        if (faults.length === 0) continue
        verdict.rows -= 1
        verdict.add('altered', `${row.name}: ${faults.join(', ')}`)
      }
    }
    await Promise.all(Array.from({ length: PAYLOAD_FETCHES }, fetchAll))
  }

  async #payloadFault({ reference, expected }: PayloadCheck): Promise<string | undefined> {
    let bytes: Buffer
    try {
      bytes = await this.#options.fetchPayload(reference)
    } catch (error) {
      if (isSiderealError(error)) return error.code
      throw error
    }
    const isEqual =
      bytes.length === expected.size && createHash('sha256').update(bytes).digest('hex') === expected.sha256
    return isEqual ? undefined : 'other bytes'
  }

  #see(sid: string, found: FoundTrace): void {
    const slot = slotOf(sid)
    this.#seen.spans_exact[slot]! += found.spans.length
    this.#seen.node_trace_logs_exact[slot]! += found.logs.length
    this.#seen.node_logs_exact[slot]! += found.nodes.length
  }

  #count(verdict: TraceVerdict): void {
    this.#traceCount += 1
    this.#rowCount += verdict.rows
    this.#deadLettered += verdict.deadLettered
    this.#payloadCount += verdict.pending.reduce((total, { payloads }) => total + payloads.length, 0)
    this.#countFaults(verdict)
    this.#options.onProgress?.(this.#traceCount)
  }

  #countFaults(verdict: TraceVerdict): void {
    for (const fault of FAULTS) {
      const details = verdict.details.filter((detail) => detail.startsWith(`${fault}: `))
      this.#fault(fault, details, verdict.counts[fault])
    }
  }

  #fault(fault: Fault, details: readonly string[], count: number): void {
    this.#counts[fault] += count
    const room = DETAILS_PER_FAULT - this.#details[fault].length
    this.#details[fault].push(...details.slice(0, Math.max(0, room)))
  }
}

interface CheckedTrace {
  readonly trace: ExpectedTrace
  readonly found: FoundTrace
  readonly verdict: TraceVerdict
}

function slotOf(sid: string): number {
  return crc32(sid) % SLOTS
}

function bySid<Row extends { readonly sid: string }>(rows: readonly Row[]): Map<string, Row[]> {
  const groups = new Map<string, Row[]>()
  for (const row of rows) {
    const group = groups.get(row.sid)
    if (group === undefined) groups.set(row.sid, [row])
    else group.push(row)
  }
  return groups
}
