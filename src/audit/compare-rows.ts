import type { ExpectedNode, ExpectedRevision, ExpectedSpan, ExpectedUsage } from './expected.ts'
import { isNodeError, isSpanError } from './expected-facts.ts'
import { expectedTimes } from './expected-times.ts'
import { RowComparison } from './row-comparison.ts'
import type { LogRow, NodeRow, SpanRow } from './verify-rows.ts'

/** Every field of a span that its sender knew, against the row. */
export function compareSpan(expected: ExpectedSpan, row: SpanRow): RowComparison {
  const comparison = new RowComparison(row.refs)
  compareIdentity(comparison, expected, row)
  comparison.equal(
    'parent_span_id',
    expected.parentSpanId === null ? '' : expected.parentSpanId,
    row.parent_span_id,
  )
  comparison.equal('batch_id', expected.batchId, row.batch_id)
  comparison.equal('name', expected.name, row.name)
  comparison.equal('kind', expected.kind, row.kind)
  comparison.equal('flags', expected.flags, row.flags)
  comparison.equal('trace_state', expected.traceState, row.trace_state)
  comparison.equal('status_code', expected.statusCode, row.status_code)
  comparison.text('status_message', expected.statusMessage, row.status_message)
  comparison.equal('is_error', isSpanError(expected), row.is_error)
  compareTimes(
    comparison,
    expected.startTimeNs,
    expected.endTimeNs,
    expected.events?.map(({ timeNs }) => timeNs) ?? [],
    1n,
    row,
  )

  comparison.values('attributes', expected.attributes, row.attributes_map, row.attribute_types)
  comparison.equal('dropped_attributes_count', expected.droppedAttributesCount, row.dropped_attributes_count)
  const { resource, scope } = expected
  comparison.values(
    'resource.attributes',
    resource?.attributes,
    row.resource_map,
    row.resource_attribute_types,
  )
  comparison.equal(
    'resource_dropped_attributes_count',
    resource?.droppedAttributesCount,
    row.resource_dropped_attributes_count,
  )
  comparison.equal('resource_schema_url', resource?.schemaUrl, row.resource_schema_url)
  comparison.equal('service_name', expected.serviceName ?? serviceNameOf(expected), row.service_name)
  comparison.equal('scope_name', scope?.name, row.scope_name)
  comparison.equal('scope_version', scope?.version, row.scope_version)
  comparison.values('scope.attributes', scope?.attributes, row.scope_map, row.scope_attribute_types)
  comparison.equal(
    'scope_dropped_attributes_count',
    scope?.droppedAttributesCount,
    row.scope_dropped_attributes_count,
  )
  comparison.equal('scope_schema_url', scope?.schemaUrl, row.scope_schema_url)
  compareEvents(comparison, expected, row)
  compareLinks(comparison, expected, row)
  return comparison
}

function serviceNameOf({ resource }: ExpectedSpan): string | undefined {
  const name = resource?.attributes.find(({ key }) => key === 'service.name')?.value
  return typeof name === 'string' ? name : undefined
}

function compareEvents(comparison: RowComparison, expected: ExpectedSpan, row: SpanRow): void {
  comparison.equal('dropped_events_count', expected.droppedEventsCount, row.dropped_events_count)
  if (expected.events === undefined) return
  comparison.equal('events', expected.events.length, row.event_names.length)
  expected.events.forEach((event, place) => {
    const path = `events.${place}`
    comparison.equal(`${path}.time`, String(event.timeNs), row.event_times[place] ?? '')
    comparison.equal(`${path}.name`, event.name, row.event_names[place] ?? '')
    comparison.values(
      `${path}.attributes`,
      event.attributes,
      row.event_maps[place] ?? NO_ENTRIES,
      row.event_types[place] ?? '',
    )
    comparison.equal(
      `${path}.dropped_attributes_count`,
      event.droppedAttributesCount,
      row.event_dropped[place] ?? 0,
    )
  })
}

