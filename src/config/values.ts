/**
 * The text forms of configuration values. Each parser takes the text of an environment variable and gives the value back,
 * or throws an Error whose message says what is wrong and shows a right form.
 */

const SIZE_UNITS: Readonly<Record<string, number>> = { '': 1, B: 1, KB: 1024, MB: 1024 ** 2, GB: 1024 ** 3 }
const DURATION_UNITS: Readonly<Record<string, number>> = { '': 1, MS: 1, S: 1000, M: 60_000, H: 3_600_000 }

/** `400MB`, `5 KB`, `5120`: bytes; 1 KB = 1024 bytes. */
export function parseSize(text: string): number {
  return withUnit(text, SIZE_UNITS, 'is not a size; write bytes or a unit, for example 5120, 5KB or 400MB')
}

/** `10000`, `10s`, `15m`, `1h`: milliseconds; without a unit the number is milliseconds. */
export function parseDuration(text: string): number {
  return withUnit(
    text,
    DURATION_UNITS,
    'is not a duration; write milliseconds or a unit, for example 10000, 10s or 15m',
  )
}

function withUnit(text: string, units: Readonly<Record<string, number>>, complaint: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim())
  const factor = match === null ? undefined : units[match[2]!.toUpperCase()]
  const value = match === null || factor === undefined ? Number.NaN : Math.round(Number(match[1]) * factor)
  if (!Number.isSafeInteger(value)) throw new Error(`"${text}" ${complaint}`)
  return value
}

export function parseInteger(text: string): number {
  const value = /^[+-]?\d+$/.test(text.trim()) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(value)) throw new Error(`"${text}" is not a whole number`)
  return value
}

/** `0.2`: a share of a thousand at least; `0` = off. */
export function parseRatio(text: string): number {
  const value = /^\d(?:\.\d+)?$/.test(text.trim()) ? Number(text) : Number.NaN
  if (value === 0 || (value >= 0.001 && value <= 1)) return value
  throw new Error(`"${text}" is not a share; write a number from 0.001 to 1, such as 0.2, or 0`)
}

export function parseBoolean(text: string): boolean {
  switch (text.trim().toLowerCase()) {
    case 'true':
    case '1':
    case 'yes':
    case 'on':
      return true
    case 'false':
    case '0':
    case 'no':
    case 'off':
      return false
    default:
      throw new Error(`"${text}" is neither true nor false`)
  }
}

/** `a, b,c`: entries are trimmed, empty ones dropped. */
export function parseList(text: string): string[] {
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
}

/** `host:port,host:port`, IPv6 hosts in brackets. */
export function parseBrokers(text: string): string[] {
  const brokers = parseList(text)
  if (brokers.length === 0) throw new Error('names no broker; write host:port, several with commas')
  for (const broker of brokers) {
    const match = /^(?:\[[0-9a-f:.]+\]|[^\s:/[\]]+):(\d{1,5})$/i.exec(broker)
    if (match === null || Number(match[1]) === 0 || Number(match[1]) > 65535) {
      throw new Error(`"${broker}" is not host:port`)
    }
  }
  return brokers
}

/** An absolute http or https URL, without a trailing slash. Credentials have keys of their own and are refused here. */
export function parseHttpUrl(text: string): string {
  const url = URL.canParse(text.trim()) ? new URL(text.trim()) : undefined
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new Error(`"${shown(text)}" is not a URL; write for example http://127.0.0.1:8123`)
  }
  if (url.username !== '' || url.password !== '') {
    throw new Error('holds credentials; put them into the _USERNAME and _PASSWORD keys')
  }
  return text.trim().replace(/\/+$/, '')
}

/** `s3://bucket/prefix` or `file:///directory`. */
export function parseObjectStoreUrl(text: string): string {
  const trimmed = text.trim()
  if (/^s3:\/\/[a-z0-9][a-z0-9.-]{1,62}(\/.*)?$/i.test(trimmed) || /^file:\/\/\/./.test(trimmed)) {
    return trimmed.replace(/\/+$/, '')
  }
  throw new Error(`"${shown(text)}" is neither s3://bucket/prefix nor file:///directory`)
}

/** `key=value,key=value`, values percent-decoded, as in `OTEL_EXPORTER_OTLP_HEADERS`. */
export function parseHeaders(text: string): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {}
  for (const entry of parseList(text)) {
    const equals = entry.indexOf('=')
    if (equals < 1) throw new Error('has an entry that is not key=value')
    let value: string
    try {
      value = decodeURIComponent(entry.slice(equals + 1).trim())
    } catch {
      throw new Error(`has a value with a wrong percent escape: ${entry.slice(0, equals).trim()}`)
    }
    headers[entry.slice(0, equals).trim().toLowerCase()] = value
  }
  return headers
}

export const SINK_NAMES = ['clickhouse', 'otlp'] as const
export type SinkName = (typeof SINK_NAMES)[number]

/** One destination of the worker. */
export interface SinkChoice {
  readonly name: SinkName
  /** `required`: holds the watermark, retried for ever. `best-effort`: a bounded queue; what it loses is counted. */
  readonly mode: 'required' | 'best-effort'
}

/** `clickhouse,otlp:best-effort`: without a mode a sink is required. */
export function parseSinks(text: string): SinkChoice[] {
  const sinks: SinkChoice[] = []
  for (const entry of parseList(text)) {
    const [rawName = '', mode = 'required', ...rest] = entry.split(':')
    const name = SINK_NAMES.find((known) => known === rawName)
    if (name === undefined) {
      throw new Error(`names the unknown sink "${rawName}"; there are ${SINK_NAMES.join(', ')}`)
    }
    if ((mode !== 'required' && mode !== 'best-effort') || rest.length > 0) {
      throw new Error(`gives ${name} an unknown mode; write ${name}, ${name}:required or ${name}:best-effort`)
    }
    if (sinks.some((other) => other.name === name)) throw new Error(`names ${name} twice`)
    sinks.push({ name, mode })
  }
  if (sinks.length === 0) throw new Error(`names no sink; there are ${SINK_NAMES.join(', ')}`)
  return sinks
}

/** The text without what may be a password in it. */
function shown(text: string): string {
  return text.replace(/\/\/[^/@]*@/, '//…@')
}
