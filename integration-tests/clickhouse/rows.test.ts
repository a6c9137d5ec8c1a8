import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyNodeTraceLog, anySpanBatch } from '../../src/codec/arbitraries.testing.ts'
import type { KeyValue } from '../../src/model/any-value.ts'
import type { OffloadableString } from '../../src/model/payload-reference.ts'
import { testFragment, testRecord } from '../../src/sinks/fragments.testing.ts'
import { parseValueText, type TextValue, withoutReferences } from '../../src/sinks/value-text.testing.ts'
import { useServers } from '../support/servers.ts'
import { freshTables } from './clickhouse-for-tests.ts'

const servers = await useServers('clickhouse')
const { client, sink } = await freshTables(servers)
const signal = new AbortController().signal
const RUNS = { numRuns: 25 }

type Pairs = [string, string][]

/** What the columns of a map say, read as docs/sql.md says. */
function read(pairs: Pairs, letters: string): [string, TextValue][] {
  assert.equal(letters.length, pairs.length)
  return pairs.map(([key, text], place) => [key, parseValueText(letters.charAt(place), text)])
}

function expected(attributes: readonly KeyValue[]): [string, TextValue][] {
  return attributes.map(({ key, value }) => [key, withoutReferences(value)])
}

function preview(text: OffloadableString): string {
  return typeof text === 'string' ? text : text.preview
}

const pairs = (column: string, as = column) => `CAST(${column}, 'Array(Tuple(String, String))') AS \`${as}\``

interface SpanColumns {
  trace_id: string
  span_id: string
  parent_span_id: string
  start: string
  end: string
  name: string
  kind: number
  status_code: number
  status_message: string
  trace_state: string
  flags: number
  attributes: Pairs
  attribute_types: string
  resource_attributes: Pairs
  resource_attribute_types: string
  scope_attributes: Pairs
  scope_attribute_types: string
  event_ns: string[]
  event_names: string[]
  event_attributes: Pairs[]
  event_types: string[]
  link_ids: string[]
  link_attributes: Pairs[]
  link_types: string[]
  link_flags: number[]
}

test('a row says all that the span said, whatever it contains', async () => {
  await fc.assert(
    fc.asyncProperty(anySpanBatch, async (any) => {
      const sid = `rows-${randomUUID()}`
      // Spans of one identity and time are one row: here each has an id of its own.
      const spans = any.spans.map((span, n) => ({ ...span, spanId: n.toString(16).padStart(16, '0') }))
      const batch = { ...any, sid, spans }
      assert.deepEqual(await sink.write([testFragment([testRecord(batch)])], signal), { refused: [] })
      const rows = await client.query<SpanColumns>(
        `SELECT trace_id, span_id, parent_span_id, name, kind, status_code, status_message, trace_state, flags,
          if(bitAnd(time_flags, 1) = 1, start_time_original, toUnixTimestamp64Nano(start_time)) AS start,
          if(bitAnd(time_flags, 6) > 0, end_time_original, toUnixTimestamp64Nano(end_time)) AS end,
          ${pairs('attributes')}, attribute_types, ${pairs('resource_attributes')}, resource_attribute_types,
          ${pairs('scope_attributes')}, scope_attribute_types,
          arrayMap(t -> toUnixTimestamp64Nano(t), events.time) AS event_ns, events.name AS event_names,
          arrayMap(m -> CAST(m, 'Array(Tuple(String, String))'), events.attributes) AS event_attributes,
          events.attribute_types AS event_types, links.trace_id AS link_ids,
          arrayMap(m -> CAST(m, 'Array(Tuple(String, String))'), links.attributes) AS link_attributes,
          links.attribute_types AS link_types, links.flags AS link_flags
        FROM spans_exact WHERE sid = {sid:String} ORDER BY span_id`,
        { sid },
      )
      assert.equal(rows.length, spans.length)
      for (const [n, row] of rows.entries()) {
        const span = spans[n]!
        assert.deepEqual(
          {
            ...row,
            attributes: read(row.attributes, row.attribute_types),
            resource_attributes: read(row.resource_attributes, row.resource_attribute_types),
            scope_attributes: read(row.scope_attributes, row.scope_attribute_types),
            event_attributes: row.event_attributes.map((map, place) =>
              read(map, row.event_types[place] ?? ''),
            ),
            link_attributes: row.link_attributes.map((map, place) => read(map, row.link_types[place] ?? '')),
          },
          {
            trace_id: span.traceId,
            span_id: span.spanId,
            parent_span_id: span.parentSpanId ?? '',
            start: String(span.startTimeNs),
            end: String(span.endTimeNs),
            name: span.name,
            kind: span.kind,
            status_code: span.statusCode,
            status_message: preview(span.statusMessage),
            trace_state: span.traceState,
            flags: span.flags,
            attributes: expected(span.attributes),
            attribute_types: row.attribute_types,
            resource_attributes: expected(batch.resource.attributes),
            resource_attribute_types: row.resource_attribute_types,
            scope_attributes: expected(batch.scope.attributes),
            scope_attribute_types: row.scope_attribute_types,
            event_ns: span.events.map((event) => String(event.timeNs)),
            event_names: span.events.map((event) => event.name),
            event_attributes: span.events.map((event) => expected(event.attributes)),
            event_types: row.event_types,
            link_ids: span.links.map((link) => link.traceId),
            link_attributes: span.links.map((link) => expected(link.attributes)),
            link_types: row.link_types,
            link_flags: span.links.map((link) => link.flags),
          },
        )
      }
    }),
    RUNS,
  )
})

