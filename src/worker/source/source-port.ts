import type { SiderealError } from '../../model/errors.ts'
import type { SourceRecord } from '../../model/task.ts'

/** One batch of a partition, as the client hands it over. */
export interface SourceBatch {
  readonly partition: number
  /** The offset that the fetch asked for: it must be the task's position. */
  readonly fetchedOffset: number
  /** The last offset that the batch covers, records that are not shown (control records) included. */
  readonly lastOffset: number
  /** The broker's end of the partition when it answered. */
  readonly highWatermark: number
  /** In offset order, none below `fetchedOffset`; none at all where the batch shows nothing. */
  readonly records: Iterable<SourceRecord>
  /** True when a seek waits to be done: the batch is of an earlier position. */
  readonly isStale: boolean
}

export interface CommittedRow {
  readonly partition: number
  /** Negative = nothing was committed. */
  readonly offset: number
  readonly metadata: string | null
}

export interface CommitEntry {
  readonly partition: number
  readonly offset: number
  readonly metadata: string
}

export interface CommitRequest {
  readonly id: number
  readonly memberId: string
  readonly generation: number
  readonly entries: readonly CommitEntry[]
}

export interface CommitResult {
  /** Entries that the broker confirmed. */
  readonly confirmed: readonly CommitEntry[]
  /** The first error; undefined when all are confirmed. */
  readonly error: Error | undefined
  /** The broker refused a metadata string for its length. */
  readonly isMetadataTooLarge: boolean
}

export interface OffsetQuestion {
  readonly id: number
  /** Log start, or end of the log as far as it may be read. */
  readonly at: 'earliest' | 'latest'
  readonly partitions: readonly number[]
}

/**
 * What the source's rules need from a Kafka client. Every method returns at once; answers come back as events of `SourceState`, in
 * any order, or never. An implementation must not call back synchronously.
 */
export interface SourcePort {
  /** The next fetch of the partition starts here. */
  seek(partition: number, offset: number): void
  pause(partitions: readonly number[]): void
  resume(partitions: readonly number[]): void
  /** Asks for committed offsets and metadata; answered by `onLedgerRead` or `onLedgerFailed` with the same `assignment`. */
  readLedger(assignment: number, partitions: readonly number[]): void
  /** Answered by `onOffsets` or `onOffsetsFailed`. */
  listOffsets(question: OffsetQuestion): void
  /** One try, no retry; answered by `onCommitted`. */
  commit(request: CommitRequest): void
  /** Leaders or coordinator may have moved. */
  refreshMetadata(): void
  /** The process cannot go on; called at most once. */
  fatal(error: SiderealError): void
}
