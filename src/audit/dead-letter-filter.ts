import type { StoredLetter } from './stored-letter.ts'

/** Which dead letters are meant; what is not given holds of all. */
export interface DeadLetterFilter {
  readonly reasons?: readonly string[] | undefined
  /** Key of the record. */
  readonly sid?: string | undefined
  /** Input topic, and place in it. */
  readonly topic?: string | undefined
  readonly partition?: number | undefined
  readonly offsets?: { readonly first: number; readonly last: number } | undefined
  /** When the letter was written, Unix milliseconds; `untilMs` is the first moment that is out. */
  readonly sinceMs?: number | undefined
  readonly untilMs?: number | undefined
}

export function isWanted(letter: StoredLetter, filter: DeadLetterFilter): boolean {
  const { reasons, sid, topic, partition, offsets, sinceMs, untilMs } = filter
  const { writtenMs } = letter.letter
  return (
    (reasons === undefined || reasons.includes(letter.reason)) &&
    (sid === undefined || letter.key?.toString('utf8') === sid) &&
    (topic === undefined || letter.topic === topic) &&
    (partition === undefined || letter.partition === partition) &&
    (offsets === undefined || (letter.offset >= offsets.first && letter.offset <= offsets.last)) &&
    (sinceMs === undefined || writtenMs >= sinceMs) &&
    (untilMs === undefined || writtenMs < untilMs)
  )
}
