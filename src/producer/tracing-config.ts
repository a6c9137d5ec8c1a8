import { networkInterfaces } from 'node:os'
import { type DiagLogger, diag, type MeterProvider } from '@opentelemetry/api'
import type { SpanLimits, SpanProcessor, TracerProviderOptions } from '@opentelemetry/sdk-trace'
import type { KafkaConnection } from '../kafka/client.ts'
import type { Compression } from '../kafka/codecs.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { BaggageHostRules } from './baggage-hosts.ts'
import { deliveryFromEnv } from './delivery-env.ts'
import { settingsFromFamilies } from './env-families.ts'
import { type Env, firstSet, listOf, textOf } from './env-texts.ts'
import type { FurtherExporter } from './further-exporters.ts'
import type { IdentityPeerRules } from './inbound-identity.ts'
import { kafkaFromEnv } from './kafka-env.ts'
import type { SpoolSettings } from './spool-overflow.ts'
import { unknownNames } from './unknown-names.ts'

/** What SIDs of a service are made of (source description: `SERVICE_SUB`, `SERVICE_LOCATION`, own address, `SERVICE_PORT`). */
export interface SidConfig {
  /** Default `svc`. */
  readonly sub?: string
  /** Default `src`. */
  readonly location?: string
  /** Default: the first address of this machine that is not loopback. */
  readonly ip?: string
  /** At least two digits. Default `00`. */
  readonly port?: string | number
}

/** How a service publishes its traces. Everything but `serviceName` has a default. */
export interface TracingConfig {
  /** OpenTelemetry's `service.name`, by which its spans are found. */
  readonly serviceName: string
  /** Default: `127.0.0.1:9092`. */
  readonly kafka?: KafkaConnection
  /** Default `sidereal.traces.v1`. */
  readonly topic?: string
  /** Default `http://127.0.0.1:8081`. */
  readonly registry?: {
    readonly url: string
    readonly username?: string | undefined
    readonly password?: string | undefined
    /** PEM file of the authority that signed the registry. Default: those that come with Node.js. */
    readonly caPath?: string | undefined
  }
  readonly sid?: SidConfig
  /** Further attributes of the resource. */
  readonly resourceAttributes?: Readonly<Record<string, string | number | boolean>>
  /** Default `zstd`. */
  readonly compression?: Compression
  /** How long spans wait for others of their request. Default 500 ms. */
  readonly lingerMs?: number
  /** What may wait for Kafka. Default 32 MiB, and 65,536 spans and logs. */
  readonly maxQueueBytes?: number
  readonly maxQueueItems?: number
  /** Where records go while Kafka cannot be reached, and survive the end of the process. Default: nowhere, they wait in memory. */
  readonly spool?: SpoolSettings
  /** Who may learn the identity of a request beside private hosts. */
  readonly baggageHosts?: BaggageHostRules
  /** Whose word for the identity of a request is taken beside that of private peers; `publicEndpoint: true` takes nobody's. */
  readonly identityPeers?: IdentityPeerRules
  /** Default: parent-based, always on. */
  readonly sampler?: TracerProviderOptions['sampler']
  /** Default: 1,000 events, else OpenTelemetry's. */
  readonly spanLimits?: SpanLimits
  /** Processors that get the same spans: exporters to other places. */
  readonly spanProcessors?: readonly SpanProcessor[]
  /** True: nothing is recorded or published; a caller's trace and identity are passed on as they came (`OTEL_SDK_DISABLED`). Default false. */
  readonly isDisabled?: boolean
  /** Where the counts of delivery are read as metrics. Default: the global one, which is to be set before `initTracing` is called. */
  readonly meterProvider?: MeterProvider
  /** Where spans go beside Kafka: OTLP receivers, a file, the console. */
  readonly exporters?: readonly FurtherExporter[]
  /** Default: OpenTelemetry's `diag`, and warnings and errors to standard error. */
  readonly logger?: Logger
}

/**
 * Configuration from environment variables: the source's (`SERVICE_NAME`, `SERVICE_SUB`, `SERVICE_LOCATION`, `SERVICE_PORT`, `KAFKA_SERVERS`),
 * OpenTelemetry's (`OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_SPAN_*_LIMIT`, …), and Sidereal's own (`SIDEREAL_*`), the last
 * one first. `docs/producer.md` lists them. What contradicts itself is one warning.
 */
