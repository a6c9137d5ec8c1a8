import type { KafkaMessage } from 'kafkajs'
import {
  copyHeaders,
  DEAD_LETTER_HEADERS,
  lastHeader,
  type OutgoingHeaders,
  type RecordHeaders,
} from '../model/dead-letter.ts'
import { type FirstArrival, readFirstArrival } from '../model/first-arrival.ts'

/** A dead letter as it lies in the dead-letter topic. */
export interface StoredLetter {
  /** Where the record lay in its input topic: what tells dead letters apart, since a letter may be written twice. */
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** Where the letter lies, and when the broker took it. */
  readonly letter: { readonly partition: number; readonly offset: number; readonly writtenMs: number }
  readonly reason: string
  readonly stage: string
  readonly schemaId: string
  readonly errorClass: string
  readonly errorMessage: string
  readonly stacktrace: string
  readonly connectorName: string
  readonly taskId: string
  readonly key: Buffer | null
  /** `null` = the record had none, or it was left out. */
  readonly value: Buffer | null
  /** Of a value that was too large for the dead-letter topic. */
  readonly omitted: { readonly bytes: number; readonly sha256: string } | undefined
  /** Headers of the record as it came, without the letter's. */
  readonly headers: OutgoingHeaders
  /** Where and when Kafka first took the record: this place, unless it had been replayed before. */
  readonly firstArrival: FirstArrival
}

/** Names that every letter has. The two of an omitted value are there only when it was left out. */
const ALWAYS = Object.values(DEAD_LETTER_HEADERS).filter(
  (name) => name !== DEAD_LETTER_HEADERS.omittedValueBytes && name !== DEAD_LETTER_HEADERS.omittedValueSha256,
)

/** Reads a record of the dead-letter topic; `undefined` = it is no dead letter of a Sidereal worker. */
export function readStoredLetter(partition: number, message: KafkaMessage): StoredLetter | undefined {
  const all: RecordHeaders = message.headers ?? {}
  const text = (name: string): string => lastHeader(all, name) ?? ''
  const names = DEAD_LETTER_HEADERS
  const place = {
    topic: text(names.topic),
    partition: wholeNumber(text(names.partition)),
    offset: wholeNumber(text(names.offset)),
  }
  const appendTimeMs = wholeNumber(text(names.appendTimeMs))
  const reason = text(names.reason)
  const isWhole =
    place.topic !== '' &&
    reason !== '' &&
    [place.partition, place.offset, appendTimeMs].every(Number.isSafeInteger)
  if (!isWhole) return undefined
  const writtenMs = Number(message.timestamp)
  const headers = withoutLast(all, ALWAYS)
  // Against the time that the worker went by: what it did not believe is not believed here.
  const earlier = readFirstArrival(headers, appendTimeMs)
  const omittedBytes = wholeNumber(text(names.omittedValueBytes))
  const isOmitted = message.value === null && reason !== 'tombstone' && Number.isSafeInteger(omittedBytes)
  return {
    ...place,
    letter: { partition, offset: Number(message.offset), writtenMs },
    reason,
    stage: text(names.stage),
    schemaId: text(names.schemaId),
    errorClass: text(names.exceptionClassName),
    errorMessage: text(names.exceptionMessage),
    stacktrace: text(names.exceptionStacktrace),
    connectorName: text(names.connectorName),
    taskId: text(names.taskId),
    key: message.key,
    value: message.value,
    omitted: isOmitted ? { bytes: omittedBytes, sha256: text(names.omittedValueSha256) } : undefined,
    headers,
    firstArrival: earlier === undefined || earlier === 'invalid' ? { ...place, appendTimeMs } : earlier,
  }
}

/** `topic/partition/offset` */
export function letterPlace({ topic, partition, offset }: StoredLetter): string {
  return `${topic}/${partition}/${offset}`
}

/** Takes the last value of each name away: the letter's own were put behind those of the record. */
function withoutLast(all: RecordHeaders, names: readonly string[]): OutgoingHeaders {
  const headers = copyHeaders(all)
  for (const name of names) {
    const value = headers[name]
    if (Array.isArray(value) && value.length > 1) headers[name] = value.slice(0, -1)
    else delete headers[name]
  }
  return headers
}

function wholeNumber(text: string): number {
  return /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
}
