import type { ClickHouse } from './client.ts'
import { quoteIdentifier } from './migrations.ts'

/**
 * The reads of the trace tree. 64-bit integers and times come as texts, times as `YYYY-MM-DD hh:mm:ss.nnnnnnnnn` in UTC; everything is from
 * the exact views, bounded by app and time from `id_lookup`.
 */

export type LookupKind = 'sid' | 'trace' | 'chat' | 'uid'

/** Where the rows of one SID are, for one app. */
export interface TraceLocation {
  kind: LookupKind
  appId: string
  sid: string
  /** Bounds of the rows' partition time. */
  minTime: string
  maxTime: string
}

/** One row of the view `traces`. */
export interface TraceRow {
  sid: string
  app_id: string
  app_ids: string[]
  status: 'complete' | 'partial'
  reason: string
  root_name: string
  root_service: string
  services: string[]
  uid: string
  chat_id: string
  trace_ids: string[]
  start_time: string
  end_time: string
  duration_ns: string
  span_count: string
  error_count: string
  node_count: string
  node_error_count: string
  log_count: string
  question_tokens: string
  prompt_tokens: string
  completion_tokens: string
  total_tokens: string
  usage_reported: {
    question_tokens: string
    prompt_tokens: string
    completion_tokens: string
    total_tokens: string
  }
  /** Hashes; `codec/hash.ts` makes the same from ids. */
  missing_parents: string[]
  missing_nodes: string[]
  unrooted_traces: string[]
  missing_count: string
  sid_collision: number
  fragments: string
  first_received_at: string
  last_received_at: string
}

export interface SpanRow {
  app_id: string
  trace_id: string
  span_id: string
  parent_span_id: string
  service_name: string
  name: string
  kind: number
  start_time: string
  start_ns: string
  end_time: string
  duration_ns: string
  time_flags: number
  status_code: number
  status_message: string
  is_error: boolean
  level: string
  model: string
  input_tokens: string
  output_tokens: string
  flags: number
  /** Entries in order; keys may repeat. */
  attributes: [key: string, value: string][]
  attribute_types: string
  event_names: string[]
  event_times: string[]
  payload_refs: [path: string, reference: string][]
}

export interface LogRow {
  app_id: string
  log_id: string
  revision: number
  trace_id: string
  span_id: string
  service_id: string
  sub: string
  flow_id: string
  question: string
  answer: string
  status_code: string
  status_message: string
  is_error: boolean
  start_time: string
  start_ns: string
  end_time: string
  duration_ns: string
  first_frame_duration_ms: number
  question_tokens: string
  prompt_tokens: string
  completion_tokens: string
  total_tokens: string
  payload_refs: [path: string, reference: string][]
}

export interface NodeRow {
  app_id: string
  log_id: string
  place: number
  id: string
  node_id: string
  node_type: string
  node_name: string
  func_name: string
  next_log_ids: string[]
  running_status: boolean
  is_error: boolean
  model: string
  start_time: string
  start_ns: string
  end_time: string
  duration_ns: string
  first_frame_duration_ms: number
  question_tokens: string
  prompt_tokens: string
  completion_tokens: string
  total_tokens: string
  llm_output: string
  payload_refs: [path: string, reference: string][]
}

export interface LoadedTrace {
  /** Undefined when no fragment is there (yet). */
  trace: TraceRow | undefined
  spans: SpanRow[]
  logs: LogRow[]
  nodes: NodeRow[]
}

/**
 * Finds SIDs by any id: a SID, a trace id, a chat id or a uid; newest first. An id of several kinds gives all of them; the kinds come
 * in this order of preference: sid, trace, chat, uid.
 */
export async function findTrace(client: ClickHouse, id: string, limit = 100): Promise<TraceLocation[]> {
  return client.query<TraceLocation>(
    `SELECT kind, app_id AS appId, sid, min_time AS minTime, max_time AS maxTime
    FROM ${table(client, 'id_lookup_exact')} WHERE id = {id:String}
    ORDER BY indexOf(['sid', 'trace', 'chat', 'uid'], kind), max_received_at DESC, sid, app_id
    LIMIT {limit:UInt32}`,
    { id, limit },
  )
}

