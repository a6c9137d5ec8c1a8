import { compareLog, compareNode, compareSpan } from './compare-rows.ts'
import type { ExpectedRevision, ExpectedSpan, ExpectedTrace, Origin } from './expected.ts'
import { type ExpectedFacts, expectedFacts } from './expected-facts.ts'
import type { PayloadCheck, RowComparison } from './row-comparison.ts'
import type { LogRow, NodeRow, SpanRow, TraceRow } from './verify-rows.ts'

export const FAULTS = ['lost', 'duplicated', 'altered', 'truncated', 'extra'] as const
export type Fault = (typeof FAULTS)[number]

/** Everything that the tables hold under one SID. */
export interface FoundTrace {
  readonly spans: readonly SpanRow[]
  readonly logs: readonly LogRow[]
  readonly nodes: readonly NodeRow[]
  readonly trace: TraceRow | undefined
}

/** A row whose fields are right, and whose payloads are still to be fetched. */
export interface PendingRow {
  readonly name: string
  readonly payloads: readonly PayloadCheck[]
}

/** What is wrong with one trace. Counts of rows, but `truncated`, which counts the trace. */
export class TraceVerdict {
  readonly counts: Record<Fault, number> = { lost: 0, duplicated: 0, altered: 0, truncated: 0, extra: 0 }
  /** Rows that are missing because their record lies in the dead-letter topic. */
  deadLettered = 0
  /** Rows that are there and right, or right but for their payloads. */
  rows = 0
  /** One line a fault: names only, never values. */
  readonly details: string[] = []
  readonly pending: PendingRow[] = []

  add(fault: Fault, detail: string, count = 1): void {
    if (count === 0) return
    this.counts[fault] += count
    this.details.push(`${fault}: ${detail}`)
  }

  get isClean(): boolean {
    return FAULTS.every((fault) => this.counts[fault] === 0) && this.deadLettered === 0
  }
}

type IsDeadLettered = (origin: Origin, sid: string) => boolean

/** Holds one trace of the tables against what was sent. Fetches nothing: payloads are left in `pending`. */
export function verifyTrace(
  expected: ExpectedTrace,
  found: FoundTrace,
  isDeadLettered: IsDeadLettered,
): TraceVerdict {
  const verdict = new TraceVerdict()
  const check = new TraceCheck(expected.sid, verdict, (origin) => isDeadLettered(origin, expected.sid))
  const spans = check.spans(expected.spans, found.spans)
  const revisions = check.logs(expected.revisions, found.logs, found.nodes)
  check.trace(spans, revisions, found.trace)
  return verdict
}

class TraceCheck {
  readonly #sid: string
  readonly #verdict: TraceVerdict
  readonly #isDeadLettered: (origin: Origin) => boolean

  constructor(sid: string, verdict: TraceVerdict, isDeadLettered: (origin: Origin) => boolean) {
    this.#sid = sid
    this.#verdict = verdict
    this.#isDeadLettered = isDeadLettered
  }

