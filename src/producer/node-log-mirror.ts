import { createHash } from 'node:crypto'
import type { Span } from '@opentelemetry/api'
import type { NodeLog } from './node-log.ts'

/** The size from which an INFO event's text is not repeated in a NodeLog (source description: 10 KB, in bytes of UTF-8). */
const MIRROR_LIMIT_BYTES = 10 * 1024

/** What a NodeLog has of the text of an INFO event: the text, or where it stands. */
export function mirrored(text: string, span: Span): string {
  if (!span.isRecording()) return text
  const bytes = Buffer.byteLength(text)
  if (bytes < MIRROR_LIMIT_BYTES) return text
  const { traceId, spanId } = span.spanContext()
  const sha256 = createHash('sha256').update(text.toWellFormed()).digest('hex')
  return `trace_link: span/${traceId}/${spanId} (INFO event, ${bytes} bytes, sha256 ${sha256})`
}

/** An error ends its node. */
export function failNode(nodeLog: NodeLog | undefined, message: string): void {
  if (nodeLog === undefined) return
  nodeLog.addErrorLog(message)
  nodeLog.setEnd()
  nodeLog.runningStatus = false
}
