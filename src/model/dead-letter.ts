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