function compareLinks(comparison: RowComparison, expected: ExpectedSpan, row: SpanRow): void {
  comparison.equal('dropped_links_count', expected.droppedLinksCount, row.dropped_links_count)
  if (expected.links === undefined) return
  comparison.equal('links', expected.links.length, row.link_trace_ids.length)
  expected.links.forEach((link, place) => {
    const path = `links.${place}`
    comparison.equal(`${path}.trace_id`, link.traceId, row.link_trace_ids[place] ?? '')
    comparison.equal(`${path}.span_id`, link.spanId, row.link_span_ids[place] ?? '')
    comparison.equal(`${path}.trace_state`, link.traceState, row.link_trace_states[place] ?? '')
    comparison.values(
      `${path}.attributes`,
      link.attributes,
      row.link_maps[place] ?? NO_ENTRIES,
      row.link_types[place] ?? '',
    )
    comparison.equal(
      `${path}.dropped_attributes_count`,
      link.droppedAttributesCount,
      row.link_dropped[place] ?? 0,
    )
    comparison.equal(`${path}.flags`, link.flags, row.link_flags[place] ?? 0)
  })
}

const NO_ENTRIES = { keys: [], values: [] }

/** A publication of a NodeTraceLog against the row that won. */
export function compareLog(expected: ExpectedRevision, row: LogRow): RowComparison {
  const comparison = new RowComparison(row.refs)
  compareIdentity(comparison, expected, row)
  comparison.equal('revision', expected.revision, row.revision)
  comparison.equal('trace_id', expected.traceId === null ? '' : expected.traceId, row.trace_id)
  comparison.equal('span_id', expected.spanId === null ? '' : expected.spanId, row.span_id)
  comparison.equal('service_id', expected.serviceId, row.service_id)
  comparison.equal('flow_id', expected.flowId, row.flow_id)
  comparison.equal('bot_id', expected.botId, row.bot_id)
  comparison.equal('sub', expected.sub, row.sub)
  comparison.equal('caller', expected.caller, row.caller)
  comparison.equal('log_caller', expected.logCaller, row.log_caller)
  comparison.equal('log_version', expected.version, row.log_version)
  comparison.text('question', expected.question, row.question)
  comparison.text('answer', expected.answer, row.answer)
  comparison.equal('status_code', textOf(expected.status?.code), row.status_code)
  comparison.text('status.message', expected.status?.message, row.status_message)
  comparison.equal('is_error', expected.status && expected.status.code !== 0, row.is_error)
  compareMilliseconds(comparison, expected, row)
  comparison.equal('first_frame_duration_ms', expected.firstFrameDurationMs, Number(row.first_frame))
  compareUsage(comparison, expected.usage, row)
  comparison.values('srv', expected.srv, row.srv_map, row.srv_types)
  comparison.values('srv_tag', expected.srvTag, row.srv_tag_map, row.srv_tag_types)
  comparison.values('extra', expected.extra, row.extra_map, row.extra_types)
  return comparison
}

/** A node of a publication against the row of its place. */
export function compareNode(revision: ExpectedRevision, expected: ExpectedNode, row: NodeRow): RowComparison {
  const comparison = new RowComparison(row.refs)
  compareIdentity(comparison, revision, row)
  comparison.equal('revision', revision.revision, row.revision)
  comparison.equal('id', expected.id, row.id)
  comparison.equal('node_id', expected.nodeId, row.node_id)
  comparison.equal('node_type', expected.nodeType, row.node_type)
  comparison.equal('node_name', expected.nodeName, row.node_name)
  comparison.equal('func_id', expected.funcId, row.func_id)
  comparison.equal('func_type', expected.funcType, row.func_type)
  comparison.equal('func_name', expected.funcName, row.func_name)
  // A set: the order says nothing.
  comparison.equal(
    'next_log_ids',
    expected.nextLogIds && setText(expected.nextLogIds),
    setText(row.next_log_ids),
  )
  comparison.equal('running_status', expected.runningStatus, row.running_status)
  comparison.equal('is_error', isNodeError(expected), row.is_error)
  comparison.text('llm_output', expected.llmOutput, row.llm_output)
  compareMilliseconds(comparison, expected, row)
  comparison.equal('first_frame_duration_ms', expected.firstFrameDurationMs, Number(row.first_frame))
  comparison.equal('node_first_cost_time', expected.nodeFirstCostTime, Number(row.first_cost))
  const { data } = expected
  comparison.values('data.input', data?.input, row.input_map, row.input_types)
  comparison.values('data.output', data?.output, row.output_map, row.output_types)
  comparison.values('data.config', data?.config, row.config_map, row.config_types)
  compareUsage(comparison, data?.usage, row)
  comparison.values('extra', expected.extra, row.extra_map, row.extra_types)
  if (expected.logs !== undefined) {
    comparison.equal('logs', expected.logs.length, row.logs.length)
    expected.logs.forEach((text, place) => {
      comparison.text(`logs.${place}`, text, row.logs[place] ?? '')
    })
  }
  return comparison
}

