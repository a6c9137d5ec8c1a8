import { type AnyValue, type KeyValue, KeyValueList } from '../../model/any-value.ts'
import type { NodeLog, NodeTraceLog } from '../../model/node-trace-log.ts'
import { type OffloadableString, PayloadReference } from '../../model/payload-reference.ts'
import type { Resource, Scope, Span, SpanBatch, SpanEvent, SpanLink } from '../../model/span.ts'

/** Is given each string that may be a payload, in an order that depends on the record alone; returns what stands in its place. */
export type StringVisitor = (value: string) => OffloadableString

/**
 * Visits every string value that may be a payload: attributes of spans, events, links, resource and scope, with the arrays and key-value
 * lists in them; status messages; question, answer, LLM output, log entries; input, output and configuration of nodes; service
 * and unknown fields. Not names, keys and ids. What does not change is shared with the original, which stays as it is.
 */
export function mapStrings(record: SpanBatch | NodeTraceLog, visit: StringVisitor): SpanBatch | NodeTraceLog {
  return 'spans' in record ? mapSpanBatch(record, visit) : mapLog(record, visit)
}

function mapSpanBatch(batch: SpanBatch, visit: StringVisitor): SpanBatch {
  const resource = mapAttributes(batch.resource, visit)
  const scope = mapAttributes(batch.scope, visit)
  const spans = mapList(batch.spans, (span) => mapSpan(span, visit))
  return changed(batch, { resource, scope, spans })
}

function mapSpan(span: Span, visit: StringVisitor): Span {
  const attributes = mapKeyValues(span.attributes, visit)
  const events = mapList(span.events, (event) => mapAttributes(event, visit))
  const links = mapList(span.links, (link) => mapAttributes(link, visit))
  const statusMessage = mapText(span.statusMessage, visit)
  return changed(span, { attributes, events, links, statusMessage })
}

function mapLog(log: NodeTraceLog, visit: StringVisitor): NodeTraceLog {
  const question = mapText(log.question, visit)
  const answer = mapText(log.answer, visit)
  const srv = mapKeyValues(log.srv, visit)
  const srvTag = mapKeyValues(log.srvTag, visit)
  const status = changed(log.status, { message: mapText(log.status.message, visit) })
  const trace = mapList(log.trace, (node) => mapNode(node, visit))
  const extra = mapKeyValues(log.extra, visit)
  return changed(log, { question, answer, srv, srvTag, status, trace, extra })
}

function mapNode(node: NodeLog, visit: StringVisitor): NodeLog {
  const llmOutput = mapText(node.llmOutput, visit)
  const data = changed(node.data, {
    input: mapKeyValues(node.data.input, visit),
    output: mapKeyValues(node.data.output, visit),
    config: mapKeyValues(node.data.config, visit),
  })
  const logs = mapList(node.logs, (entry) => mapText(entry, visit))
  const extra = mapKeyValues(node.extra, visit)
  return changed(node, { llmOutput, data, logs, extra })
}

function mapAttributes<T extends Resource | Scope | SpanEvent | SpanLink>(owner: T, visit: StringVisitor): T {
  const attributes = mapKeyValues(owner.attributes, visit)
  return attributes === owner.attributes ? owner : { ...owner, attributes }
}

function mapKeyValues(entries: KeyValue[], visit: StringVisitor): KeyValue[] {
  return mapList(entries, (entry) => {
    const value = mapValue(entry.value, visit)
    return Object.is(value, entry.value) ? entry : { key: entry.key, value }
  })
}

function mapValue(value: AnyValue, visit: StringVisitor): AnyValue {
  if (typeof value === 'string') return visit(value)
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array || value instanceof PayloadReference) return value
  if (value instanceof KeyValueList) {
    const entries = mapList([...value.entries], (entry) => {
      const inner = mapValue(entry.value, visit)
      return Object.is(inner, entry.value) ? entry : { key: entry.key, value: inner }
    })
    return entries.every((entry, place) => entry === value.entries[place]) ? value : new KeyValueList(entries)
  }
  const items = value.map((item) => mapValue(item, visit))
  return items.every((item, place) => Object.is(item, value[place])) ? value : items
}

function mapText(value: OffloadableString, visit: StringVisitor): OffloadableString {
  return typeof value === 'string' ? visit(value) : value
}

/** The same list when no item changed. */
function mapList<T>(items: T[], map: (item: T) => T): T[] {
  let result = items
  for (const [place, item] of items.entries()) {
    const mapped = map(item)
    if (mapped === item) continue
    if (result === items) result = [...items]
    result[place] = mapped
  }
  return result
}

/** The same object when no field changed. */
function changed<T extends object>(original: T, fields: Partial<T>): T {
  const result = { ...original, ...fields }
  for (const key in fields) {
    if (result[key] !== original[key]) return result
  }
  return original
}
