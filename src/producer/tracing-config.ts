import { networkInterfaces } from 'node:os'
import { type DiagLogger, diag, type MeterProvider } from '@opentelemetry/api'
import type { SpanLimits, SpanProcessor, TracerProviderOptions } from '@opentelemetry/sdk-trace'
import type { KafkaConnection } from '../kafka/client.ts'
import type { Compression } from '../kafka/codecs.ts'
import { SiderealError } from '../model/errors.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { BaggageHostRules } from './baggage-hosts.ts'
import { brokersForSecurity, deliveryFromEnv } from './delivery-env.ts'
import { settingsFromFamilies } from './env-families.ts'
import type { FurtherExporter } from './further-exporters.ts'
import type { IdentityPeerRules } from './inbound-identity.ts'
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
  /** True: nothing is recorded or published; context still travels (`OTEL_SDK_DISABLED`). Default false. */
  readonly isDisabled?: boolean
  /** Where the counts of delivery are read as metrics. Default: the global one, which is to be set before `initTracing` is called. */
  readonly meterProvider?: MeterProvider
  /** Where spans go beside Kafka: OTLP receivers, a file, the console. */
  readonly exporters?: readonly FurtherExporter[]
  /** Default: OpenTelemetry's `diag`, and warnings and errors to standard error. */
  readonly logger?: Logger
}

type Env = Readonly<Record<string, string | undefined>>

/**
 * Configuration from environment variables: the source's (`SERVICE_NAME`, `SERVICE_SUB`, `SERVICE_LOCATION`, `SERVICE_PORT`, `KAFKA_SERVERS`),
 * OpenTelemetry's (`OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_SPAN_*_LIMIT`, …), and Sidereal's own (`SIDEREAL_*`), the last
 * one first. `docs/producer.md` lists them. What contradicts itself is one warning.
 */
export function tracingConfigFromEnv(env: Env, logger: Logger = defaultLogger()): TracingConfig {
  const { settings, problems } = settingsFromFamilies(env)
  const text = (...names: string[]): string | undefined =>
    names.map((name) => env[name]?.trim()).find((value) => value)
  const attributes = parsePairs(text('OTEL_RESOURCE_ATTRIBUTES'))
  const brokers = text('SIDEREAL_KAFKA_BROKERS', 'KAFKA_SERVERS') ?? brokersForSecurity(env, problems)
  const url = text('SIDEREAL_REGISTRY_URL')
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
    serviceName:
      text('OTEL_SERVICE_NAME', 'SERVICE_NAME') ?? attributes['service.name'] ?? 'unknown_service:node',
    resourceAttributes: attributes,
    sid: Object.fromEntries(Object.entries(sid).filter(([, value]) => value !== undefined)),
    ...(brokers === undefined ? {} : { kafka: kafkaFromEnv(brokers, env, text) }),
    ...(topic === undefined ? {} : { topic }),
    ...settings,
    ...delivery,
    ...(url === undefined
      ? {}
      : {
          registry: {
            url,
            username: text('SIDEREAL_REGISTRY_USERNAME'),
            password: env['SIDEREAL_REGISTRY_PASSWORD'],
            caPath: text('SIDEREAL_REGISTRY_TLS_CA'),
          },
        }),
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

function kafkaFromEnv(
  brokers: string,
  env: Env,
  text: (...names: string[]) => string | undefined,
): KafkaConnection {
  const mechanism = text('SIDEREAL_KAFKA_SASL_MECHANISM')?.toLowerCase()
  const isTls = ['1', 'true', 'yes', 'on'].includes(text('SIDEREAL_KAFKA_TLS')?.toLowerCase() ?? '')
  const tls = {
    caPath: text('SIDEREAL_KAFKA_TLS_CA'),
    certPath: text('SIDEREAL_KAFKA_TLS_CERT'),
    keyPath: text('SIDEREAL_KAFKA_TLS_KEY'),
  }
  const connection: KafkaConnection = {
    brokers: brokers
      .split(',')
      .map((broker) => broker.trim())
      .filter((broker) => broker !== ''),
    tls: isTls ? tls : undefined,
  }
  if (mechanism === undefined) return connection
  if (mechanism !== 'plain' && mechanism !== 'scram-sha-256' && mechanism !== 'scram-sha-512') {
    throw new SiderealError(
      'SIDEREAL_CONFIG_INVALID',
      'SIDEREAL_KAFKA_SASL_MECHANISM is none of plain, scram-sha-256, scram-sha-512',
    )
  }
  const username = text('SIDEREAL_KAFKA_SASL_USERNAME') ?? ''
  return {
    ...connection,
    sasl: { mechanism, username, password: env['SIDEREAL_KAFKA_SASL_PASSWORD'] ?? '' },
  }
}

/** `key=value,key=value` with percent-encoded values, as OpenTelemetry has it. */
function parsePairs(text: string | undefined): Record<string, string> {
  const pairs: Record<string, string> = {}
  for (const pair of text?.split(',') ?? []) {
    const end = pair.indexOf('=')
    if (end <= 0) continue
    const value = pair.slice(end + 1).trim()
    pairs[pair.slice(0, end).trim()] = /%(?![0-9a-fA-F]{2})/.test(value) ? value : decodePercent(value)
  }
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
