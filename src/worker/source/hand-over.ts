import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Batch, KafkaMessage } from 'kafkajs'
import { FetchedEnd } from '../../kafka/fetched-end.ts'
import { FetchedMessage, messageBytes } from '../../kafka/record-batches.ts'
import type { SourceRecord } from '../../model/task.ts'
import { NOTHING_TAKEN } from './intake.ts'
import type { SourceBatch } from './source-port.ts'

/** What is taken in one turn of the event loop: some milliseconds of work. */
const PART_RECORDS = 256
const PART_BYTES = 256 * 1024

export interface HandOver {
  /** True once the batch is of an earlier position. */
  isStale(): boolean
  /** Returns the last offset that was taken, or {@link NOTHING_TAKEN}. */
  take(part: SourceBatch): number
  /** The client goes on behind this offset. */
  resolve(offset: number): void
}

/**
 * Hands over what kafkajs calls a batch, which is all that a fetch brought of a partition: part by part, each in a turn of its own. It may be tens of
 * thousands of records, and who takes them all at once holds the loop for a third of a second: no timer fires, and memory grows with nobody watching.
 * Ends where a part is not taken whole; the rest comes again.
 */
export async function handOver(batch: Batch, to: HandOver): Promise<void> {
  const { partition, messages } = batch
  const highWatermark = Number(batch.highWatermark)
  // Not in kafkajs's types; the first offset will not do, since compaction and control records leave holes.
  let fetchedOffset = Number((batch as Batch & { fetchedOffset: string }).fetchedOffset)
  for (let from = 0; from < messages.length; ) {
    if (from > 0) await nextTurn()
    const end = endOfPart(messages, from)
    const lastOffset = Number(end === messages.length ? batch.lastOffset() : messages[end - 1]!.offset)
    const records = recordsOf(messages, from, end)
    const isStale = to.isStale()
    const taken = to.take({ partition, fetchedOffset, lastOffset, highWatermark, records, isStale })
    if (taken !== NOTHING_TAKEN) to.resolve(taken)
    if (taken !== lastOffset) return
    fetchedOffset = lastOffset + 1
    from = end
  }
}

/** Where the part ends that begins at `from`: it has one message at least. */
function endOfPart(messages: readonly KafkaMessage[], from: number): number {
  const last = Math.min(messages.length, from + PART_RECORDS)
  let bytes = 0
  for (let at = from; at < last; at++) {
    bytes += messageBytes(messages[at]!)
    if (bytes > PART_BYTES) return Math.max(at, from + 1)
  }
  return last
}

/** One at a time: what is made of all of them at once outlives the young generation. */
function* recordsOf(messages: readonly KafkaMessage[], from: number, end: number): Generator<SourceRecord> {
  for (let at = from; at < end; at++) {
    const message = messages[at]!
    if (!isEnd(message)) yield toRecord(message)
  }
}

/** An end that `BoundedFetch` put there: the fetch brought nothing to show. */
function isEnd(message: object): boolean {
  return message instanceof FetchedEnd
}

function toRecord(message: KafkaMessage): SourceRecord {
  if (message instanceof FetchedMessage) return message.record
  return {
    offset: Number(message.offset),
    appendTimeMs: Number(message.timestamp),
    key: message.key,
    value: message.value,
    headers: message.headers ?? {},
  }
}
