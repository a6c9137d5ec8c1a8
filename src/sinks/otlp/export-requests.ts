import type { KeyValue } from '../../model/any-value.ts'
import { type ByObjectsObserver, byObjectsReason } from '../../model/by-objects.ts'
import type { Fragment, FragmentRecord } from '../../model/fragment.ts'
import type { SpanBatch } from '../../model/span.ts'
import { nodeLogSpans } from './node-log-spans.ts'
import type { ProtoWriter } from './proto-writer.ts'
import type { RequestMemory } from './request-memory.ts'
import type { SpanBytes } from './span-bytes.ts'
import { type SpanGroup, writeResourceSpans } from './span-encoder.ts'

/** Part of a record (mostly all of it) as one encoded `ResourceSpans`, and where it lies in its request. */
export interface RequestPart {
  readonly record: FragmentRecord
  readonly start: number
  readonly end: number
  readonly spanCount: number
}

/** One `ExportTraceServiceRequest`: its encoded parts one behind the other. */
export interface ExportRequest {
  readonly bytes: Buffer
  readonly parts: readonly RequestPart[]
  readonly spanCount: number
}

interface EncodedPart {
  readonly bytes: Buffer
  readonly spanCount: number
}

const REQUESTS_AT_A_TIME = 4

export interface RequestLimits {
  readonly maxBytes: number
  readonly maxSpans: number
}

export interface RecordEncoders {
  /** For records whose bytes say it all. Without it, every record goes by objects. */
  readonly bytes?: SpanBytes | undefined
  readonly writer: ProtoWriter
  /** Where requests are written. Whoever has sent one gives its bytes back. */
  readonly memory: RequestMemory
  /** Hears of each record that goes by objects. */
  readonly observer?: ByObjectsObserver | undefined
}

/**
 * Encodes the records of fragments into requests within the limits, as they are asked for. A record over a limit is split by spans;
 * one span over `maxBytes` is a request of its own, which a receiver may refuse.
 */
export function* exportRequests(
  fragments: readonly Fragment[],
  encoders: RecordEncoders,
  limits: RequestLimits,
): Generator<ExportRequest> {
  const { memory } = encoders
  let room: Buffer | undefined
  let parts: RequestPart[] = []
  let length = 0
  let spanCount = 0
  for (const fragment of fragments) {
    for (const record of fragment.records) {
      for (const part of encodeRecord(record, encoders, limits)) {
        const isFull =
          length + part.bytes.length > limits.maxBytes || spanCount + part.spanCount > limits.maxSpans
        let full: ExportRequest | undefined
        if (isFull && room !== undefined) {
          full = { bytes: room.subarray(0, length), parts, spanCount }
          room = undefined
          parts = []
          length = 0
          spanCount = 0
        }
        room ??= memory.take()
        const end = length + part.bytes.length
        if (end > room.length) room = memory.grow(room, length, part.bytes.length)
        room.set(part.bytes, length)
        parts.push({ record, start: length, end, spanCount: part.spanCount })
        length = end
        spanCount += part.spanCount
        // Not before: others may encode with the same encoders until the next request is asked for.
        if (full !== undefined) yield full
      }
    }
  }
  if (room !== undefined) yield { bytes: room.subarray(0, length), parts, spanCount }
}

/** A request without a span. */
export function emptyRequest(): ExportRequest {
  return { bytes: Buffer.alloc(0), parts: [], spanCount: 0 }
}

/** These parts of a request alone, in memory of their own. */
export function partOfRequest(request: ExportRequest, wanted: readonly RequestPart[]): ExportRequest {
  const parts: RequestPart[] = []
  let length = 0
  for (const part of wanted) {
    const start = length
    length += part.end - part.start
    parts.push({ ...part, start, end: length })
  }
  return {
    bytes: Buffer.concat(wanted.map(({ start, end }) => request.bytes.subarray(start, end))),
    parts,
    spanCount: parts.reduce((sum, part) => sum + part.spanCount, 0),
  }
}

/** What `bytes` encodes is valid until it encodes the next record. */
function encodeRecord(
  record: FragmentRecord,
  { bytes, writer, observer }: RecordEncoders,
  requestLimits: RequestLimits,
): EncodedPart[] {
  const maxSpans = spansAtATime(record, requestLimits)
  const limits = maxSpans === requestLimits.maxSpans ? requestLimits : { ...requestLimits, maxSpans }
  const spanCount = record.rowCount
  const isWithinSpans = spanCount <= limits.maxSpans
  const encoded = isWithinSpans ? bytes?.encode(record) : undefined
  // One that is too large is split by spans, as objects.
  if (encoded !== undefined && (encoded.length <= limits.maxBytes || spanCount === 1)) {
    return [{ bytes: encoded, spanCount }]
  }
  const reason = byObjectsReason(record, bytes !== undefined)
  const isTooLarge = reason === 'no_walk' && (encoded !== undefined || !isWithinSpans)
  observer?.byObjects?.(isTooLarge ? 'too_large' : reason)
  const model = record.decode()
  const group = 'spans' in model ? { ...model, identity: identityOf(model) } : nodeLogSpans(model)
  return encodeSpans(group, 0, group.spans.length, writer, limits)
}

/** Spans say uid and chat id of their record again: so many of them are encoded at a time that this takes a few requests' bytes at most. */
function spansAtATime({ repeatedBytes }: FragmentRecord, { maxBytes, maxSpans }: RequestLimits): number {
  return Math.max(1, Math.min(maxSpans, Math.floor((REQUESTS_AT_A_TIME * maxBytes) / (repeatedBytes + 1))))
}

/** What the record says of all its spans, so that a tracing backend finds them by SID. Empty means unknown. */
function identityOf(batch: SpanBatch): KeyValue[] {
  const { sid, appId, uid, chatId } = batch
  return Object.entries({ chat_id: chatId, uid, app_id: appId, sid }).flatMap(([key, value]) =>
    value === '' ? [] : [{ key, value }],
  )
}

function encodeSpans(
  group: SpanGroup,
  start: number,
  end: number,
  writer: ProtoWriter,
  limits: RequestLimits,
): EncodedPart[] {
  const spanCount = end - start
  if (spanCount === 0) return []
  if (spanCount <= limits.maxSpans) {
    writeResourceSpans(writer, group, start, end)
    const bytes = writer.take()
    if (bytes.length <= limits.maxBytes || spanCount === 1) return [{ bytes, spanCount }]
  }
  const middle = start + Math.ceil(spanCount / 2)
  return [
    ...encodeSpans(group, start, middle, writer, limits),
    ...encodeSpans(group, middle, end, writer, limits),
  ]
}
