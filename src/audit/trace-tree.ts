import { parsePayloadReference } from '../model/payload-reference-text.ts'
import { FLAG_HAS_IS_REMOTE, FLAG_IS_REMOTE } from '../model/span.ts'
import type { LoadedTrace, LogRow, NodeRow, SpanRow } from '../storage/clickhouse/queries.ts'

const MAX_TEXT = 100
const MAX_DEPTH = 200

/** A trace as text for a terminal: what it is, its spans as trees with the node logs below the span that made them, and what is missing. */
export function formatTrace(sid: string, loaded: LoadedTrace): string {
  const lines = [...heading(sid, loaded)]
  const startNs = earliest(loaded)
  const placed = new Set<string>()
  for (const [traceId, spans] of groupBy(loaded.spans, (span) => span.trace_id)) {
    lines.push('', `trace ${traceId}`, ...new SpanTree(spans, loaded, startNs, placed).lines())
  }
  for (const log of loaded.logs) {
    if (!placed.has(log.log_id)) lines.push('', ...logLines(log, loaded.nodes, startNs))
  }
  const missing = missingOf(loaded)
  if (missing.length > 0) lines.push('', 'missing', ...missing.map((line) => `  ${line}`))
  return lines.join('\n')
}

function heading(sid: string, { trace, spans, logs, nodes }: LoadedTrace): string[] {
  if (trace === undefined) {
    return [
      `SID ${sid}`,
      `not closed yet: ${spans.length} spans, ${logs.length} logs, ${nodes.length} nodes so far`,
    ]
  }
  const status = trace.status === 'complete' ? 'complete' : `partial (${trace.reason})`
  const counts = [`${trace.span_count} spans${errors(trace.error_count)}`]
  if (trace.node_count !== '0')
    counts.push(`${trace.node_count} nodes${errors(trace.node_error_count)} in ${trace.log_count} log(s)`)
  const lines = [
    `SID ${sid}`,
    `${status} · ${counts.join(' · ')} · ${duration(trace.duration_ns)} from ${trace.start_time} UTC`,
    `app ${trace.app_ids.join(', ') || '(none)'} · uid ${trace.uid || '(none)'} · chat ${trace.chat_id || '(none)'} · services ${trace.services.join(', ')}`,
  ]
  if (trace.total_tokens !== '0') lines.push(`tokens ${tokens(trace)}`)
  if (Number(trace.sid_collision) !== 0) lines.push('WARNING: requests of different users share this SID')
  return lines
}

/** The spans of one trace id. */
class SpanTree {
  readonly #children = new Map<string, SpanRow[]>()
  readonly #roots: SpanRow[]
  readonly #loaded: LoadedTrace
  readonly #startNs: bigint
  readonly #placed: Set<string>
  readonly #shown = new Set<SpanRow>()

  constructor(spans: readonly SpanRow[], loaded: LoadedTrace, startNs: bigint, placed: Set<string>) {
    this.#loaded = loaded
    this.#startNs = startNs
    this.#placed = placed
    const known = new Set(spans.map((span) => span.span_id))
    this.#roots = spans.filter((span) => !known.has(span.parent_span_id))
    for (const span of spans) {
      if (!known.has(span.parent_span_id)) continue
      const siblings = this.#children.get(span.parent_span_id)
      if (siblings === undefined) this.#children.set(span.parent_span_id, [span])
      else siblings.push(span)
    }
    // Spans that are each other's ancestors hang from no root: the first of them stands in for one.
    if (this.#roots.length === 0 && spans[0] !== undefined) this.#roots = [spans[0]]
  }

  lines(): string[] {
    return this.#roots.flatMap((root, place) =>
      this.#spanLines(root, '', place === this.#roots.length - 1, 0),
    )
  }

