import type { FragmentRecord } from '../../model/fragment.ts'
import { MAX_TIME_NS, MIN_TIME_NS } from '../../model/time.ts'
import { rowVersion } from '../../model/version.ts'
import type { Int32Column, Int64Column } from './native/fixed-columns.ts'
import type { LowCardinalityColumn } from './native/low-cardinality-column.ts'

/** What every row takes from its Kafka record: of a replayed one, from its first arrival, so that its rows are the same however often. */
export interface RecordContext {
  topic: string
  partition: number
  offset: number
  receivedAtNs: bigint
  version: bigint
}

export function recordContext(record: FragmentRecord, revision: number): RecordContext {
  const { topic, partition, offset } = record.firstArrival ?? record
  return {
    topic,
    partition,
    offset,
    receivedAtNs: receivedAtNs(record.receivedAtMs),
    version: rowVersion(revision, record.receivedAtMs),
  }
}

/** Append times are the broker's; kept in the range that days and TTL can express even so. */
export function receivedAtNs(receivedAtMs: number): bigint {
  const ns = BigInt(receivedAtMs) * 1_000_000n
  return ns < MIN_TIME_NS ? MIN_TIME_NS : ns >= MAX_TIME_NS ? MAX_TIME_NS - 1n : ns
}

export interface RecordColumns {
  readonly kafka_topic: LowCardinalityColumn
  readonly kafka_partition: Int32Column
  readonly kafka_offset: Int64Column
  readonly received_at: Int64Column
  readonly version: Int64Column
}

export function pushRecordContext(columns: RecordColumns, context: RecordContext): void {
  columns.kafka_topic.pushString(context.topic)
  columns.kafka_partition.push(context.partition)
  columns.kafka_offset.pushNumber(context.offset)
  columns.received_at.push(context.receivedAtNs)
  columns.version.push(context.version)
}

/** As {@link pushRecordContext}, for all rows of a span batch at once. What is made of the append time is kept: neighbours often have the same. */
export class RecordContextColumns {
  readonly #columns: RecordColumns
  #receivedAtMs = Number.NaN
  #receivedAtNs = 0n
  #version = 0n

  constructor(columns: RecordColumns) {
    this.#columns = columns
  }

  push(record: FragmentRecord, count: number): void {
    const { receivedAtMs } = record
    const { topic, partition, offset } = record.firstArrival ?? record
    const c = this.#columns
    if (this.#receivedAtMs !== receivedAtMs) {
      this.#receivedAtMs = receivedAtMs
      this.#receivedAtNs = receivedAtNs(receivedAtMs)
      this.#version = rowVersion(0, receivedAtMs)
    }
    c.kafka_topic.pushTimes(c.kafka_topic.intern(topic), count)
    c.kafka_partition.pushTimes(partition, count)
    c.kafka_offset.pushTimes(BigInt(offset), count)
    c.received_at.pushTimes(this.#receivedAtNs, count)
    c.version.pushTimes(this.#version, count)
  }
}

/** OTLP's counts are uint32, Avro's long is wider: what does not fit becomes the largest that does. */
export function uint32(value: number): number {
  return Math.min(Math.max(value, 0), 0xffff_ffff)
}
