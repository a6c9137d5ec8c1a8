import { createHash } from 'node:crypto'
import { type AnyValue, type KeyValue, KeyValueList } from '../model/any-value.ts'
import type { NodeTraceLog } from '../model/node-trace-log.ts'
import { type OffloadableString, PayloadReference } from '../model/payload-reference.ts'
import type { Span } from '../model/span.ts'
import { previewOf } from '../storage/payload-preview.ts'

/** A cut value still takes its preview, hash and numbers. */
const REFERENCE_BYTES = 400

type Replace = <T extends AnyValue | OffloadableString>(value: T) => T | PayloadReference

export interface Cut<T> {
  readonly value: T
  readonly cutValues: number
}

/** Cuts the largest strings of a span until about `excessBytes` are gone. What is left of one says how large it was, and its hash. */
export function cutSpan(span: Span, excessBytes: number): Cut<Span> {
  return cut(span, mapSpan, excessBytes)
}

export function cutNodeTraceLog(log: NodeTraceLog, excessBytes: number): Cut<NodeTraceLog> {
  return cut(log, mapLog, excessBytes)
}

function cut<T>(value: T, map: (value: T, replace: Replace) => T, excessBytes: number): Cut<T> {
  const sizes: number[] = []
  map(value, (item) => {
    if (typeof item === 'string') sizes.push(Buffer.byteLength(item))
    return item
  })
  sizes.sort((a, b) => b - a)
  let gone = 0
  let count = 0
  while (count < sizes.length && gone < excessBytes && sizes[count]! > REFERENCE_BYTES)
    gone += sizes[count++]! - REFERENCE_BYTES
  if (count === 0) return { value, cutValues: 0 }
  const smallest = sizes[count - 1]!
  // Of equally large ones only as many as are needed: those that come first.
  let ties = count - sizes.indexOf(smallest)
  const shortened = map(value, (item) => {
    if (typeof item !== 'string') return item
    const bytes = Buffer.from(item, 'utf8')
    if (bytes.length < smallest || (bytes.length === smallest && ties-- <= 0)) return item
    return cutReference(bytes)
  })
  return { value: shortened, cutValues: count }
}

function cutReference(bytes: Buffer): PayloadReference {
  return new PayloadReference({
    key: null,
    offset: 0,
    length: 0,
    size: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    encoding: 'identity',
    preview: previewOf(bytes),
  })
}

function mapSpan(span: Span, replace: Replace): Span {
  return {
    ...span,
    statusMessage: replace(span.statusMessage),
    attributes: mapEntries(span.attributes, replace),
    events: span.events.map((event) => ({ ...event, attributes: mapEntries(event.attributes, replace) })),
    links: span.links.map((link) => ({ ...link, attributes: mapEntries(link.attributes, replace) })),
  }
}

function mapLog(log: NodeTraceLog, replace: Replace): NodeTraceLog {
  return {
    ...log,
    question: replace(log.question),
    answer: replace(log.answer),
    status: { ...log.status, message: replace(log.status.message) },
    srv: mapEntries(log.srv, replace),
    srvTag: mapEntries(log.srvTag, replace),
    extra: mapEntries(log.extra, replace),
    trace: log.trace.map((node) => ({
      ...node,
      llmOutput: replace(node.llmOutput),
      logs: node.logs.map((line) => replace(line)),
      data: {
        ...node.data,
        input: mapEntries(node.data.input, replace),
        output: mapEntries(node.data.output, replace),
        config: mapEntries(node.data.config, replace),
      },
      extra: mapEntries(node.extra, replace),
    })),
  }
}

function mapEntries(entries: readonly KeyValue[], replace: Replace): KeyValue[] {
  return entries.map(({ key, value }) => ({ key, value: mapValue(value, replace) }))
}

function mapValue(value: AnyValue, replace: Replace): AnyValue {
  if (typeof value === 'string') return replace(value)
  if (value === null || typeof value !== 'object') return value
  if (value instanceof KeyValueList) return new KeyValueList(mapEntries(value.entries, replace))
  if (value instanceof Uint8Array || value instanceof PayloadReference) return value
  return (value as readonly AnyValue[]).map((item) => mapValue(item, replace))
}