/** Everything of one SID, over all its apps. An unknown SID gives no rows. */
export async function loadTrace(client: ClickHouse, sid: string): Promise<LoadedTrace> {
  const locations = (await findTrace(client, sid, 10_000)).filter((location) => location.kind === 'sid')
  const [trace] = await client.query<TraceRow>(
    `SELECT * FROM ${table(client, 'traces')} WHERE sid = {sid:String}`,
    { sid },
  )
  if (locations.length === 0) return { trace, spans: [], logs: [], nodes: [] }
  const bounds = {
    sid,
    apps: [...new Set(locations.map((location) => location.appId))],
    // Times of one form: the order of the texts is that of the times.
    from: locations.map((location) => location.minTime).sort()[0],
    to: locations
      .map((location) => location.maxTime)
      .sort()
      .at(-1),
  }
  const [spans, logs, nodes] = await Promise.all([
    client.query<SpanRow>(
      `SELECT app_id, trace_id, span_id, parent_span_id, service_name, name, kind, start_time,
        toUnixTimestamp64Nano(start_time) AS start_ns, end_time, duration_ns, time_flags,
        status_code, status_message, is_error, level, model, input_tokens, output_tokens, flags,
        ${entries('attributes')}, attribute_types, events.name AS event_names,
        events.time AS event_times, ${entries('payload_refs')}
      FROM ${table(client, 'spans_exact')} ${where('start_time')}
      ORDER BY start_time, trace_id, span_id`,
      bounds,
    ),
    client.query<LogRow>(
      `SELECT app_id, log_id, revision, trace_id, span_id, service_id, sub, flow_id, question, answer, status_code,
        status_message, is_error, start_time,
        toUnixTimestamp64Nano(start_time) AS start_ns, end_time, duration_ns,
        first_frame_duration_ms, question_tokens, prompt_tokens, completion_tokens, total_tokens, ${entries('payload_refs')}
      FROM ${table(client, 'node_trace_logs_exact')} ${where('log_time')}
      ORDER BY start_time, log_id`,
      bounds,
    ),
    client.query<NodeRow>(
      `SELECT app_id, log_id, place, id, node_id, node_type, node_name, func_name, next_log_ids, running_status, is_error, model,
        start_time, toUnixTimestamp64Nano(start_time) AS start_ns,
        end_time, duration_ns, first_frame_duration_ms, question_tokens, prompt_tokens,
        completion_tokens, total_tokens, llm_output, ${entries('payload_refs')}
      FROM ${table(client, 'node_logs_exact')} ${where('log_time')}
      ORDER BY log_id, place`,
      bounds,
    ),
  ])
  return { trace, spans, logs, nodes }
}

const COUNTED = ['spans', 'node_trace_logs', 'node_logs', 'trace_fragments', 'id_lookup'] as const

/** Rows of each table as its exact view shows them. Reads everything: for tests, `doctor` and small installations. */
export async function tableCounts(client: ClickHouse): Promise<Record<(typeof COUNTED)[number], number>> {
  const counts = await Promise.all(
    COUNTED.map(async (name): Promise<[string, number]> => {
      const [row] = await client.query<{ count: string }>(
        `SELECT count() AS count FROM ${table(client, `${name}_exact`)}`,
      )
      return [name, Number(row?.count ?? 0)]
    }),
  )
  return Object.fromEntries(counts) as Record<(typeof COUNTED)[number], number>
}

/** A map as pairs: JSON objects would lose the order and repeated keys. */
function entries(column: string): string {
  return `CAST(${column}, 'Array(Tuple(String, String))') AS ${column}`
}

function where(time: string): string {
  return `WHERE app_id IN {apps:Array(String)} AND sid = {sid:String}
        AND ${time} >= toDateTime64({from:String}, 9, 'UTC') AND ${time} <= toDateTime64({to:String}, 9, 'UTC')`
}

function table(client: ClickHouse, name: string): string {
  return `${quoteIdentifier(client.database)}.${name}`
}
