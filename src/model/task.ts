import type { RecordHeaders } from './dead-letter.ts'

/**
 * The contract between the source, which owns partitions, offsets and commits, and assembly, which owns open traces.
 * Everything here is synchronous: the source's loop calls, nothing awaits.
 */

/** One record as the source hands it over. Key and value are views into the fetch response: copy before returning. */
export interface SourceRecord {
  readonly offset: number
  /** Append time, Unix milliseconds. */
  readonly appendTimeMs: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: RecordHeaders
}

/** One assigned partition of the input topic, as assembly sees it. */
export interface Task {
  readonly topic: string
  readonly partition: number
  /** False for ever once the partition is lost: acks of an old task are ignored. */
  readonly isAlive: boolean
  /** Aborts when the partition is lost: whoever waits on its behalf stops. Lives as long as the task: take listeners away. */
  readonly lost: AbortSignal
  /** The highest append time seen (skipped records included). */
  readonly streamTimeMs: number
  /** Marks records as settled: all offsets of a fragment in one call. Ignored when the task is not alive. */
  settle(offsets: readonly number[]): void
  /** Goes on after `onRecord` answered `blocked`: the same record is handed over again. */
  unblock(): void
}

/** What assembly does with one task. Created when the partition's ledger has been read, closed when the partition is lost. */
export interface TaskHandler {
  /**
   * Takes the next record, in offset order. `blocked` = it cannot be taken now (its schema is not known yet, the dead-letter
   * queue is full): nothing was kept of it, the source pauses the partition and hands it over again after `Task.unblock`.
   */
  onRecord(record: SourceRecord): 'taken' | 'blocked'
  /** A record that a former owner already settled: only its SID and its time count. */
  onSkipped(record: SourceRecord): void
  /** The broker confirmed that everything up to `clockMs` (stream time + monotonic time that passed) has been read. */
  onQuiet(clockMs: number): void
  /** Called a few times a second: close what is due. */
  onTick(): void
  /** The partition is lost: drop all its state. Nothing of it may be written any more. */
  onLost(): void
}

export type TaskHandlerFactory = (task: Task) => TaskHandler
