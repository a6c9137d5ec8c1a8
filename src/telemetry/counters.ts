import { BY_OBJECTS_REASONS, type ByObjectsReason } from '../model/by-objects.ts'
import { DEAD_LETTER_REASONS, type DeadLetterReason } from '../model/dead-letter.ts'
import { CLOSE_REASONS, type CloseReason } from '../model/fragment.ts'

/**
 * Plain numbers that the worker's hot path counts in, and that `/metrics` reads when it is asked: a counter of prom-client
 * costs about a microsecond a call, a number nothing.
 */
export class WorkerCounters {
  recordsConsumed = 0
  recordBytesConsumed = 0
  /** Records that a former owner had settled. */
  recordsSkipped = 0
  /** Records whose own append time is behind the stream time of their task. */
  recordsOutOfOrder = 0
  /** Records with valid headers of an earlier arrival. */
  recordsReplayed = 0
  /** Records whose headers of an earlier arrival were not believed. */
  replayHeadersIgnored = 0
  spansConsumed = 0
  logsConsumed = 0
  fragmentsClosed: Record<CloseReason, number> = zeros(CLOSE_REASONS)
  fragmentsSettled: Record<CloseReason, number> = zeros(CLOSE_REASONS)
  /** Fragments whose partition was lost before they were written: the new owner makes them again. */
  fragmentsDropped = 0
  recordsSettled = 0
  rowsSettled = 0
  batches = 0
  /** Records that went by objects instead of from their bytes, by sink and reason. */
  recordsByObjects: Record<string, Record<ByObjectsReason, number>> = {}
  deadLetters: Record<DeadLetterReason, number> = zeros(DEAD_LETTER_REASONS)
  deadLetterValuesOmitted = 0
  schemaWaits = 0
  payloadsStored = 0
  payloadPacksStored = 0
  payloadPackBytes = 0
  payloadUploadsFailed = 0
  /** Spans that an OTLP receiver rejected in a request that it took. */
  otlpRejectedSpans = 0
}

/** What a sink counts in {@link WorkerCounters.recordsByObjects}, all zero. */
export function byObjectsZeros(): Record<ByObjectsReason, number> {
  return zeros(BY_OBJECTS_REASONS)
}

function zeros<K extends string>(keys: readonly K[]): Record<K, number> {
  return Object.fromEntries(keys.map((key) => [key, 0])) as Record<K, number>
}