interface NodeColumns {
  place: number
  start: string
  end: string
  duration_reported_ms: string
  id: string
  node_sid: string
  next_log_ids: string[]
  llm_output: string
  running_status: boolean
  total_tokens: string
  input: Pairs
  input_types: string
  config: Pairs
  config_types: string
  logs: string[]
}

test('the rows of a log and its nodes say all that the log said, whatever it contains', async () => {
  await fc.assert(
    fc.asyncProperty(anyNodeTraceLog, async (any) => {
      const sid = `rows-${randomUUID()}`
      const log = { ...any, sid }
      assert.deepEqual(await sink.write([testFragment([testRecord(log)])], signal), { refused: [] })
      const [row] = await client.query<{
        question: string
        answer: string
        code: string
        srv: Pairs
        srv_types: string
      }>(
        `SELECT question, answer, status_code AS code, ${pairs('srv')}, srv_types
        FROM node_trace_logs_exact WHERE sid = {sid:String} AND log_id = {logId:String}`,
        { sid, logId: log.logId },
      )
      assert.ok(row)
      assert.deepEqual(
        [row.question, row.answer, row.code, read(row.srv, row.srv_types)],
        [preview(log.question), preview(log.answer), String(log.status.code), expected(log.srv)],
      )
      const nodes = await client.query<NodeColumns>(
        `SELECT place, id, node_sid, next_log_ids, llm_output, running_status, total_tokens, logs, duration_reported_ms,
          if(bitAnd(time_flags, 1) = 1, start_time_original, toUnixTimestamp64Milli(start_time)) AS start,
          if(bitAnd(time_flags, 6) > 0, end_time_original, toUnixTimestamp64Milli(end_time)) AS end,
          ${pairs('input')}, input_types, ${pairs('config')}, config_types
        FROM node_logs_exact WHERE sid = {sid:String} ORDER BY place`,
        { sid },
      )
      assert.deepEqual(
        nodes.map((node) => ({
          ...node,
          input: read(node.input, node.input_types),
          config: read(node.config, node.config_types),
        })),
        log.trace.map((node, place) => ({
          place,
          id: node.id,
          node_sid: node.sid,
          next_log_ids: node.nextLogIds,
          llm_output: preview(node.llmOutput),
          running_status: node.runningStatus,
          total_tokens: String(node.data.usage.totalTokens),
          logs: node.logs.map(preview),
          duration_reported_ms: String(node.durationMs),
          start: String(node.startTimeMs),
          end: String(node.endTimeMs),
          input: expected(node.data.input),
          input_types: nodes[place]?.input_types,
          config: expected(node.data.config),
          config_types: nodes[place]?.config_types,
        })),
      )
    }),
    RUNS,
  )
})
