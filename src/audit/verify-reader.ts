import type { ClickHouse } from '../storage/clickhouse/client.ts'
import type { LogRow, NodeRow, SpanRow, TraceRow } from './verify-rows.ts'

const map = (column: string, alias: string) => `${mapTuple(column)} AS ${alias}`
const mapTuple = (value: string) =>
  `CAST((mapKeys(${value}), mapValues(${value})), 'Tuple(keys Array(String), values Array(String))')`
const maps = (column: string, alias: string) => `arrayMap(m -> ${mapTuple('m')}, ${column}) AS ${alias}`

const COMMON = [
  'sid',
  'app_id',
  'uid',
  'chat_id',
  'toUnixTimestamp64Nano(start_time) AS start_ns',
  'toUnixTimestamp64Nano(end_time) AS end_ns',
  'duration_ns AS duration',
  'time_flags',
  'start_time_original AS start_original',
  'end_time_original AS end_original',
  'is_error',
  map('payload_refs', 'refs'),
]

const USAGE = ['question_tokens', 'prompt_tokens', 'completion_tokens', 'total_tokens']

const SPAN_SELECT = [
  ...COMMON,
  ...[
    'trace_id',
    'span_id',
    'parent_span_id',
    'batch_id',
    'service_name',
    'name',
    'kind',
    'status_code',
    'status_message',
  ],
  ...['trace_state', 'flags', 'attribute_types', 'dropped_attributes_count', 'resource_attribute_types'],
  ...[
    'resource_dropped_attributes_count',
    'resource_schema_url',
    'scope_name',
    'scope_version',
    'scope_attribute_types',
  ],
  ...['scope_dropped_attributes_count', 'scope_schema_url', 'dropped_events_count', 'dropped_links_count'],
  map('attributes', 'attributes_map'),
  map('resource_attributes', 'resource_map'),
  map('scope_attributes', 'scope_map'),
  'arrayMap(t -> toUnixTimestamp64Nano(t), `events.time`) AS event_times',
  '`events.name` AS event_names',
  maps('`events.attributes`', 'event_maps'),
  '`events.attribute_types` AS event_types',
  '`events.dropped_attributes_count` AS event_dropped',
  '`links.trace_id` AS link_trace_ids',
  '`links.span_id` AS link_span_ids',
  '`links.trace_state` AS link_trace_states',
  maps('`links.attributes`', 'link_maps'),
  '`links.attribute_types` AS link_types',
  '`links.dropped_attributes_count` AS link_dropped',
  '`links.flags` AS link_flags',
]

const LOG_SELECT = [
  ...COMMON,
  ...USAGE,
  ...[
    'log_id',
    'revision',
    'duration_reported_ms',
    'toString(first_frame_duration_ms) AS first_frame',
    'trace_id',
    'span_id',
  ],
  ...['service_id', 'flow_id', 'bot_id', 'sub', 'caller', 'log_caller', 'log_version', 'question', 'answer'],
  ...['status_code', 'status_message', 'srv_types', 'srv_tag_types', 'extra_types'],
  map('srv', 'srv_map'),
  map('srv_tag', 'srv_tag_map'),
  map('extra', 'extra_map'),
]

const NODE_SELECT = [
  ...COMMON,
  ...USAGE,
  ...[
    'log_id',
    'place',
    'revision',
    'duration_reported_ms',
    'toString(first_frame_duration_ms) AS first_frame',
  ],
  ...[
    'toString(node_first_cost_time) AS first_cost',
    'id',
    'node_id',
    'node_type',
    'node_name',
    'func_id',
    'func_type',
  ],
  ...[
    'func_name',
    'next_log_ids',
    'running_status',
    'llm_output',
    'input_types',
    'output_types',
    'config_types',
    'logs',
    'extra_types',
  ],
  map('input', 'input_map'),
  map('output', 'output_map'),
  map('config', 'config_map'),
  map('extra', 'extra_map'),
]

const TRACE_SELECT = [
  'sid',
  'status',
  'reason',
  ...['span_count', 'error_count', 'node_count', 'node_error_count', 'log_count'],
  ...USAGE,
]

/** Where rows are expected to lie: a reader may skip everything else. */
export interface RowBounds {
  readonly appIds: readonly string[]
  /** At least one. */
  readonly ranges: readonly TimeRange[]
}

/** Unix nanoseconds, both inclusive. */
export interface TimeRange {
  readonly firstNs: bigint
  readonly lastNs: bigint
}

/** The tables that are counted slot by slot. */
export const EXACT_VIEWS = ['spans_exact', 'node_trace_logs_exact', 'node_logs_exact'] as const
export type ExactView = (typeof EXACT_VIEWS)[number]

/** Reads the rows of some SIDs, or counts those of all. */
export class RowReader {
  readonly #client: ClickHouse
  readonly #database: string

  constructor(client: ClickHouse) {
    this.#client = client
    this.#database = quote(client.database, '`')
  }

  spans(sids: readonly string[], bounds?: RowBounds): Promise<SpanRow[]> {
    return this.#rows(SPAN_SELECT, 'spans_exact', 'start_time', sids, bounds)
  }

  logs(sids: readonly string[], bounds?: RowBounds): Promise<LogRow[]> {
    return this.#rows(LOG_SELECT, 'node_trace_logs_exact', 'log_time', sids, bounds)
  }

  nodes(sids: readonly string[], bounds?: RowBounds): Promise<NodeRow[]> {
    return this.#rows(NODE_SELECT, 'node_logs_exact', 'log_time', sids, bounds)
  }

  traces(sids: readonly string[]): Promise<TraceRow[]> {
    return this.#rows(TRACE_SELECT, 'traces', '', sids, undefined)
  }

  /** Number of rows by `CRC32(sid)` modulo `slots`, of the SIDs that begin so. */
  async countBySlot(view: ExactView, slots: number, sidPrefix: string): Promise<Map<number, number>> {
    const rows = await this.#client.query<{ slot: number; total: string }>(
      `SELECT toUInt32(CRC32(sid) % ${slots}) AS slot, count() AS total FROM ${this.#database}.${view}
      WHERE startsWith(sid, ${quote(sidPrefix, "'")}) GROUP BY slot`,
    )
    return new Map(rows.map((row) => [row.slot, Number(row.total)]))
  }

  async #rows<Row>(
    select: readonly string[],
    view: string,
    timeColumn: string,
    sids: readonly string[],
    bounds: RowBounds | undefined,
  ): Promise<Row[]> {
    // Literals and not parameters: those travel in the URL, which has no room for hundreds of SIDs.
    const conditions = [`sid IN (${sids.map((sid) => quote(sid, "'")).join(', ')})`]
    if (bounds !== undefined) {
      conditions.push(`app_id IN (${bounds.appIds.map((app) => quote(app, "'")).join(', ')})`)
      const ranges = bounds.ranges.map(
        ({ firstNs, lastNs }) => `${timeColumn} BETWEEN ${timeOf(firstNs)} AND ${timeOf(lastNs)}`,
      )
      conditions.push(`(${ranges.join(' OR ')})`)
    }
    return await this.#client.query<Row>(
      `SELECT ${select.join(', ')} FROM ${this.#database}.${view} WHERE ${conditions.join(' AND ')}`,
    )
  }
}

function timeOf(timeNs: bigint): string {
  return `fromUnixTimestamp64Nano(toInt64(${timeNs}), 'UTC')`
}

function quote(text: string, mark: "'" | '`'): string {
  const escaped = text.replaceAll('\\', '\\\\').replaceAll(mark, `\\${mark}`).replaceAll('\0', '\\0')
  return mark + escaped + mark
}