interface IdentityRow {
  readonly app_id: string
  readonly uid: string
  readonly chat_id: string
}

function compareIdentity(
  comparison: RowComparison,
  expected: { appId?: string | undefined; uid?: string | undefined; chatId?: string | undefined },
  row: IdentityRow,
): void {
  comparison.equal('app_id', expected.appId, row.app_id)
  comparison.equal('uid', expected.uid, row.uid)
  comparison.equal('chat_id', expected.chatId, row.chat_id)
}

interface TimeRow {
  readonly start_ns: string
  readonly end_ns: string
  readonly duration: string
  readonly time_flags: number
  readonly start_original: string
  readonly end_original: string
}

/** @param unitNs nanoseconds of the unit in which the originals are kept */
function compareTimes(
  comparison: RowComparison,
  startNs: bigint | undefined,
  endNs: bigint | undefined,
  eventTimesNs: readonly bigint[],
  unitNs: bigint,
  row: TimeRow,
): void {
  if (startNs === undefined || endNs === undefined) return
  const times = expectedTimes(startNs, endNs, eventTimesNs)
  comparison.equal('start_time', String(times.startNs), row.start_ns)
  comparison.equal('end_time', String(times.endNs), row.end_ns)
  comparison.equal('duration_ns', String(times.endNs - times.startNs), row.duration)
  comparison.equal('time_flags', times.flags, row.time_flags)
  comparison.equal(
    'start_time_original',
    times.keepsStart ? String(startNs / unitNs) : '0',
    row.start_original,
  )
  comparison.equal('end_time_original', times.keepsEnd ? String(endNs / unitNs) : '0', row.end_original)
}

const MS_NS = 1_000_000n

function compareMilliseconds(
  comparison: RowComparison,
  expected: {
    startTimeMs?: number | undefined
    endTimeMs?: number | undefined
    durationMs?: number | undefined
  },
  row: TimeRow & { readonly duration_reported_ms: string },
): void {
  comparison.equal('duration_reported_ms', textOf(expected.durationMs), row.duration_reported_ms)
  if (expected.startTimeMs === undefined || expected.endTimeMs === undefined) return
  compareTimes(
    comparison,
    BigInt(expected.startTimeMs) * MS_NS,
    BigInt(expected.endTimeMs) * MS_NS,
    [],
    MS_NS,
    row,
  )
}

interface UsageRow {
  readonly question_tokens: string
  readonly prompt_tokens: string
  readonly completion_tokens: string
  readonly total_tokens: string
}

function compareUsage(comparison: RowComparison, expected: ExpectedUsage | undefined, row: UsageRow): void {
  comparison.equal('question_tokens', textOf(expected?.questionTokens), row.question_tokens)
  comparison.equal('prompt_tokens', textOf(expected?.promptTokens), row.prompt_tokens)
  comparison.equal('completion_tokens', textOf(expected?.completionTokens), row.completion_tokens)
  comparison.equal('total_tokens', textOf(expected?.totalTokens), row.total_tokens)
}

function textOf(value: number | undefined): string | undefined {
  return value === undefined ? undefined : String(value)
}

function setText(values: readonly string[]): string {
  return JSON.stringify([...new Set(values)].sort())
}
