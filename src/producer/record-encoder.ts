import type { EncodedSpans, RecordWriter } from '../codec/record-writer.ts'
import type { NodeTraceLog } from '../model/node-trace-log.ts'
import type { Resource, Scope, Span, SpanBatch } from '../model/span.ts'
import { uuidV7 } from '../model/uuid-v7.ts'
import { cutNodeTraceLog, cutSpan } from './cut-values.ts'
import type { Identity } from './identity.ts'
import type { RecordQueue } from './record-queue.ts'

export interface RecordEncoderOptions {
  readonly writer: Pick<
    RecordWriter,
    'encodeSpanBatch' | 'encodeSpanBatchOf' | 'encodeOrigin' | 'encodeNodeTraceLog'
  >
  readonly queue: Pick<RecordQueue, 'add' | 'drop'>
  /** Records of several spans are at most so large. Default 1 MiB. */
  readonly maxBatchBytes?: number
  /** A record of one span or one log over this has its largest values cut. Default 7.5 MiB, below the 8 MiB of the topics that `setup` makes. */
  readonly maxRecordBytes?: number
  readonly nowMs?: () => number
}

/** What the spans of one record share. */
export type BatchHeader = Omit<SpanBatch, 'batchId' | 'spans'>

/** The schema id is not known yet; the queue writes it. */
const NO_SCHEMA_ID = 0
/** What a batch takes beside identity, origin and spans, generously. */
const BATCH_OVERHEAD_BYTES = 64
/** A character of UTF-16 takes at most three bytes of UTF-8. */
const MAX_BYTES_A_CHARACTER = 3

/** Makes records of spans and logs, none over its limit, and hands them to the queue. What cannot be encoded is dropped by itself, counted. */
export class RecordEncoder {
  readonly #options: Required<RecordEncoderOptions>
  #cutValues = 0

  constructor(options: RecordEncoderOptions) {
    this.#options = {
      maxBatchBytes: 1024 * 1024,
      maxRecordBytes: 7.5 * 1024 * 1024,
      nowMs: Date.now,
      ...options,
    }
  }

  /** Values that were cut, since a record of one span or log must fit the topic. */
  get cutValues(): number {
    return this.#cutValues
  }

  /** A span of more bytes is for {@link addLargeSpan}: with what a record has beside it, it might have to be cut. */
  get maxSpanBytes(): number {
    return Math.min(this.#options.maxBatchBytes, this.#options.maxRecordBytes / 2)
  }

  /** Resource and scope for {@link addSpans}. */
  encodeOrigin(resource: Resource, scope: Scope): Buffer {
    return this.#options.writer.encodeOrigin(resource, scope)
  }

  /** Adds spans of one identity and origin, as few records as the limits allow. */
  addSpans(identity: Identity, origin: Buffer, { source, starts, ends }: EncodedSpans): void {
    const room = this.#options.maxBatchBytes - overheadOf(identity, origin)
    let first = 0
    let bytes = 0
    for (let i = 0; i < ends.length; i++) {
      const spanBytes = ends[i]! - starts[i]!
      if (i > first && bytes + spanBytes > room) {
        this.#addBatch(identity, origin, {
          source,
          starts: starts.slice(first, i),
          ends: ends.slice(first, i),
        })
        first = i
        bytes = 0
      }
      bytes += spanBytes
    }
    if (first === 0) this.#addBatch(identity, origin, { source, starts, ends })
    else this.#addBatch(identity, origin, { source, starts: starts.slice(first), ends: ends.slice(first) })
  }

  /** Adds a span as a record of its own, cut if it must be. */
  addLargeSpan(header: BatchHeader, span: Span): void {
    const { queue, maxRecordBytes, nowMs, writer } = this.#options
    try {
      const batch = { ...header, batchId: uuidV7(nowMs()), spans: [span] }
      let framed = writer.encodeSpanBatch(batch, NO_SCHEMA_ID)
      if (framed.length > maxRecordBytes) {
        const cut = cutSpan(span, framed.length - maxRecordBytes)
        this.#cutValues += cut.cutValues
        framed = writer.encodeSpanBatch({ ...batch, spans: [cut.value] }, NO_SCHEMA_ID)
      }
      if (framed.length > maxRecordBytes) queue.drop('spans', 1, 'too_large')
      else queue.add({ kind: 'spans', sid: header.sid, framed, items: 1 })
    } catch (error) {
      queue.drop('spans', 1, 'invalid', error)
    }
  }

  addLog(log: NodeTraceLog): void {
    const { queue, writer, maxRecordBytes } = this.#options
    try {
      let framed = writer.encodeNodeTraceLog(log, NO_SCHEMA_ID)
      if (framed.length > maxRecordBytes) {
        const cut = cutNodeTraceLog(log, framed.length - maxRecordBytes)
        this.#cutValues += cut.cutValues
        framed = writer.encodeNodeTraceLog(cut.value, NO_SCHEMA_ID)
      }
      if (framed.length > maxRecordBytes) queue.drop('log', 1, 'too_large')
      else queue.add({ kind: 'log', sid: log.sid, framed, items: 1 })
    } catch (error) {
      queue.drop('log', 1, 'invalid', error)
    }
  }

  #addBatch(identity: Identity, origin: Buffer, spans: EncodedSpans): void {
    const { queue, writer, nowMs, maxRecordBytes } = this.#options
    const { sid, appId, uid, chatId } = identity
    const items = spans.ends.length
    const batch = { sid, appId, uid, chatId, batchId: uuidV7(nowMs()) }
    try {
      const framed = writer.encodeSpanBatchOf(batch, origin, spans, NO_SCHEMA_ID)
      // It is the resource then, which no cut makes smaller.
      if (framed.length > maxRecordBytes) queue.drop('spans', items, 'too_large')
      else queue.add({ kind: 'spans', sid, framed, items })
    } catch (error) {
      queue.drop('spans', items, 'invalid', error)
    }
  }
}

function overheadOf({ sid, appId, uid, chatId }: Identity, origin: Buffer): number {
  const characters = sid.length + appId.length + uid.length + chatId.length
  return BATCH_OVERHEAD_BYTES + MAX_BYTES_A_CHARACTER * characters + origin.length
}
