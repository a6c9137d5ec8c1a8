import { parseKeyPairsIntoRecord } from '@opentelemetry/core'
import {
  booleanOf,
  contradictions,
  type Env,
  firstSet,
  isTrue,
  isWholeNumber,
  listOf,
  textOf,
  wholeNumber,
} from './env-texts.ts'
import type { FurtherExporter, OtlpExporterConfig } from './further-exporters.ts'

const SPECIFIC = 'OTEL_EXPORTER_OTLP_TRACES_'
const GENERIC = 'OTEL_EXPORTER_OTLP_'
const SOURCE_ENDPOINT = 'OTLP_ENDPOINT'
const SOURCE_SWITCH = 'OTLP_ENABLE'
const SOURCE_TIMEOUT = 'OTLP_TRACE_TIMEOUT'
const DEFAULT_ENDPOINTS = { grpc: 'http://localhost:4317', 'http/protobuf': 'http://localhost:4318' } as const
const GRPC_PORT = '4317'

type Protocol = OtlpExporterConfig['protocol']

/** Which exporters are meant, and by which variable the OTLP one. */
interface Choice {
  readonly hasConsole: boolean
  readonly otlpBy: string | undefined
}

/**
 * Exporters beside Kafka, by OpenTelemetry's variables (its specification, "OpenTelemetry Protocol Exporter") and the source's `OTLP_ENABLE` and
 * `OTLP_ENDPOINT`, those of OpenTelemetry first. Kafka is the way that is always there: without `OTEL_TRACES_EXPORTER` only an endpoint
 * brings an OTLP exporter, where OpenTelemetry has one by default.
 */
export function exportersFromEnv(env: Env): { exporters: FurtherExporter[]; problems: string[] } {
  const problems: string[] = []
  const { hasConsole, otlpBy } = choose(env, problems)
  const otlp = otlpBy === undefined ? undefined : otlpFrom(env, problems)
  if (otlpBy === undefined) problems.push(...withoutEffect(env))
  const console: FurtherExporter[] = hasConsole ? [{ kind: 'console' }] : []
  return { exporters: [...(otlp === undefined ? [] : [otlp]), ...console], problems }
}

function choose(env: Env, problems: string[]): Choice {
  const isSourceOn = booleanOf(env, SOURCE_SWITCH, problems, false)
  const isSourceOff = textOf(env, SOURCE_SWITCH) !== undefined && !isSourceOn
  const names = chosenExporters(env)
  let otlpBy = endpointName(env)
  let hasConsole = false
  if (names.length > 0) {
    const isNone = names.includes('none')
    if (isNone && names.length > 1) problems.push('OTEL_TRACES_EXPORTER names none and others: none counts')
    const unknown = names.filter((name) => !['otlp', 'console', 'none'].includes(name))
    for (const name of unknown)
      problems.push(`OTEL_TRACES_EXPORTER: ${name} is none of otlp, console, none: it is left out`)
    otlpBy = names.includes('otlp') && !isNone ? 'OTEL_TRACES_EXPORTER' : undefined
    hasConsole = names.includes('console') && !isNone
    if (otlpBy === undefined && isSourceOn)
      problems.push(
        `OTEL_TRACES_EXPORTER and ${SOURCE_SWITCH} contradict each other: OTEL_TRACES_EXPORTER counts`,
      )
  } else if (isSourceOn) otlpBy ??= SOURCE_SWITCH
  if (otlpBy !== undefined && isSourceOff)
    problems.push(`${otlpBy} and ${SOURCE_SWITCH} contradict each other: ${otlpBy} counts`)
  return { hasConsole, otlpBy }
}

function chosenExporters(env: Env): string[] {
  return listOf(env, 'OTEL_TRACES_EXPORTER').map((name) => name.toLowerCase())
}

/** The variable of OpenTelemetry that says where to. */
function endpointName(env: Env): string | undefined {
  return firstSet(env, [`${SPECIFIC}ENDPOINT`, `${GENERIC}ENDPOINT`])
}

/** A setting that each signal may have of its own. */
const names = (setting: string) => [`${SPECIFIC}${setting}`, `${GENERIC}${setting}`]

