import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ExpectedRevision, ExpectedSpan, ExpectedTrace, Origin } from './expected.ts'
import { expectedFacts } from './expected-facts.ts'
import type { LogRow, NodeRow, SpanRow, TraceRow } from './verify-rows.ts'
import { type FoundTrace, type TraceVerdict, verifyTrace } from './verify-trace.ts'

/* Senders that know little: only ids, names and completeness are compared, so that rows here can be short. */

const ACKNOWLEDGED: Origin = { isAcknowledged: true }
const UNCERTAIN: Origin = { isAcknowledged: false }
const TRACE = 'a'.repeat(32)
const LOG = 'b'.repeat(32)

function span(id: string, fields: Partial<ExpectedSpan> = {}): ExpectedSpan {
  return {
    origin: ACKNOWLEDGED,
    traceId: TRACE,
    spanId: id,
    name: `name ${id}`,
    parentSpanId: null,
    ...fields,
  }
}

function revision(number: number, nodes: number, fields: Partial<ExpectedRevision> = {}): ExpectedRevision {
  const trace = Array.from({ length: nodes }, (_, place) => ({
    id: `n${place}`,
    nodeName: `r${number}`,
    nextLogIds: [],
  }))
  return { origin: ACKNOWLEDGED, logId: LOG, revision: number, trace, ...fields }
}

const NO_MAP = { keys: [], values: [] }

function spanRow(id: string, name = `name ${id}`): SpanRow {
  return { trace_id: TRACE, span_id: id, parent_span_id: '', name, refs: NO_MAP } as unknown as SpanRow
}

function logRow(number: number): LogRow {
  return { log_id: LOG, revision: number, refs: NO_MAP } as unknown as LogRow
}

function nodeRow(place: number, number: number): NodeRow {
  return {
    log_id: LOG,
    place,
    revision: number,
    id: `n${place}`,
    node_name: `r${number}`,
    next_log_ids: [],
    refs: NO_MAP,
  } as unknown as NodeRow
}

/** What the view says of a trace that holds these. */
function traceRow(spans: readonly ExpectedSpan[], revisions: readonly ExpectedRevision[] = []): TraceRow {
  const facts = expectedFacts(spans, revisions)
  return {
    status: 'complete',
    reason: 'complete',
    span_count: String(facts.spanCount),
    node_count: String(facts.nodeCount),
    log_count: String(facts.logCount),
    error_count: '0',
    node_error_count: '0',
    question_tokens: '0',
    prompt_tokens: '0',
    completion_tokens: '0',
    total_tokens: '0',
  } as unknown as TraceRow
}

function check(
  expected: Partial<ExpectedTrace>,
  found: Partial<FoundTrace>,
  deadOffsets: number[] = [],
): TraceVerdict {
  return verifyTrace(
    { sid: 's', spans: [], revisions: [], ...expected },
    { spans: [], logs: [], nodes: [], trace: undefined, ...found },
    ({ offset }) => offset !== undefined && deadOffsets.includes(offset),
  )
}

const CLEAN = { lost: 0, duplicated: 0, altered: 0, truncated: 0, extra: 0 }

