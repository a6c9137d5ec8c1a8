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
  const { memory, bytes, writer } = encoders
  const filling = new RequestFilling(memory, limits)
  for (const fragment of fragments) {
    for (const record of fragment.records) {
      const recordLimits = limitsOf(record, limits)
      const length = encodeFromBytes(record, encoders, recordLimits)
      if (length !== undefined && bytes !== undefined) {
        const full = filling.add(record, length, record.rowCount)
        bytes.copyTo(filling.room, filling.at)
        // Not before: others may encode with the same encoders until the next request is asked for.
        if (full !== undefined) yield full
        continue
      }
      for (const part of encodeFromObjects(record, writer, recordLimits)) {
        const full = filling.add(record, part.bytes.length, part.spanCount)
        filling.room.set(part.bytes, filling.at)
        if (full !== undefined) yield full
      }
    }
  }
  const last = filling.take()
  if (last !== undefined) yield last
}

/** Fills one request after the other with parts. It takes memory with the first part of each. */
class RequestFilling {
  /** Where the part that was added last is to be written. */
  room: Buffer = Buffer.alloc(0)
  at = 0
  readonly #memory: RequestMemory
  readonly #limits: RequestLimits
  #parts: RequestPart[] = []
  #length = 0
  #spanCount = 0

  constructor(memory: RequestMemory, limits: RequestLimits) {
    this.#memory = memory
    this.#limits = limits
  }

  /** Makes room for a part. Gives the request before, when the part does not fit it any more; one holds one part at least, however large. */
  add(record: FragmentRecord, length: number, spanCount: number): ExportRequest | undefined {
    const { maxBytes, maxSpans } = this.#limits
    const isFull = this.#length + length > maxBytes || this.#spanCount + spanCount > maxSpans
    const full = isFull ? this.take() : undefined
    if (this.#parts.length === 0) this.room = this.#memory.take()
    const start = this.#length
    const end = start + length
    if (end > this.room.length) this.room = this.#memory.grow(this.room, start, length)
    this.at = start
    this.#parts.push({ record, start, end, spanCount })
    this.#length = end
    this.#spanCount += spanCount
    return full
  }

  /** What was filled so far; undefined when that is nothing. */
  take(): ExportRequest | undefined {
    const parts = this.#parts
    if (parts.length === 0) return undefined
    const request = { bytes: this.room.subarray(0, this.#length), parts, spanCount: this.#spanCount }
    this.#parts = []
    this.#length = 0
    this.#spanCount = 0
    return request
  }
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

/**
 * Gives the length of what `bytes` has encoded of the record; undefined when the record goes by objects, also since it is too large for a request: then
 * it has to be split by spans.
 */
function encodeFromBytes(
  record: FragmentRecord,
  { bytes, observer }: RecordEncoders,
  { maxBytes, maxSpans }: RequestLimits,
): number | undefined {
  const isWithinSpans = record.rowCount <= maxSpans
  const length = isWithinSpans ? bytes?.encode(record) : undefined
  if (length !== undefined && (length <= maxBytes || record.rowCount === 1)) return length
  const reason = byObjectsReason(record, bytes !== undefined)
  const isTooLarge = reason === 'no_walk' && (length !== undefined || !isWithinSpans)
  observer?.byObjects?.(isTooLarge ? 'too_large' : reason)
  return undefined
}

function encodeFromObjects(
  record: FragmentRecord,
  writer: ProtoWriter,
  limits: RequestLimits,
): EncodedPart[] {
  const model = record.decode()
  const group = 'spans' in model ? { ...model, identity: identityOf(model) } : nodeLogSpans(model)
  return encodeSpans(group, 0, group.spans.length, writer, limits)
}

/** Spans say uid and chat id of their record again: so many of them are encoded at a time that this takes a few requests' bytes at most. */
function limitsOf({ repeatedBytes }: FragmentRecord, limits: RequestLimits): RequestLimits {
  const { maxBytes, maxSpans } = limits
  const spans = Math.max(1, Math.floor((REQUESTS_AT_A_TIME * maxBytes) / (repeatedBytes + 1)))
  return spans >= maxSpans ? limits : { maxBytes, maxSpans: spans }
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