export function tracingConfigFromEnv(env: Env, logger: Logger = defaultLogger()): TracingConfig {
  const { settings, problems } = settingsFromFamilies(env)
  const text = (name: string) => textOf(env, name)
  const attributes = resourceAttributes(env, problems)
  const serviceName = serviceNameOf(env, attributes['service.name'], problems)
  const kafka = kafkaFromEnv(env, problems)
  const registry = registryFromEnv(env, problems)
  const topic = text('SIDEREAL_TOPIC')
  const delivery = deliveryFromEnv(env, problems)
  if (problems.length > 0) logger.warn({ problems }, 'the environment of the tracing is not clear')
  void warnOfUnknown(env, logger)
  const sid = {
    sub: text('SERVICE_SUB'),
    location: text('SERVICE_LOCATION'),
    port: text('SERVICE_PORT'),
  }
  return {
    serviceName,
    resourceAttributes: attributes,
    sid: Object.fromEntries(Object.entries(sid).filter(([, value]) => value !== undefined)),
    ...(kafka === undefined ? {} : { kafka }),
    ...(topic === undefined ? {} : { topic }),
    ...settings,
    ...delivery,
    ...(registry === undefined ? {} : { registry }),
  }
}

async function warnOfUnknown(env: Env, logger: Logger): Promise<void> {
  try {
    const problems = await unknownNames(env)
    if (problems.length > 0) logger.warn({ problems }, 'variables that nothing in Sidereal reads')
  } catch (error) {
    logger.warn({ cause: String(error) }, 'the names of variables could not be checked')
  }
}

function registryFromEnv(env: Env, problems: string[]): TracingConfig['registry'] {
  const names = ['USERNAME', 'PASSWORD', 'TLS_CA'].map((name) => `SIDEREAL_REGISTRY_${name}`)
  const url = textOf(env, 'SIDEREAL_REGISTRY_URL')
  if (url !== undefined) {
    const [username, , caPath] = names.map((name) => textOf(env, name))
    return { url, username, password: env['SIDEREAL_REGISTRY_PASSWORD'], caPath }
  }
  const set = names.filter((name) => textOf(env, name) !== undefined)
  if (set.length > 0)
    problems.push(`${set.join(', ')}: nothing is done with it without SIDEREAL_REGISTRY_URL`)
  return undefined
}

function serviceNameOf(env: Env, ofResource: string | undefined, problems: string[]): string {
  const by = firstSet(env, ['OTEL_SERVICE_NAME', 'SERVICE_NAME'])
  if (by === undefined) return ofResource ?? 'unknown_service:node'
  const name = textOf(env, by)!
  // OpenTelemetry itself lets OTEL_SERVICE_NAME go before the other one.
  if (by === 'SERVICE_NAME' && ofResource !== undefined && ofResource !== name)
    problems.push(`${by} and service.name of OTEL_RESOURCE_ATTRIBUTES differ: ${by} counts`)
  return name
}

/** `key=value,key=value` with percent-encoded values, as OpenTelemetry has it. */
function resourceAttributes(env: Env, problems: string[]): Record<string, string> {
  const pairs: Record<string, string> = {}
  const entries = listOf(env, 'OTEL_RESOURCE_ATTRIBUTES')
  for (const pair of entries) {
    const end = pair.indexOf('=')
    if (end <= 0) continue
    const value = pair.slice(end + 1).trim()
    pairs[pair.slice(0, end).trim()] = /%(?![0-9a-fA-F]{2})/.test(value) ? value : decodePercent(value)
  }
  if (entries.some((pair) => pair.indexOf('=') <= 0))
    problems.push('OTEL_RESOURCE_ATTRIBUTES has entries that are not key=value: they are left out')
  return pairs
}

function decodePercent(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    // Percent signs that are not UTF-8: the text as it stands is nearer to what was meant than nothing.
    return value
  }
}

/** The first IPv4 address of this machine that others can reach it by. */
export function ownAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1'
}

/** A library should not write to a service's output by itself; that traces are being lost is the exception. */
export function defaultLogger(log: DiagLogger = diag): Logger {
  // Not `process.stderr.write`: when nobody reads there any more, that ends the process.
  const line = (level: string, fields: Readonly<Record<string, unknown>>, message: string) =>
    console.error(
      JSON.stringify({ level, time: new Date().toISOString(), name: 'sidereal', ...fields, msg: message }),
    )
  return {
    debug: (fields, message) => log.debug(message, fields),
    info: (fields, message) => log.info(message, fields),
    warn: (fields, message) => void line('warn', fields, message),
    error: (fields, message) => void line('error', fields, message),
  }
}
