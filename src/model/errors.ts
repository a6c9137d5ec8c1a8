/** Stable codes of every error that a user of Sidereal can meet; `docs/errors.md` lists each with its next step. */
export const ERROR_CODES = [
  'SIDEREAL_CONFIG_INVALID',
  'SIDEREAL_SID_INVALID',
  'SIDEREAL_RECORD_INVALID',
  'SIDEREAL_SCHEMA_UNKNOWN',
  'SIDEREAL_SCHEMA_INCOMPATIBLE',
  'SIDEREAL_REGISTRY_UNAVAILABLE',
  'SIDEREAL_KAFKA_UNAVAILABLE',
  'SIDEREAL_KAFKA_SEND_FAILED',
  'SIDEREAL_RECORD_TOO_LARGE',
  'SIDEREAL_TOPIC_INVALID',
  'SIDEREAL_SOURCE_LOST',
  'SIDEREAL_CLICKHOUSE_UNAVAILABLE',
  'SIDEREAL_CLICKHOUSE_FAILED',
  'SIDEREAL_ROW_REFUSED',
  'SIDEREAL_OBJECT_STORE_UNAVAILABLE',
  'SIDEREAL_OBJECT_STORE_REFUSED',
  'SIDEREAL_PAYLOAD_NOT_FOUND',
  'SIDEREAL_PAYLOAD_CORRUPT',
  'SIDEREAL_OTLP_FAILED',
  'SIDEREAL_LOCAL_STACK',
  'SIDEREAL_LEDGER_INVALID',
  'SIDEREAL_VERIFY_TIMEOUT',
  'SIDEREAL_TRACE_NOT_FOUND',
  'SIDEREAL_DEAD_LETTER_CAP',
  'SIDEREAL_DEAD_LETTER_NOT_FOUND',
] as const

export type ErrorCode = (typeof ERROR_CODES)[number]

export interface SiderealErrorOptions {
  cause?: unknown
  /** True when the same attempt may succeed later without a change by anybody (an outage). Decided where the error is born. */
  retryable?: boolean
}

/** Base of every error that Sidereal throws on purpose. `message` says what, where, and what to try next. */
export class SiderealError extends Error {
  override readonly name = 'SiderealError'
  readonly code: ErrorCode
  readonly retryable: boolean

  constructor(code: ErrorCode, message: string, options: SiderealErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retryable = options.retryable ?? false
  }
}

/** True for a SiderealError of the given code (or any, without one). */
export function isSiderealError(error: unknown, code?: ErrorCode): error is SiderealError {
  return error instanceof SiderealError && (code === undefined || error.code === code)
}