function otlpFrom(env: Env, problems: string[]): OtlpExporterConfig | undefined {
  const protocol = protocolOf(env, problems)
  const url = urlOf(env, protocol, problems)
  if (url === undefined) return undefined
  // The source means milliseconds; its exporter takes them as seconds.
  const timeoutMs = wholeNumber(env, [...names('TIMEOUT'), SOURCE_TIMEOUT], problems)
  const timeoutBy = firstSet(env, names('TIMEOUT'), isWholeNumber)
  if (timeoutBy !== undefined)
    problems.push(...contradictions(env, [timeoutBy, SOURCE_TIMEOUT], isWholeNumber))
  const compressionBy = firstSet(env, names('COMPRESSION'))
  const compression = compressionBy === undefined ? 'none' : textOf(env, compressionBy)
  if (compression !== 'none' && compression !== 'gzip')
    problems.push(`${compressionBy} is neither gzip nor none: nothing is compressed`)
  const headers = {
    ...headersOf(env, `${GENERIC}HEADERS`, problems),
    ...headersOf(env, `${SPECIFIC}HEADERS`, problems),
  }
  const file = (setting: string) => textOf(env, firstSet(env, names(setting)) ?? '')
  const paths = {
    caPath: file('CERTIFICATE'),
    certPath: file('CLIENT_CERTIFICATE'),
    keyPath: file('CLIENT_KEY'),
  }
  const tls = Object.fromEntries(Object.entries(paths).filter(([, path]) => path !== undefined))
  return {
    kind: 'otlp',
    protocol,
    url,
    ...(Object.keys(headers).length === 0 ? {} : { headers }),
    ...(compression === 'gzip' ? { compression } : {}),
    ...(timeoutMs === undefined || timeoutMs === 0 ? {} : { timeoutMs }),
    ...(Object.keys(tls).length === 0 ? {} : { tls }),
  }
}

function protocolOf(env: Env, problems: string[]): Protocol {
  const name = firstSet(env, names('PROTOCOL'))
  const endpointBy = endpointName(env)
  // The source speaks gRPC only; OpenTelemetry's default is the other.
  const isSource = endpointBy === undefined && isTrue(env, SOURCE_SWITCH)
  const preset = isSource ? 'grpc' : 'http/protobuf'
  const protocol = name === undefined ? preset : textOf(env, name)
  if (protocol === 'grpc' || protocol === 'http/protobuf') {
    if (
      name === undefined &&
      endpointBy !== undefined &&
      URL.parse(textOf(env, endpointBy)!)?.port === GRPC_PORT
    )
      problems.push(
        `${endpointBy} has the port of gRPC, and ${protocol} is spoken: is ${GENERIC}PROTOCOL=grpc meant?`,
      )
    return protocol
  }
  problems.push(`${name} is neither grpc nor http/protobuf: ${preset} is used`)
  return preset
}

/** With the path, for HTTP. */
function urlOf(env: Env, protocol: Protocol, problems: string[]): string | undefined {
  const given = endpointName(env)
  const isSourceOn = isTrue(env, SOURCE_SWITCH)
  const name = given ?? (isSourceOn ? firstSet(env, [SOURCE_ENDPOINT]) : undefined)
  if (given !== undefined && isSourceOn) problems.push(...contradictions(env, [given, SOURCE_ENDPOINT]))
  const text = name === undefined ? DEFAULT_ENDPOINTS[protocol] : textOf(env, name)!
  const isWhole = /^https?:\/\//i.test(text)
  // The source's `host:port` is plain text; OpenTelemetry's, for gRPC only, is not unless it is said so.
  const insecureBy = firstSet(env, names('INSECURE')) ?? ''
  const isPlain = name === SOURCE_ENDPOINT || booleanOf(env, insecureBy, problems, false)
  const url = isWhole ? text : `${isPlain ? 'http' : 'https'}://${text}`
  if (
    !URL.canParse(url) ||
    (!isWhole && (text.includes('://') || (protocol !== 'grpc' && name !== SOURCE_ENDPOINT)))
  ) {
    problems.push(`${name} is not a URL of http or https: no spans go there`)
    return undefined
  }
  if (protocol === 'grpc' || name === `${SPECIFIC}ENDPOINT`) return url
  return `${url}${url.endsWith('/') ? '' : '/'}v1/traces`
}

function headersOf(env: Env, name: string, problems: string[]): Record<string, string> {
  const headers = parseKeyPairsIntoRecord(textOf(env, name))
  if (Object.keys(headers).length < listOf(env, name).length)
    problems.push(`${name} has entries that are not key=value, percent-encoded: they are left out`)
  return headers
}

/** A variable that does nothing must not seem to have worked. */
function withoutEffect(env: Env): string[] {
  const chosen = chosenExporters(env)
  // None is a word of its own: whoever says it means all of them.
  if (chosen.includes('none')) return []
  // Who switched the source's exporter off has left its settings on purpose.
  const isSourceUnsaid = textOf(env, SOURCE_SWITCH) === undefined
  const isOfOtlp = (name: string) => name.startsWith(SPECIFIC) || (name === SOURCE_TIMEOUT && isSourceUnsaid)
  const specific = Object.keys(env).filter((name) => isOfOtlp(name) && textOf(env, name) !== undefined)
  return [
    ...(isSourceUnsaid && textOf(env, SOURCE_ENDPOINT) !== undefined
      ? [`${SOURCE_ENDPOINT} does nothing without ${SOURCE_SWITCH}=true: spans go to Kafka only`]
      : []),
    ...specific.map((name) =>
      chosen.length > 0
        ? `${name} does nothing, OTEL_TRACES_EXPORTER does not name otlp`
        : `${name} does nothing without an endpoint or OTEL_TRACES_EXPORTER=otlp`,
    ),
  ]
}
