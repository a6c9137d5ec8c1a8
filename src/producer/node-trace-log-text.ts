import { randomUUID } from 'node:crypto'
import { asText, entriesOf, ownForm, ValueWalk } from './foreign-values.ts'
import type { NodeLog } from './node-log.ts'
import type { NodeTraceLog } from './node-trace-log.ts'
import { type JsonTextFaults, MAX_JSON_DEPTH, PythonFloat, pythonJson } from './python-json.ts'

/** Where `toJsonString` puts texts over 5,120 bytes (source description: `BaseOSSService`). */
export interface LargeTextStore {
  /**
   * Stores a text.
   * @param name 32 hex digits and `.txt`; never the same twice
   * @param bytes UTF-8
   * @returns the link that stands in the text's place
   */
  uploadFile(name: string, bytes: Uint8Array): Promise<string>
}

/** What the last `toJsonString` of a log could not write as it was. All 0: the text says everything. */
export interface NodeTraceLogTextFaults extends JsonTextFaults {
  /** Texts that the store did not take: they stand in the text, whole. */
  readonly notStored: number
}

/** Over this a text goes to the store: 5 KB by its bytes. The original counts 33 bytes of Python object, too, and stores from 5,088 bytes on. */
const LARGE_TEXT_BYTES = 5 * 1024

/** The fields of a log in the order and under the names of the source's `to_json`. */
export function fieldsOfLog(log: NodeTraceLog): Record<string, unknown> {
  // The workflow service's own copy of the class has two fields more, and another value for a node without end.
  const isOfWorkflow = log.flowId !== '' || log.botId !== ''
  return allThere({
    service_id: log.serviceId,
    ...(isOfWorkflow ? { flow_id: log.flowId } : {}),
    sid: log.sid,
    app_id: log.appId,
    uid: log.uid,
    ...(isOfWorkflow ? { bot_id: log.botId } : {}),
    chat_id: log.chatId,
    sub: log.sub,
    caller: log.caller,
    log_caller: log.logCaller,
    question: log.question,
    answer: log.answer,
    start_time: log.startTime,
    end_time: log.endTime,
    duration: log.duration,
    first_frame_duration:
      log.firstFrameDuration === -1 ? new PythonFloat(log.firstFrameDuration) : log.firstFrameDuration,
    srv: log.srv,
    srv_tag: log.srvTag,
    status: log.status && { code: log.status.code, message: log.status.message },
    usage: fieldsOfUsage(log.usage),
    version: log.version,
    trace: nodesOf(log.trace).map((node) => fieldsOfNode(node, log.sid, isOfWorkflow)),
  })
}

/** A field to which a caller without types assigned nothing is there all the same, as Python's None is: null. */
function allThere(fields: Record<string, unknown>): Record<string, unknown> {
  for (const name of Object.keys(fields)) fields[name] ??= null
  return fields
}

function fieldsOfNode(node: NodeLog, sid: string, isOfWorkflow: boolean): Record<string, unknown> {
  const { input, output, config, usage } = node.data ?? {}
  return allThere({
    id: node.id,
    sid: node.sid === '' ? sid : node.sid,
    node_id: node.nodeId,
    node_type: node.nodeType,
    node_name: node.nodeName,
    func_id: node.funcId,
    func_type: node.funcType,
    func_name: node.funcName,
    next_log_ids: new Set([...(node.nextLogIds ?? [])].map(asText).sort()),
    start_time: node.startTime,
    end_time: node.endTime,
    // A default tuple of the original, which came to be its mark of a node that never ended.
    duration: node.isEnded || node.duration !== 0 || isOfWorkflow ? node.duration : [0],
    first_frame_duration: node.firstFrameDuration,
    node_first_cost_time: node.nodeFirstCostTime === -1 ? -1 : new PythonFloat(node.nodeFirstCostTime),
    llm_output: node.llmOutput,
    running_status: node.runningStatus,
    data: { input, output, config, usage: fieldsOfUsage(usage) },
    logs: node.logs,
  })
}

/** The field can be assigned where there are no types. */
export function nodesOf(nodes: readonly NodeLog[]): readonly NodeLog[] {
  return Array.isArray(nodes) ? nodes : []
}

function fieldsOfUsage(usage: NodeTraceLog['usage'] | null | undefined): Record<string, number> | null {
  // Assigned by a caller without types: null, as in the source.
  if (!usage) return null
  return {
    question_tokens: usage.questionTokens,
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.totalTokens,
  }
}

/**
 * The text of a log's fields. With a store its texts over 5,120 bytes, in objects and arrays at any depth, are links; keys and sets are not
 * searched, as in the source. What the store does not take stays in the text.
 */
export async function textWithStore(
  fields: Record<string, unknown>,
  store: LargeTextStore,
): Promise<{ text: string; faults: NodeTraceLogTextFaults }> {
  let notStored = 0
  const keep = async (bytes: Uint8Array) => {
    try {
      const link: unknown = await store.uploadFile(`${randomUUID().replaceAll('-', '')}.txt`, bytes)
      // The source's store gives an empty text when it cannot be reached.
      if (typeof link === 'string' && link !== '') return link
    } catch {
      // Counted as below.
    }
    // The text is not lost for it: it stays where it was, and the count says so.
    notStored += 1
    return undefined
  }
  const linked = await replaceLarge(fields, keep, new ValueWalk(MAX_JSON_DEPTH))
  const { text, faults } = textOf(linked)
  return { text, faults: { ...faults, notStored } }
}

export function textOf(fields: unknown): { text: string; faults: NodeTraceLogTextFaults } {
  const faults: JsonTextFaults = { nonFinite: 0, replacedSurrogates: 0 }
  const text = pythonJson(fields, faults)
  return { text, faults: { ...faults, notStored: 0 } }
}

type Store = (bytes: Uint8Array) => Promise<string | undefined>

async function replaceLarge(
  value: unknown,
  store: Store,
  walk: ValueWalk,
  above: readonly object[] = [],
): Promise<unknown> {
  if (!walk.takesOne()) return null
  if (typeof value === 'string') {
    // A UTF-16 unit is at most three bytes: short texts need no counting.
    if (value.length * 3 <= LARGE_TEXT_BYTES || Buffer.byteLength(value) <= LARGE_TEXT_BYTES) return value
    return (await store(Buffer.from(value, 'utf8'))) ?? value
  }
  if (typeof value !== 'object' || value === null) return value
  if (above.length >= MAX_JSON_DEPTH || above.includes(value)) return null
  const replace = (item: unknown) => replaceLarge(item, store, walk, [...above, value])
  try {
    if (Array.isArray(value)) {
      const items: unknown[] = []
      for (const item of value) items.push(await replace(item))
      return items
    }
    if (isLeaf(value)) return value
    const own = ownForm(value)
    if (own !== undefined) return await replace(own.form)
    const replaced = new Map<string, unknown>()
    for (const [key, item] of entriesOf(value)) replaced.set(key, await replace(item))
    return replaced
  } catch {
    // A proxy that throws: what the text says in its place is decided where it is written.
  }
  return value
}

/** What the writer has a form for; a set is not searched, as in the source. */
function isLeaf(value: object): boolean {
  return (
    value instanceof PythonFloat ||
    value instanceof Date ||
    value instanceof Set ||
    value instanceof Uint8Array
  )
}
