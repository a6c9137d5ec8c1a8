import type { DeadLetterReason } from './dead-letter.ts'

/** How many records of a partition may become dead letters before it stands still. */
export interface DeadLetterLimits {
  /** Share of the last {@link DEAD_LETTER_WINDOW} records, 0 to 1. 0 = no limit. */
  readonly maxRatio: number
  /** Dead letters with no good record between them. 0 = no limit. */
  readonly maxConsecutive: number
}

/** The ratio is always taken of so many records, whatever the number that was read: a small sample never trips it. */
export const DEAD_LETTER_WINDOW = 1_000

export const DEAD_LETTER_LIMITS: DeadLetterLimits = { maxRatio: 0.2, maxConsecutive: 100 }

/** The record at which a partition stands still. */
export interface CappedRecord {
  readonly offset: number
  readonly reason: DeadLetterReason
  /** Without a value of the record. */
  readonly error: Error
}

/** Counts the dead letters of one partition and one step, and stops the partition when there are too many. */
export interface DeadLetterCap {
  /** True from the record that was one too many until a record goes through. */
  readonly isStopped: boolean
  /**
   * May this record become a dead letter? False = the partition stands still at it, or goes on standing: nothing of it may be kept, and
   * `tryAgain` is called, once, when the record should be tried once more.
   *
   * @param position number of the record in the order of this step; its offset where records come in order
   */
  admit(record: CappedRecord, position: number, tryAgain: () => void): boolean
  /** The record was taken as a dead letter. */
  note(position: number): void
  /** The record at which the partition stopped has gone through: it goes on, and counting begins anew. */
  release(): void
  /** Calls back once, when the stop ends or the partition is lost. Only while stopped. */
  whenReleased(callback: () => void): void
}

/** The caps of one partition: records that cannot be read, and records that a sink refuses, are counted apart. */
export interface PartitionCaps {
  readonly reading: DeadLetterCap
  readonly refused: DeadLetterCap
  /** The partition is lost: timers end, and whoever waits is called. */
  close(): void
}
