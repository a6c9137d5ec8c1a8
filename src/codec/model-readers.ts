import {
  bigint,
  boolean,
  bytes,
  double,
  hex,
  list,
  nullable,
  number,
  object,
  only,
  type Reader,
  separately,
  text,
  union,
  withDefault,
} from './avro/readers.ts'

/** How the records of the wire become the objects of `src/model`: names, types, and defaults for fields that a writer lacks. */

const encoding: Reader = {
  initial: "'identity'",
  plan: (target) => ({ string: (at, length) => `${target} = encoding(b, ${at}, ${length})` }),
}

export const payloadReference = separately(
  object(
    [
      ['key', 'key', nullable('string', text)],
      ['offset', 'offset', number],
      ['length', 'length', number],
      ['size', 'size', number],
      ['sha256', 'sha256', hex(32)],
      ['encoding', 'encoding', encoding],
      ['preview', 'preview', text],
    ],
    [],
    (literal) => `new PayloadReference(${literal})`,
  ),
)

const offloadableString = union("''", () => ({ string: text, PayloadReference: payloadReference }))

const anyValue: Reader = union('null', () => ({
  null: { initial: 'null', plan: (target) => ({ nothing: `${target} = null` }) },
  string: text,
  long: bigint,
  double,
  boolean,
  bytes,
  ArrayValue: arrayValue,
  KeyValueList: keyValueList,
  PayloadReference: payloadReference,
}))

const keyValue = object([
  ['key', 'key', text],
  ['value', 'value', anyValue],
])

const attributes = separately(list(keyValue))
export const arrayValue = separately(only('values', list(anyValue)))
const entries = list(keyValue)
export const keyValueList = separately({
  initial: 'new KeyValueList([])',
  plan: (target, names) => {
    const values = names.variable()
    const plan = only('values', entries).plan(values, names)
    return { ...plan, enter: `let ${values} = []`, leave: `${target} = new KeyValueList(${values})` }
  },
})

export const resource = separately(
  object([
    ['attributes', 'attributes', attributes],
    ['droppedAttributesCount', 'dropped_attributes_count', number],
    ['schemaUrl', 'schema_url', text],
    [
      'entityRefs',
      'entity_refs',
      list(
        object([
          ['schemaUrl', 'schema_url', text],
          ['type', 'type', text],
          ['idKeys', 'id_keys', list(text)],
          ['descriptionKeys', 'description_keys', list(text)],
        ]),
      ),
    ],
  ]),
)

export const scope = separately(
  object([
    ['name', 'name', text],
    ['version', 'version', text],
    ['attributes', 'attributes', attributes],
    ['droppedAttributesCount', 'dropped_attributes_count', number],
    ['schemaUrl', 'schema_url', text],
  ]),
)

const event = object([
  ['timeNs', 'time', bigint],
  ['name', 'name', text],
  ['attributes', 'attributes', attributes],
  ['droppedAttributesCount', 'dropped_attributes_count', number],
])

const link = object(
  [
    ['traceId', 'trace_id', hex(16, true)],
    ['spanId', 'span_id', hex(8)],
    ['traceState', 'trace_state', text],
    ['attributes', 'attributes', attributes],
    ['droppedAttributesCount', 'dropped_attributes_count', number],
    ['flags', 'flags', number],
  ],
  ['trace_id', 'span_id'],
)

const span = separately(
  object(
    [
      ['traceId', 'trace_id', hex(16, true)],
      ['spanId', 'span_id', hex(8)],
      ['parentSpanId', 'parent_span_id', nullable('SpanId', hex(8))],
      ['flags', 'flags', number],
      ['name', 'name', text],
      ['kind', 'kind', number],
      ['startTimeNs', 'start_time', bigint],
      ['endTimeNs', 'end_time', bigint],
      ['statusCode', 'status_code', number],
      ['statusMessage', 'status_message', offloadableString],
      ['traceState', 'trace_state', text],
      ['attributes', 'attributes', attributes],
      ['droppedAttributesCount', 'dropped_attributes_count', number],
      ['events', 'events', separately(list(event))],
      ['droppedEventsCount', 'dropped_events_count', number],
      ['links', 'links', separately(list(link))],
      ['droppedLinksCount', 'dropped_links_count', number],
    ],
    ['trace_id', 'span_id'],
  ),
)

export const spanBatchReader = object(
  [
    ['sid', 'sid', text],
    ['appId', 'app_id', text],
    ['uid', 'uid', text],
    ['chatId', 'chat_id', text],
    ['batchId', 'batch_id', hex(16)],
    ['resource', 'resource', resource],
    ['scope', 'scope', scope],
    ['spans', 'spans', list(span)],
  ],
  ['sid', 'batch_id', 'spans'],
)

const usage = object([
  ['questionTokens', 'question_tokens', number],
  ['promptTokens', 'prompt_tokens', number],
  ['completionTokens', 'completion_tokens', number],
  ['totalTokens', 'total_tokens', number],
])

const data = object([
  ['input', 'input', attributes],
  ['output', 'output', attributes],
  ['config', 'config', attributes],
  ['usage', 'usage', usage],
])

const unknownDuration = withDefault(double, '-1')

const node = separately(
  object([
    ['id', 'id', text],
    ['sid', 'sid', text],
    ['nodeId', 'node_id', text],
    ['nodeType', 'node_type', text],
    ['nodeName', 'node_name', text],
    ['funcId', 'func_id', text],
    ['funcType', 'func_type', text],
    ['funcName', 'func_name', text],
    ['nextLogIds', 'next_log_ids', list(text)],
    ['startTimeMs', 'start_time', number],
    ['endTimeMs', 'end_time', number],
    ['durationMs', 'duration', number],
    ['firstFrameDurationMs', 'first_frame_duration', unknownDuration],
    ['nodeFirstCostTime', 'node_first_cost_time', double],
    ['llmOutput', 'llm_output', offloadableString],
    ['runningStatus', 'running_status', withDefault(boolean, 'true')],
    ['data', 'data', data],
    ['logs', 'logs', list(offloadableString)],
    ['extra', 'extra', attributes],
  ]),
)

export const nodeTraceLogReader = object(
  [
    ['sid', 'sid', text],
    ['appId', 'app_id', text],
    ['uid', 'uid', text],
    ['chatId', 'chat_id', text],
    ['logId', 'log_id', hex(16)],
    ['revision', 'revision', number],
    ['traceId', 'trace_id', nullable('TraceId', hex(16))],
    ['spanId', 'span_id', nullable('SpanId', hex(8))],
    ['serviceId', 'service_id', text],
    ['flowId', 'flow_id', text],
    ['botId', 'bot_id', text],
    ['sub', 'sub', text],
    ['caller', 'caller', text],
    ['logCaller', 'log_caller', text],
    ['question', 'question', offloadableString],
    ['answer', 'answer', offloadableString],
    ['startTimeMs', 'start_time', number],
    ['endTimeMs', 'end_time', number],
    ['durationMs', 'duration', number],
    ['firstFrameDurationMs', 'first_frame_duration', unknownDuration],
    ['srv', 'srv', attributes],
    ['srvTag', 'srv_tag', attributes],
    [
      'status',
      'status',
      object([
        ['code', 'code', number],
        ['message', 'message', offloadableString],
      ]),
    ],
    ['usage', 'usage', usage],
    ['version', 'version', text],
    ['trace', 'trace', list(node)],
    ['extra', 'extra', attributes],
  ],
  ['sid', 'log_id', 'trace'],
)
