/*
 * What verify reads. Everything comes as JSON with nothing left to interpretation: times as decimal nanoseconds, floats as text, maps as
 * two arrays, so that repeated keys stay.
 */

/** Keys and values of a map, in the order of the column. */
interface MapColumns {
  readonly keys: readonly string[]
  readonly values: readonly string[]
}

interface CommonRow {
  readonly sid: string
  readonly app_id: string
  readonly uid: string
  readonly chat_id: string
  readonly start_ns: string
  readonly end_ns: string
  readonly duration: string
  readonly time_flags: number
  readonly start_original: string
  readonly end_original: string
  readonly is_error: boolean
  readonly refs: MapColumns
}

export interface SpanRow extends CommonRow {
  readonly trace_id: string
  readonly span_id: string
  readonly parent_span_id: string
  readonly batch_id: string
  readonly service_name: string
  readonly name: string
  readonly kind: number
  readonly status_code: number
  readonly status_message: string
  readonly trace_state: string
  readonly flags: number
  readonly attributes_map: MapColumns
  readonly attribute_types: string
  readonly dropped_attributes_count: number
  readonly resource_map: MapColumns
  readonly resource_attribute_types: string
  readonly resource_dropped_attributes_count: number
  readonly resource_schema_url: string
  readonly scope_name: string
  readonly scope_version: string
  readonly scope_map: MapColumns
  readonly scope_attribute_types: string
  readonly scope_dropped_attributes_count: number
  readonly scope_schema_url: string
  readonly event_times: readonly string[]
  readonly event_names: readonly string[]
  readonly event_maps: readonly MapColumns[]
  readonly event_types: readonly string[]
  readonly event_dropped: readonly number[]
  readonly dropped_events_count: number
  readonly link_trace_ids: readonly string[]
  readonly link_span_ids: readonly string[]
  readonly link_trace_states: readonly string[]
  readonly link_maps: readonly MapColumns[]
  readonly link_types: readonly string[]
  readonly link_dropped: readonly number[]
  readonly link_flags: readonly number[]
  readonly dropped_links_count: number
}

interface UsageRow {
  readonly question_tokens: string
  readonly prompt_tokens: string
  readonly completion_tokens: string
  readonly total_tokens: string
}

export interface LogRow extends CommonRow, UsageRow {
  readonly log_id: string
  readonly revision: number
  readonly duration_reported_ms: string
  readonly first_frame: string
  readonly trace_id: string
  readonly span_id: string
  readonly service_id: string
  readonly flow_id: string
  readonly bot_id: string
  readonly sub: string
  readonly caller: string
  readonly log_caller: string
  readonly log_version: string
  readonly question: string
  readonly answer: string
  readonly status_code: string
  readonly status_message: string
  readonly srv_map: MapColumns
  readonly srv_types: string
  readonly srv_tag_map: MapColumns
  readonly srv_tag_types: string
  readonly extra_map: MapColumns
  readonly extra_types: string
}

export interface NodeRow extends CommonRow, UsageRow {
  readonly log_id: string
  readonly place: number
  readonly revision: number
  readonly duration_reported_ms: string
  readonly first_frame: string
  readonly first_cost: string
  readonly id: string
  readonly node_id: string
  readonly node_type: string
  readonly node_name: string
  readonly func_id: string
  readonly func_type: string
  readonly func_name: string
  readonly next_log_ids: readonly string[]
  readonly running_status: boolean
  readonly llm_output: string
  readonly input_map: MapColumns
  readonly input_types: string
  readonly output_map: MapColumns
  readonly output_types: string
  readonly config_map: MapColumns
  readonly config_types: string
  readonly logs: readonly string[]
  readonly extra_map: MapColumns
  readonly extra_types: string
}

export interface TraceRow {
  readonly sid: string
  readonly status: string
  readonly reason: string
  readonly span_count: string
  readonly error_count: string
  readonly node_count: string
  readonly node_error_count: string
  readonly log_count: string
  readonly question_tokens: string
  readonly prompt_tokens: string
  readonly completion_tokens: string
  readonly total_tokens: string
}
