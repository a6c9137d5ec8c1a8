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
 * Headers that a dead letter carries beside the record's own. The `__connect.errors.*` names are those of Kafka Connect's
 * reporter, so that existing tools read them. All values are UTF-8 text; values of the record never appear in them.
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
  /** Schema id of the frame, where it could be read. */
  schemaId: 'sidereal.schema-id',
  /** Unix milliseconds at which this failed first in this process. */
  firstFailureMs: 'sidereal.first-failure-ts',
  /** Append time of the record in the input topic, Unix milliseconds. */
  appendTimeMs: 'sidereal.append-time',
  /** Only when the dead-letter topic does not take a value of that size: bytes and sha256 of the value that was left out. */
  omittedValueBytes: 'sidereal.omitted-value-bytes',
  omittedValueSha256: 'sidereal.omitted-value-sha256',
} as const

/** As kafkajs gives them: a header may repeat. */
export type RecordHeaders = Readonly<
  Record<string, Buffer | string | readonly (Buffer | string)[] | undefined>
>

/** Copies headers out of the fetch response that they are views into. */
export function copyHeaders(headers: RecordHeaders): Record<string, Buffer | string | (Buffer | string)[]> {
  const copies: Record<string, Buffer | string | (Buffer | string)[]> = {}
  const copy = (value: Buffer | string): Buffer | string =>
    typeof value === 'string' ? value : Buffer.from(value)
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue
    copies[name] = typeof value === 'string' || Buffer.isBuffer(value) ? copy(value) : value.map(copy)
  }
  return copies
}

/** What an object and a name cost for each header value, beside its bytes. */
const HEADER_OVERHEAD_BYTES = 150

/** Memory that copied headers take, about. */
export function headerBytes(headers: RecordHeaders): number {
  let bytes = 0
  for (const name in headers) {
    const value = headers[name]
    if (value === undefined) continue
    for (const one of typeof value === 'string' || Buffer.isBuffer(value) ? [value] : value) {
      bytes += HEADER_OVERHEAD_BYTES + name.length + one.length
    }
  }
  return bytes
}

/** A record on its way to the dead-letter topic. */
export interface DeadLetter {
  readonly topic: string
  readonly partition: number
  readonly offset: number
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
