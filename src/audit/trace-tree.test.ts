import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LoadedTrace, LogRow, NodeRow, SpanRow } from '../storage/clickhouse/queries.ts'
import { formatTrace } from './trace-tree.ts'

const TRACE = 'a'.repeat(32)

function span(id: string, parent: string, fields: Partial<SpanRow> = {}): SpanRow {
  const base = {
    trace_id: TRACE,
    span_id: id,
    parent_span_id: parent,
    service_name: 'svc',
    name: `span ${id}`,
    start_ns: '1000000',
    duration_ns: '2500000',
  }
  const rest = {
    is_error: false,
    status_message: '',
    model: '',
    input_tokens: '0',
    output_tokens: '0',
    time_flags: 0,
    flags: 0x101,
    payload_refs: [],
  }
  return { ...base, ...rest, ...fields } as SpanRow
}

function log(spanId: string): LogRow {
  const tokens = { total_tokens: '7', prompt_tokens: '5', completion_tokens: '2' }
  const base = {
    log_id: 'log1',
    trace_id: TRACE,
    span_id: spanId,
    service_id: 'flow',
    start_ns: '1000000',
    duration_ns: '9000000',
  }
  return {
    ...base,
    ...tokens,
    first_frame_duration_ms: 12.5,
    is_error: false,
    question: '你好\u001b[31m\nred',
    answer: '',
    payload_refs: [],
  } as unknown as LogRow
}

function node(place: number, next: string[]): NodeRow {
  const base = {
    log_id: 'log1',
    place,
    id: `id${place}`,
    node_id: `node${place}`,
    node_type: 'llm',
    node_name: '大模型',
    next_log_ids: next,
  }
  const rest = {
    start_ns: '2000000',
    duration_ns: '1000000',
    first_frame_duration_ms: -1,
    model: '',
    total_tokens: '0',
    is_error: place === 1,
    payload_refs: [],
  }
  return { ...base, ...rest } as unknown as NodeRow
}

function loaded(parts: Partial<LoadedTrace>): LoadedTrace {
  return { trace: undefined, spans: [], logs: [], nodes: [], ...parts }
}

test('spans hang below their parents, and nodes below the span that made their log', () => {
  const spans = [span('1', ''), span('2', '1'), span('3', '2', { is_error: true, status_message: 'boom' })]
  const text = formatTrace(
    'sid',
    loaded({ spans, logs: [log('2')], nodes: [node(0, ['node1']), node(1, [])] }),
  )
  assert.match(text, /^└─ span 1/m)
  assert.match(text, /^ {3}└─ span 2/m)
  assert.match(text, /^ {6}◆ log log1 {2}flow.*first frame 12.5 ms {2}tokens 7 \(prompt 5, completion 2\)/m)
  assert.match(text, /\[0\] llm 大模型.*→ \[1\]/)
  assert.match(text, /\[1\] llm 大模型.*ERROR/)
  assert.match(text, /^ {6}└─ span 3 .*ERROR: boom$/m)
})

test('what is referred to and not there is listed', () => {
  const spans = [span('2', 'ffff'), span('5', 'eeee', { flags: 0x301 })]
  const text = formatTrace('sid', loaded({ spans, logs: [log('')], nodes: [node(0, ['nowhere'])] }))
  assert.match(
    text,
    /missing\n {2}span ffff, the parent of "span 2" \(svc\)\n {2}node nowhere, announced by \[0\]/,
  )
  assert.doesNotMatch(text, /eeee/)
})

test('texts of services cannot move the cursor of the reader', () => {
  const text = formatTrace('sid', loaded({ logs: [log('')], nodes: [] }))
  assert.ok(!text.includes('\u001b'))
  assert.match(text, /question: 你好 \[31m red/)
})

test('spans that are each other’s ancestors are shown once', () => {
  const text = formatTrace('sid', loaded({ spans: [span('1', '2'), span('2', '1')] }))
  assert.equal(text.match(/span 1/g)?.length, 1)
  assert.equal(text.match(/span 2/g)?.length, 1)
})