describe('spans', () => {
  test('that are as they were sent are no fault', () => {
    const spans = [span('1'), span('2')]
    const verdict = check({ spans }, { spans: [spanRow('2'), spanRow('1')], trace: traceRow(spans) })
    assert.deepEqual(verdict.counts, CLEAN)
    assert.equal(verdict.rows, 2)
  })

  test('that were sent and not acknowledged may be there or not, and the trace has to agree with what is there', () => {
    const spans = [span('1'), span('2', { origin: UNCERTAIN })]
    assert.deepEqual(check({ spans }, { spans: [spanRow('1')], trace: traceRow([span('1')]) }).counts, CLEAN)
    assert.deepEqual(
      check({ spans }, { spans: [spanRow('1'), spanRow('2')], trace: traceRow(spans) }).counts,
      CLEAN,
    )
    const onlyCounted = check({ spans }, { spans: [spanRow('1')], trace: traceRow(spans) })
    assert.deepEqual(onlyCounted.counts, { ...CLEAN, truncated: 1 })
  })

  test('of a trace of which nothing was acknowledged and nothing is there need no row in traces', () => {
    assert.deepEqual(check({ spans: [span('1', { origin: UNCERTAIN })] }, {}).counts, CLEAN)
    assert.deepEqual(check({ spans: [span('1')] }, {}).counts, { ...CLEAN, lost: 1, truncated: 1 })
  })

  test('whose record is a dead letter are listed apart and not lost', () => {
    const dead = { isAcknowledged: true, partition: 0, offset: 9 }
    const spans = [span('1'), span('2', { origin: dead })]
    const verdict = check({ spans }, { spans: [spanRow('1')], trace: traceRow([span('1')]) }, [9])
    assert.deepEqual(verdict.counts, CLEAN)
    assert.equal(verdict.deadLettered, 1)
  })

  test('that stand there more than once count each further time, and one right row is enough', () => {
    const spans = [span('1')]
    const verdict = check(
      { spans },
      { spans: [spanRow('1', 'other'), spanRow('1'), spanRow('1')], trace: traceRow(spans) },
    )
    assert.deepEqual(verdict.counts, { ...CLEAN, duplicated: 2 })
  })

  test('details name the field and never the value', () => {
    const spans = [span('1')]
    const verdict = check({ spans }, { spans: [spanRow('1', 'a secret')], trace: traceRow(spans) })
    assert.deepEqual(verdict.counts, { ...CLEAN, altered: 1 })
    assert.match(verdict.details.join(), /name$/)
    assert.ok(!verdict.details.join().includes('secret'))
  })
})

describe('publications of a log', () => {
  const both = [revision(0, 2), revision(1, 3)]
  const newest = { logs: [logRow(1)], nodes: [nodeRow(0, 1), nodeRow(1, 1), nodeRow(2, 1)] }

  test('the highest revision wins; an earlier one in its place is altered', () => {
    assert.deepEqual(check({ revisions: both }, { ...newest, trace: traceRow([], both) }).counts, CLEAN)
    const stale = {
      ...newest,
      nodes: [nodeRow(0, 0), nodeRow(1, 1), nodeRow(2, 1)],
      trace: traceRow([], both),
    }
    assert.deepEqual(check({ revisions: both }, stale).counts, { ...CLEAN, altered: 1 })
  })

  test('places only grow: a shorter later revision leaves the further nodes of the earlier one', () => {
    const shorter = [revision(0, 3), revision(1, 2)]
    const found = {
      logs: [logRow(1)],
      nodes: [nodeRow(0, 1), nodeRow(1, 1), nodeRow(2, 0)],
      trace: traceRow([], shorter),
    }
    assert.deepEqual(check({ revisions: shorter }, found).counts, CLEAN)
  })

  test('an uncertain later revision may have won or not', () => {
    const uncertain = [revision(0, 2), revision(1, 3, { origin: UNCERTAIN })]
    assert.deepEqual(
      check({ revisions: uncertain }, { ...newest, trace: traceRow([], uncertain) }).counts,
      CLEAN,
    )
    const former = {
      logs: [logRow(0)],
      nodes: [nodeRow(0, 0), nodeRow(1, 0)],
      trace: traceRow([], [revision(0, 2)]),
    }
    assert.deepEqual(check({ revisions: uncertain }, former).counts, CLEAN)
  })

  test('a place that nobody sent is extra, one that is missing is lost', () => {
    const found = {
      logs: [logRow(1)],
      nodes: [nodeRow(0, 1), nodeRow(1, 1), nodeRow(7, 1)],
      trace: traceRow([], both),
    }
    assert.deepEqual(check({ revisions: both }, found).counts, { ...CLEAN, lost: 1, extra: 1 })
  })
})