  #spanLines(span: SpanRow, indent: string, isLast: boolean, depth: number): string[] {
    if (this.#shown.has(span) || depth > MAX_DEPTH) return []
    this.#shown.add(span)
    const lines = [`${indent}${isLast ? '└─' : '├─'} ${this.#describe(span)}`]
    const below = `${indent}${isLast ? '   ' : '│  '}`
    for (const log of this.#loaded.logs) {
      if (log.span_id !== span.span_id || log.trace_id !== span.trace_id) continue
      this.#placed.add(log.log_id)
      lines.push(...logLines(log, this.#loaded.nodes, this.#startNs).map((line) => `${below}${line}`))
    }
    const children = this.#children.get(span.span_id) ?? []
    children.forEach((child, place) => {
      lines.push(...this.#spanLines(child, below, place === children.length - 1, depth + 1))
    })
    return lines
  }

  #describe(span: SpanRow): string {
    const parts = [
      `${span.name}  ${span.service_name}`,
      timing(span.start_ns, span.duration_ns, this.#startNs),
    ]
    if (span.model !== '') parts.push(span.model)
    if (span.input_tokens !== '0' || span.output_tokens !== '0')
      parts.push(`tokens ${span.input_tokens} in, ${span.output_tokens} out`)
    if (span.is_error)
      parts.push(`ERROR${span.status_message === '' ? '' : `: ${short(span.status_message)}`}`)
    if (span.time_flags !== 0) parts.push('times corrected')
    parts.push(...payloadNotes(span.payload_refs))
    return parts.join('  ')
  }
}

function logLines(log: LogRow, nodes: readonly NodeRow[], startNs: bigint): string[] {
  const parts = [
    `log ${log.log_id}  ${log.service_id || log.sub}`,
    timing(log.start_ns, log.duration_ns, startNs),
  ]
  if (log.first_frame_duration_ms >= 0) parts.push(`first frame ${log.first_frame_duration_ms} ms`)
  if (log.total_tokens !== '0') parts.push(`tokens ${tokens(log)}`)
  if (log.is_error) parts.push(`ERROR ${log.status_code}: ${short(log.status_message)}`)
  const lines = [`◆ ${parts.join('  ')}`]
  if (log.question !== '') lines.push(`    question: ${short(log.question)}`)
  if (log.answer !== '') lines.push(`    answer:   ${short(log.answer)}`)
  lines.push(...payloadNotes(log.payload_refs).map((note) => `    ${note}`))
  const own = nodes.filter((node) => node.log_id === log.log_id)
  const placeOf = new Map(
    own.flatMap((node) => [[node.id, node.place] as const, [node.node_id, node.place] as const]),
  )
  for (const node of own) lines.push(`  ${nodeLine(node, placeOf, startNs)}`)
  return lines
}

function nodeLine(node: NodeRow, placeOf: ReadonlyMap<string, number>, startNs: bigint): string {
  const name =
    node.node_name === '' || node.node_name === node.node_type
      ? node.node_type
      : `${node.node_type} ${node.node_name}`
  const parts = [
    `[${node.place}] ${name || node.node_id || node.id}`,
    timing(node.start_ns, node.duration_ns, startNs),
  ]
  if (node.first_frame_duration_ms >= 0) parts.push(`first frame ${node.first_frame_duration_ms} ms`)
  if (node.model !== '') parts.push(node.model)
  if (node.total_tokens !== '0') parts.push(`tokens ${tokens(node)}`)
  if (node.is_error) parts.push('ERROR')
  if (node.next_log_ids.length > 0) {
    const next = node.next_log_ids
      .map((id) => placeOf.get(id))
      .map((place) => (place === undefined ? '(missing)' : `[${place}]`))
    parts.push(`→ ${[...new Set(next)].sort().join(' ')}`)
  }
  parts.push(...payloadNotes(node.payload_refs))
  return parts.join('  ')
}

/** What the rows refer to and do not hold. */
function missingOf({ trace, spans, logs, nodes }: LoadedTrace): string[] {
  const known = new Set(spans.map((span) => `${span.trace_id}/${span.span_id}`))
  const missing: string[] = []
  const rooted = new Set<string>()
  for (const span of spans) {
    const isRemote = (span.flags & FLAG_HAS_IS_REMOTE) !== 0 && (span.flags & FLAG_IS_REMOTE) !== 0
    if (span.parent_span_id === '') rooted.add(span.trace_id)
    else if (known.has(`${span.trace_id}/${span.parent_span_id}`)) continue
    else if (isRemote) rooted.add(span.trace_id)
    else missing.push(`span ${span.parent_span_id}, the parent of "${span.name}" (${span.service_name})`)
  }
  for (const traceId of new Set(spans.map((span) => span.trace_id))) {
    if (!rooted.has(traceId)) missing.push(`the root of trace ${traceId}`)
  }
  for (const log of logs) {
    const own = nodes.filter((node) => node.log_id === log.log_id)
    const ids = new Set(own.flatMap((node) => [node.id, node.node_id]))
    for (const node of own) {
      for (const next of node.next_log_ids) {
        if (next !== '' && !ids.has(next))
          missing.push(`node ${next}, announced by [${node.place}] of log ${log.log_id}`)
      }
    }
  }
  // The view goes by fragments: what it counts may be on its way, or not in the rows at all.
  if (trace !== undefined && trace.status === 'complete') return []
  if (missing.length === 0 && trace !== undefined)
    missing.push(`${trace.missing_count} thing(s) that were referred to when the trace was closed`)
  return missing
}

function payloadNotes(references: readonly (readonly [path: string, reference: string])[]): string[] {
  return references.map(([path, text]) => {
    const { key, size } = parsePayloadReference(text)
    return key === null
      ? `${path}: ${bytes(size)}, cut`
      : `${path}: ${bytes(size)} (sidereal payload get '${text}')`
  })
}

function earliest({ spans, logs, nodes }: LoadedTrace): bigint {
  const starts = [...spans, ...logs, ...nodes].map((row) => BigInt(row.start_ns))
  let first = starts[0] ?? 0n
  for (const start of starts) if (start < first) first = start
  return first
}

function timing(startNs: string, durationNs: string, originNs: bigint): string {
  return `+${duration(String(BigInt(startNs) - originNs))} ${duration(durationNs)}`
}

function duration(nanoseconds: string): string {
  const ms = Number(nanoseconds) / 1e6
  if (ms >= 60_000) return `${(ms / 1000).toFixed(0)} s`
  return ms >= 1000 ? `${(ms / 1000).toFixed(2)} s` : `${ms.toFixed(ms >= 100 ? 0 : 1)} ms`
}

function tokens(row: { total_tokens: string; prompt_tokens: string; completion_tokens: string }): string {
  return `${row.total_tokens} (prompt ${row.prompt_tokens}, completion ${row.completion_tokens})`
}

function errors(count: string): string {
  return count === '0' ? '' : ` (${count} in error)`
}

function bytes(size: number): string {
  return size >= 1024 * 1024 ? `${(size / 1024 / 1024).toFixed(1)} MB` : `${(size / 1024).toFixed(1)} KB`
}

/** One line, whatever a service wrote: control characters would move the reader's cursor. */
function short(text: string): string {
  const line = text.replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ').trim()
  return line.length > MAX_TEXT ? `${line.slice(0, MAX_TEXT)}…` : line
}

function groupBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>()
  for (const item of items) {
    const group = groups.get(keyOf(item))
    if (group === undefined) groups.set(keyOf(item), [item])
    else group.push(item)
  }
  return groups
}
