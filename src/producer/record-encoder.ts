import type { RecordWriter } from '../codec/record-writer.ts'
import type { NodeTraceLog } from '../model/node-trace-log.ts'
import type { Span, SpanBatch } from '../model/span.ts'
import { uuidV7 } from '../model/uuid-v7.ts'
import { cutNodeTraceLog, cutSpan } from './cut-values.ts'
import type { EncodedRecord } from './encoded-record.ts'
import type { RecordQueue } from './record-queue.ts'
import { estimateSpanBytes } from './value-size.ts'

export interface RecordEncoderOptions {
  readonly writer: Pick<RecordWriter, 'encodeSpanBatch' | 'encodeNodeTraceLog'>
  readonly queue: Pick<RecordQueue, 'add' | 'drop'>
  /** Records of several spans are at most so large. Default 1 MiB. */
  readonly maxBatchBytes?: number
  /** A record of one span or one log over this has its largest values cut. Default 7.5 MiB, below the 8 MiB of the topics that `setup` makes. */
  readonly maxRecordBytes?: number
  readonly nowMs?: () => number
}

/** What the spans of one record share. */
export type BatchHeader = Omit<SpanBatch, 'batchId' | 'spans'>

/** So few spans are rarely over the limit: to halve them then is cheaper than to estimate them always. */
const UNESTIMATED_SPANS = 32

/** The schema id is not known yet; the queue writes it. */
const NO_SCHEMA_ID = 0

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

  addSpans(header: BatchHeader, spans: readonly Span[]): void {
    if (spans.length <= UNESTIMATED_SPANS) {
      this.#encode(header, spans)
      return
    }
    let first = 0
    let bytes = 0
    spans.forEach((span, i) => {
      const spanBytes = estimateOrTooLarge(span)
      if (i > first && bytes + spanBytes > this.#options.maxBatchBytes) {
        this.#encode(header, spans.slice(first, i))
        first = i
        bytes = 0
      }
      bytes += spanBytes
    })
    this.#encode(header, spans.slice(first))
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

  #encode(header: BatchHeader, spans: readonly Span[]): void {
    const { queue, maxBatchBytes } = this.#options
    if (spans.length === 0) return
    let record: EncodedRecord
    try {
      record = this.#record(header, spans)
    } catch (error) {
      if (spans.length === 1) queue.drop('spans', 1, 'invalid', error)
      // One span that the schema cannot hold must not take its neighbours with it.
      else for (const span of spans) this.#encode(header, [span])
      return
    }
    if (spans.length > 1 && record.framed.length > maxBatchBytes) {
      const middle = spans.length >> 1
      this.#encode(header, spans.slice(0, middle))
      this.#encode(header, spans.slice(middle))
      return
    }
    if (spans.length === 1 && record.framed.length > this.#options.maxRecordBytes)
      this.#addCut(header, spans[0]!, record.framed.length)
    else queue.add(record)
  }

  #addCut(header: BatchHeader, span: Span, bytes: number): void {
    const { queue, maxRecordBytes } = this.#options
    const cut = cutSpan(span, bytes - maxRecordBytes)
    this.#cutValues += cut.cutValues
    // What was encoded once is encoded again: a reference is well-formed.
    const record = this.#record(header, [cut.value])
    if (record.framed.length > maxRecordBytes) queue.drop('spans', 1, 'too_large')
    else queue.add(record)
  }

  #record(header: BatchHeader, spans: readonly Span[]): EncodedRecord {
    const batch = { ...header, batchId: uuidV7(this.#options.nowMs()), spans: [...spans] }
    return {
      kind: 'spans',
      sid: header.sid,
      framed: this.#options.writer.encodeSpanBatch(batch, NO_SCHEMA_ID),
      items: spans.length,
    }
  }
}

/** A span with fields of another type than OpenTelemetry's goes alone: encoding it fails, and that is counted. */
function estimateOrTooLarge(span: Span): number {
  try {
    return estimateSpanBytes(span)
  } catch {
    return Number.POSITIVE_INFINITY
  }
}
