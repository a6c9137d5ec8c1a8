/** Why a record went to the dead-letter topic: the header `sidereal.reason` and the label of the metric. */
export const DEAD_LETTER_REASONS = [
  'tombstone',
  'null_key',
  'bad_frame',
  'schema_unknown',
  'schema_unusable',
  'record_invalid',
  'key_mismatch',
  'refused',
] as const
export type DeadLetterReason = (typeof DEAD_LETTER_REASONS)[number]

/**
 * Headers that a dead letter carries beside the record's own, each once, after whatever the record itself has under that name. The
 * `__connect.errors.*` names are those of Kafka Connect's reporter, so that existing tools read them; like those, a reader takes the last
 * value of a name. All values are UTF-8 text; values of the record never appear in them.
 */
export const DEAD_LETTER_HEADERS = {
  topic: '__connect.errors.topic',
  partition: '__connect.errors.partition',
  offset: '__connect.errors.offset',
  connectorName: '__connect.errors.connector.name',
  taskId: '__connect.errors.task.id',
  stage: '__connect.errors.stage',
  className: '__connect.errors.class.name',
  exceptionClassName: '__connect.errors.exception.class.name',
  exceptionMessage: '__connect.errors.exception.message',
  exceptionStacktrace: '__connect.errors.exception.stacktrace',
  /** One of {@link DEAD_LETTER_REASONS}. */
  reason: 'sidereal.reason',
  /** Schema id of the frame; empty where it could not be read. */
  schemaId: 'sidereal.schema-id',
  /** Unix milliseconds at which this failed first in this process. */
  firstFailureMs: 'sidereal.first-failure-ts',
  /** When Kafka first took the record, Unix milliseconds: its append time in the input topic, or what its replay headers say. */
  appendTimeMs: 'sidereal.append-time',
  /** Only when the dead-letter topic does not take a value of that size: bytes and sha256 of the value that was left out. */
  omittedValueBytes: 'sidereal.omitted-value-bytes',
  omittedValueSha256: 'sidereal.omitted-value-sha256',
} as const

/** As kafkajs gives them: a header may repeat, and may have no value. */
export type RecordHeaders = Readonly<
  Record<string, Buffer | string | null | readonly (Buffer | string | null)[] | undefined>
>

/** Headers that kafkajs can send. */
export type OutgoingHeaders = Record<string, Buffer | string | (Buffer | string)[]>

const NO_VALUE = Buffer.alloc(0)

/**
 * Copies headers out of the fetch response that they are views into. A header without a value becomes one with an empty value, since
 * kafkajs reads such headers but cannot send them.
 */
export function copyHeaders(headers: RecordHeaders): OutgoingHeaders {
  // Without a prototype: a header may have any name, `__proto__` too.
  const copies: OutgoingHeaders = Object.create(null)
  const copy = (value: Buffer | string | null): Buffer | string =>
    value === null ? NO_VALUE : typeof value === 'string' ? value : Buffer.from(value)
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue
    copies[name] = isList(value) ? value.map(copy) : copy(value)
  }
  return copies
}

/** Adds a header after those of the same name. */
export function appendHeader(headers: OutgoingHeaders, name: string, value: string): void {
  const present = headers[name]
  headers[name] = present === undefined ? value : isList(present) ? [...present, value] : [present, value]
}

/** The last value of a header as text; `undefined` = there is none, or it has no value. */
export function lastHeader(headers: RecordHeaders, name: string): string | undefined {
  const value = headers[name]
  const last = isList(value) ? value.at(-1) : value
  return last === undefined || last === null ? undefined : last.toString('utf8')
}

function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value)
}

/** What an object and a name cost for each header value, beside its bytes. */
const HEADER_OVERHEAD_BYTES = 150

/** Memory that copied headers take, about. */
export function headerBytes(headers: RecordHeaders): number {
  let bytes = 0
  for (const name in headers) {
    const value = headers[name]
    if (value === undefined) continue
    for (const one of isList(value) ? value : [value]) {
      bytes += HEADER_OVERHEAD_BYTES + name.length + (one?.length ?? 0)
    }
  }
  return bytes
}

/** A record on its way to the dead-letter topic. */
export interface DeadLetter {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** When Kafka first took it: of a replayed record, its first arrival. */
  readonly appendTimeMs: number
  /** Views are fine: the queue copies. */
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: RecordHeaders
  readonly reason: DeadLetterReason
  /** Kafka Connect's name of the step that failed. */
  readonly stage: 'KEY_CONVERTER' | 'VALUE_CONVERTER' | 'TASK_PUT'
  readonly schemaId: number | null
  /** What went wrong, without a value of the record in its message. */
  readonly error: Error
  /** False = the partition went to another worker: the letter need not be sent any more. */
  isWanted(): boolean
  /** The dead-letter topic has acknowledged it. */
  onStored(): void
}

/** Where both assembly and delivery put dead letters. */
export interface DeadLetterQueue {
  /** False = the queue is full: nothing was kept, try again after {@link whenRoom}. */
  offer(letter: DeadLetter): boolean
  /** Calls back once, when the queue has room again. */
  whenRoom(callback: () => void): void
}
