import { ClickHouseError } from '@clickhouse/client'
import { SiderealError } from '../../model/errors.ts'
import { type TlsKeys, tlsFault } from '../../model/tls-fault.ts'

/** For messages about TLS to the server. */
export const CLICKHOUSE_TLS_KEYS: TlsKeys = {
  ca: 'SIDEREAL_CLICKHOUSE_TLS_CA',
  plain: 'write http:// in SIDEREAL_CLICKHOUSE_URL',
}

/**
 * Codes with which ClickHouse refuses a row for what it contains, whatever the number of attempts. Everything else is the state of the
 * server or an outage (too many parts, memory, read-only, missing table): those never condemn a record.
 */
export const ROW_REFUSED_CODES: ReadonlySet<number> = new Set([
  6, // CANNOT_PARSE_TEXT
  26, // CANNOT_PARSE_QUOTED_STRING
  27, // CANNOT_PARSE_INPUT_ASSERTION_FAILED
  38, // CANNOT_PARSE_DATE
  41, // CANNOT_PARSE_DATETIME
  69, // ARGUMENT_OUT_OF_BOUND
  70, // CANNOT_CONVERT_TYPE
  72, // CANNOT_PARSE_NUMBER
  117, // INCORRECT_DATA
  128, // TOO_LARGE_ARRAY_SIZE
  131, // TOO_LARGE_STRING_SIZE
  321, // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
  395, // FUNCTION_THROW_IF_VALUE_IS_NON_ZERO
  407, // DECIMAL_OVERFLOW
  469, // VIOLATED_CONSTRAINT
  691, // UNKNOWN_ELEMENT_OF_ENUM
])

/** Codes that say that the server could not be asked, rather than that it answered no. */
const UNAVAILABLE_CODES: ReadonlySet<number> = new Set([
  159, // TIMEOUT_EXCEEDED
  160, // TOO_SLOW
  198, // DNS_ERROR
  202, // TOO_MANY_SIMULTANEOUS_QUERIES
  203, // NO_FREE_CONNECTION
  209, // SOCKET_TIMEOUT
  210, // NETWORK_ERROR
  236, // ABORTED
  279, // ALL_CONNECTION_TRIES_FAILED
  319, // UNKNOWN_STATUS_OF_INSERT
  394, // QUERY_WAS_CANCELLED
  999, // KEEPER_EXCEPTION
])

/** The code that the server gave, or undefined when the error did not come from the server. */
export function serverCode(error: unknown): number | undefined {
  if (!(error instanceof ClickHouseError)) return undefined
  const code = Number(error.code)
  return Number.isInteger(code) ? code : undefined
}

/** The server's words without what may follow them of a row's values. */
export function serverReason(error: unknown): string {
  if (!(error instanceof ClickHouseError)) return 'unknown'
  const constraint = /Constraint `?([\w.]+)`? for table ([\w.`]+)/.exec(error.message)
  const name = `${error.type ?? 'ERROR'} (code ${error.code})`
  return constraint === null ? name : `${name}: constraint ${constraint[1]} of ${constraint[2]}`
}

/**
 * What an error of the ClickHouse client means. `SIDEREAL_ROW_REFUSED`: a row's content (not retryable); `SIDEREAL_CLICKHOUSE_FAILED`:
 * the server refuses in its present state; `SIDEREAL_CLICKHOUSE_UNAVAILABLE`: no answer. The last two are retryable: no data is at
 * fault. Neither the server's text nor the error of the client goes along, as message or as `cause`: both may quote values of rows, and
 * whatever an error carries is logged. Code and name are told.
 */
export function toClickHouseError(error: unknown, doing: string, url: string): SiderealError {
  if (error instanceof SiderealError) return error
  const code = serverCode(error)
  if (code !== undefined && ROW_REFUSED_CODES.has(code)) {
    return new SiderealError(
      'SIDEREAL_ROW_REFUSED',
      `ClickHouse refused a row while ${doing}: ${serverReason(error)}.`,
    )
  }
  if (code !== undefined && !UNAVAILABLE_CODES.has(code)) {
    return new SiderealError(
      'SIDEREAL_CLICKHOUSE_FAILED',
      `ClickHouse at ${url} failed while ${doing}: ${serverReason(error)}. ${advice(code)}`,
      { retryable: true },
    )
  }
  const fault = code === undefined ? tlsFault(error, CLICKHOUSE_TLS_KEYS) : undefined
  if (fault !== undefined) {
    return new SiderealError(
      'SIDEREAL_CLICKHOUSE_UNAVAILABLE',
      `ClickHouse at ${url} cannot be reached over TLS while ${doing}: ${fault}.`,
      { retryable: true },
    )
  }
  const reason = code === undefined ? networkReason(error) : serverReason(error)
  return new SiderealError(
    'SIDEREAL_CLICKHOUSE_UNAVAILABLE',
    `ClickHouse at ${url} gave no answer while ${doing}: ${reason}. Check SIDEREAL_CLICKHOUSE_URL (http or https?) and that the server runs.`,
    { retryable: true },
  )
}

/** Texts of the client itself that say more than their name, `Error`. */
const CLIENT_TEXTS: ReadonlySet<string> = new Set(['Timeout error.', 'The user aborted a request.'])

function networkReason(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  if ('code' in error && typeof error.code === 'string' && /^[A-Z][A-Z0-9_]*$/.test(error.code)) {
    return error.code
  }
  return CLIENT_TEXTS.has(error.message) ? error.message.replace(/\.$/, '') : error.name
}

function advice(code: number): string {
  switch (code) {
    case 60: // UNKNOWN_TABLE
    case 81: // UNKNOWN_DATABASE
    case 16: // NO_SUCH_COLUMN_IN_TABLE
    case 47: // UNKNOWN_IDENTIFIER
      return 'Run `sidereal setup`.'
    case 516: // AUTHENTICATION_FAILED
    case 497: // ACCESS_DENIED
    case 192: // UNKNOWN_USER
      return 'Check SIDEREAL_CLICKHOUSE_USERNAME and SIDEREAL_CLICKHOUSE_PASSWORD, and the rights of the user.'
    case 252: // TOO_MANY_PARTS
      return 'The server merges slower than rows arrive: look at system.merges and its disk.'
    case 241: // MEMORY_LIMIT_EXCEEDED
    case 173: // CANNOT_ALLOCATE_MEMORY
      return 'The server is out of memory.'
    case 242: // TABLE_IS_READ_ONLY
      return 'The table is read-only: look at Keeper and the disk.'
    default:
      return 'Look at the server’s log.'
  }
}
