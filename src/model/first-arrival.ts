import { lastHeader, type OutgoingHeaders, type RecordHeaders } from './dead-letter.ts'

/** Where and when Kafka first took a record that is sent through again. */
export interface FirstArrival {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** Append time of that moment, Unix milliseconds: what rows of the record say, however often it is replayed. */
  readonly appendTimeMs: number
}

/** Headers that `replay` gives a record, each once. All values are UTF-8 text. */
export const REPLAY_HEADERS = {
  topic: 'sidereal.replay.topic',
  partition: 'sidereal.replay.partition',
  offset: 'sidereal.replay.offset',
  appendTimeMs: 'sidereal.replay.append-time',
} as const

/** Before it there was no Kafka: 2000-01-01. */
const EARLIEST_MS = 946_684_800_000
const MAX_PARTITION = 0x7fff_ffff

/**
 * Reads the first arrival of a replayed record. Anybody who may write to the topic may write these headers, so they are bounded: all four
 * must be there, valid, and not later than the broker's own append time. So they make a row older, and never newer than it is.
 *
 * @param appendTimeMs when the broker took the record this time
 * @returns `undefined` = not a replay; `'invalid'` = it claims to be one and is not to be believed: an ordinary record
 */
export function readFirstArrival(
  headers: RecordHeaders,
  appendTimeMs: number,
): FirstArrival | 'invalid' | undefined {
  // Almost every record: no name of ours, and no text is made.
  if (headers[REPLAY_HEADERS.appendTimeMs] === undefined) return undefined
  const topic = lastHeader(headers, REPLAY_HEADERS.topic) ?? ''
  const partition = wholeNumber(lastHeader(headers, REPLAY_HEADERS.partition))
  const offset = wholeNumber(lastHeader(headers, REPLAY_HEADERS.offset))
  const firstMs = wholeNumber(lastHeader(headers, REPLAY_HEADERS.appendTimeMs))
  const isValid =
    /^[a-zA-Z0-9._-]{1,249}$/.test(topic) &&
    partition <= MAX_PARTITION &&
    offset <= Number.MAX_SAFE_INTEGER &&
    firstMs >= EARLIEST_MS &&
    firstMs <= appendTimeMs
  return isValid ? { topic, partition, offset, appendTimeMs: firstMs } : 'invalid'
}

/** Sets the replay headers, in place of any that are there. */
export function setFirstArrival(headers: OutgoingHeaders, arrival: FirstArrival): void {
  headers[REPLAY_HEADERS.topic] = arrival.topic
  headers[REPLAY_HEADERS.partition] = String(arrival.partition)
  headers[REPLAY_HEADERS.offset] = String(arrival.offset)
  headers[REPLAY_HEADERS.appendTimeMs] = String(arrival.appendTimeMs)
}

/** NaN for anything but decimal digits. */
function wholeNumber(text: string | undefined): number {
  return text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
}
