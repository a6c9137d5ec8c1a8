import { createHash } from 'node:crypto'
import { type Attributes, type Span, TraceFlags } from '@opentelemetry/api'
import type { NodeLog } from './node-log.ts'

/** The size from which an INFO event's text is not repeated in a NodeLog (source description: 10 KB, in bytes of UTF-8). */
const MIRROR_LIMIT_BYTES = 10 * 1024

/**
 * What a NodeLog has of the text of an INFO event: the text, or where it stands.
 * @param attributes of the event that the span was just given
 */
export function mirrored(text: string, span: Span, attributes: Attributes): string {
  const bytes = Buffer.byteLength(text)
  if (bytes < MIRROR_LIMIT_BYTES) return text
  const { traceId, spanId, traceFlags } = span.spanContext()
  const leaves = span.isRecording() && (traceFlags & TraceFlags.SAMPLED) !== 0
  if (!leaves || !holdsWhole(span, attributes)) return text
  const sha256 = createHash('sha256').update(text.toWellFormed()).digest('hex')
  return `trace_link: span/${traceId}/${spanId} (INFO event, ${bytes} bytes, sha256 ${sha256})`
}

/** Limits of the service may have cut what the span holds, or left it out. */
function holdsWhole(span: Span, attributes: Attributes): boolean {
  const { events } = span as { events?: readonly { readonly attributes?: Attributes }[] }
  const held = events?.at(-1)?.attributes ?? {}
  return Object.entries(attributes).every(([key, value]) => String(held[key]) === String(value))
}

/** An error ends its node. */
export function failNode(nodeLog: NodeLog | undefined, message: string): void {
  if (nodeLog === undefined) return
  nodeLog.addErrorLog(message)
  nodeLog.setEnd()
  nodeLog.runningStatus = false
}