  /** @returns the spans that count: those that must be there, and those that need not and are */
  spans(expected: readonly ExpectedSpan[], rows: readonly SpanRow[]): ExpectedSpan[] {
    const byKey = groupBy(rows, (row) => `${row.trace_id}/${row.span_id}`)
    const counting: ExpectedSpan[] = []
    for (const [key, spans] of groupBy(expected, (span) => `${span.traceId}/${span.spanId}`)) {
      const found = byKey.get(key) ?? []
      byKey.delete(key)
      const candidates = found.flatMap((row) => spans.map((span) => compareSpan(span, row)))
      this.#row(
        `span ${key}`,
        spans.map(({ origin }) => origin),
        found.length,
        candidates,
      )
      const [span] = spans
      if (span !== undefined && (found.length > 0 || spans.some(({ origin }) => this.#isRequired(origin))))
        counting.push(span)
    }
    for (const [key, found] of byKey) this.#extra(`span ${key}`, found.length)
    return counting
  }

  /** @returns the publications that count */
  logs(
    expected: readonly ExpectedRevision[],
    logRows: readonly LogRow[],
    nodeRows: readonly NodeRow[],
  ): ExpectedRevision[] {
    const logsById = groupBy(logRows, (row) => row.log_id)
    const nodesByPlace = groupBy(nodeRows, (row) => `${row.log_id}/${row.place}`)
    const counting: ExpectedRevision[] = []
    for (const [logId, publications] of groupBy(expected, (revision) => revision.logId)) {
      const found = logsById.get(logId) ?? []
      logsById.delete(logId)
      const acceptable = this.#newest(publications)
      const candidates = found.flatMap((row) => acceptable.map((revision) => compareLog(revision, row)))
      this.#row(
        `log ${logId}`,
        publications.map(({ origin }) => origin),
        found.length,
        candidates,
      )
      const seen = new Set(found.map((row) => row.revision))
      const places = Math.max(...publications.map(({ trace }) => trace.length))
      for (let place = 0; place < places; place++) {
        const key = `${logId}/${place}`
        const rows = nodesByPlace.get(key) ?? []
        nodesByPlace.delete(key)
        for (const row of rows) seen.add(row.revision)
        this.#node(
          key,
          publications.filter(({ trace }) => place < trace.length),
          place,
          rows,
        )
      }
      counting.push(
        ...publications.filter(({ origin, revision }) => this.#isRequired(origin) || seen.has(revision)),
      )
    }
    for (const [key, found] of logsById) this.#extra(`log ${key}`, found.length)
    for (const [key, found] of nodesByPlace) this.#extra(`node ${key}`, found.length)
    return counting
  }

  #node(
    key: string,
    publications: readonly ExpectedRevision[],
    place: number,
    rows: readonly NodeRow[],
  ): void {
    const acceptable = this.#newest(publications)
    const candidates = rows.flatMap((row) =>
      acceptable.flatMap((revision) => {
        const node = revision.trace[place]
        return node === undefined ? [] : [compareNode(revision, node, row)]
      }),
    )
    this.#row(
      `node ${key}`,
      publications.map(({ origin }) => origin),
      rows.length,
      candidates,
    )
  }

  trace(
    spans: readonly ExpectedSpan[],
    revisions: readonly ExpectedRevision[],
    row: TraceRow | undefined,
  ): void {
    if (spans.length === 0 && revisions.length === 0) return
    if (row === undefined) {
      this.#verdict.add('truncated', `trace ${this.#sid}: no row in traces`)
      return
    }
    const wrong = disagreements(expectedFacts(spans, revisions), row)
    if (wrong.length > 0) this.#verdict.add('truncated', `trace ${this.#sid}: ${wrong.join(', ')}`)
  }

  /** Publications that may have won: what is not sure to have arrived may have, if it is newer than all that did. */
  #newest(publications: readonly ExpectedRevision[]): ExpectedRevision[] {
    const arrived = publications
      .filter(({ origin }) => this.#isRequired(origin))
      .map(({ revision }) => revision)
    const newest = Math.max(-1, ...arrived)
    return publications.filter(({ revision }) => revision >= newest)
  }

  /** One row that was sent, once or more often, against those found under its identity. */
  #row(name: string, origins: readonly Origin[], found: number, candidates: readonly RowComparison[]): void {
    const where = `${name} of ${this.#sid}`
    if (found === 0) {
      if (origins.some((origin) => this.#isRequired(origin))) this.#verdict.add('lost', where)
      else if (origins.some(this.#isDeadLettered)) this.#verdict.deadLettered += 1
      return
    }
    this.#verdict.add('duplicated', where, found - 1)
    const best = candidates.reduce((one, other) =>
      other.differences.length < one.differences.length ? other : one,
    )
    if (best.differences.length > 0) {
      this.#verdict.add('altered', `${where}: ${best.differences.join(', ')}`)
      return
    }
    this.#verdict.rows += 1
    if (best.payloads.length > 0) this.#verdict.pending.push({ name: where, payloads: best.payloads })
  }

  #extra(name: string, count: number): void {
    this.#verdict.add('extra', `${name} of ${this.#sid}`, count)
  }

  #isRequired(origin: Origin): boolean {
    return origin.isAcknowledged && !this.#isDeadLettered(origin)
  }
}

/** Names of the columns of `traces` that say something else than what was sent. */
function disagreements(facts: ExpectedFacts, row: TraceRow): string[] {
  const wrong: string[] = []
  const compare = (column: string, expected: number | undefined, actual: string) => {
    if (expected !== undefined && String(expected) !== actual)
      wrong.push(`${column} is ${actual} and not ${expected}`)
  }
  compare('span_count', facts.spanCount, row.span_count)
  compare('error_count', facts.errorCount, row.error_count)
  compare('node_count', facts.nodeCount, row.node_count)
  compare('node_error_count', facts.nodeErrorCount, row.node_error_count)
  compare('log_count', facts.logCount, row.log_count)
  compare('question_tokens', facts.tokens?.question, row.question_tokens)
  compare('prompt_tokens', facts.tokens?.prompt, row.prompt_tokens)
  compare('completion_tokens', facts.tokens?.completion, row.completion_tokens)
  compare('total_tokens', facts.tokens?.total, row.total_tokens)
  if (facts.isComplete !== undefined && facts.isComplete !== (row.status === 'complete')) {
    wrong.push(`status is ${row.status} (${row.reason}) and not ${facts.isComplete ? 'complete' : 'partial'}`)
  }
  return wrong
}

function groupBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return groups
}
