import type { Fragment, FragmentRecord } from './fragment.ts'

/** A record that the destination refuses for its content, whatever the number of attempts. */
export interface RefusedRecord {
  readonly record: FragmentRecord
  /** The destination's own words, without payloads. */
  readonly reason: string
}

export interface WriteResult {
  /** Records that were left out. All others of the batch are stored. Each goes to the dead-letter topic. */
  readonly refused: readonly RefusedRecord[]
}

/**
 * A destination of fragments.
 *
 * The contract, which every sink runs as one test suite (`src/sinks/contract.testing.ts`):
 * - `write` resolves only when the destination has acknowledged every row of every fragment (but the refused ones). It is not
 *   called again before `start` has resolved; several writes may be in flight.
 * - It rejects with a `SiderealError` when it is not known that all is stored. The caller may then write the same fragments again:
 *   rows are functions of their record, so a repetition is harmless where the destination deduplicates.
 * - A fault of one record's content never rejects: that record is reported as refused, the others are stored.
 * - It never changes a fragment, never keeps one after it settled, and never retries for longer than one attempt may take
 *   (`requestTimeoutMs`): retry and backoff are the caller's.
 * - `signal` aborts the attempt: the promise then rejects soon.
 */
export interface Sink {
  readonly name: string
  /** Connects and checks; rejects with a SiderealError that says what is wrong, where, and what to try. */
  start(): Promise<void>
  write(fragments: readonly Fragment[], signal: AbortSignal): Promise<WriteResult>
  close(): Promise<void>
}
