import { z } from 'zod'
import {
  parseBoolean,
  parseBrokers,
  parseDuration,
  parseHeaders,
  parseHttpUrl,
  parseInteger,
  parseObjectStoreUrl,
  parseRatio,
  parseSinks,
  parseSize,
} from './values.ts'

/** What a key is, beside its type: from this the documentation, `.env.example` and the parser are made. */
export interface KeyInfo {
  /** Name without the prefix `SIDEREAL_`. */
  readonly name: string
  readonly description: string
  /** Never printed. */
  readonly isSecret: boolean
  /** Text form of the default; `undefined` = unset. */
  readonly defaultText: string | undefined
}

/** Heading of a group of keys in the documentation. */
export interface GroupInfo {
  readonly heading: string
  readonly about: string
}

export const keyRegistry = z.registry<KeyInfo>()
export const groupRegistry = z.registry<GroupInfo>()

const text = (value: string) => value.trim()
const tcpPort = between(0, 65_535)
const path = text

/** A key with a default. Everything comes in as text, as from the environment. */
function key<T>(name: string, defaultText: string, parse: (text: string) => T, description: string) {
  return parsed(parse)
    .prefault(defaultText)
    .register(keyRegistry, { name, description, isSecret: false, defaultText })
}

/** A key that may stay unset. */
function optionalKey<T>(name: string, parse: (text: string) => T, description: string) {
  return parsed(parse)
    .optional()
    .register(keyRegistry, { name, description, isSecret: false, defaultText: undefined })
}

function secretKey(name: string, description: string) {
  return parsed((value) => value)
    .optional()
    .register(keyRegistry, { name, description, isSecret: true, defaultText: undefined })
}

function parsed<T>(parse: (text: string) => T) {
  return z.string().transform((value, context): T => {
    try {
      return parse(value)
    } catch (error) {
      context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) })
      return z.NEVER
    }
  })
}

function group<Shape extends z.ZodRawShape>(heading: string, about: string, shape: Shape) {
  return z.object(shape).register(groupRegistry, { heading, about })
}

function between(lowest: number, highest: number, parse: (text: string) => number = parseInteger) {
  return (value: string): number => {
    const number = parse(value)
    if (number < lowest || number > highest)
      throw new Error(`${value} is not between ${lowest} and ${highest}`)
    return number
  }
}

const positive = between(1, Number.MAX_SAFE_INTEGER)
const duration = between(1, 30 * 86_400_000, parseDuration)
const size = between(1, Number.MAX_SAFE_INTEGER, parseSize)

function oneOf<const Choice extends string>(...choices: readonly Choice[]) {
  return (value: string): Choice => {
    const found = choices.find((choice) => choice === value.trim().toLowerCase())
    if (found === undefined) throw new Error(`"${value}" is none of ${choices.join(', ')}`)
    return found
  }
}

function topicName(value: string): string {
  const name = value.trim()
  if (!/^[a-zA-Z0-9._-]{1,249}$/.test(name) || name === '.' || name === '..') {
    throw new Error(`"${name}" is not a topic name (letters, digits, ".", "_", "-"; at most 249)`)
  }
  return name
}

function identifier(value: string): string {
  const name = value.trim()
  if (!/^[a-zA-Z_][a-zA-Z0-9_]{0,63}$/.test(name)) throw new Error(`"${name}" is not a plain identifier`)
  return name
}

/** Every key of Sidereal, grouped as the code uses them. The one source of parsing, types and documentation. */
export const configSchema = z.object({
  kafka: group('Kafka', 'Where the brokers are, and how to talk to them.', {
    brokers: key(
      'KAFKA_BROKERS',
      '127.0.0.1:9092',
      parseBrokers,
      'Brokers to start from: `host:port`, several with commas.',
    ),
    isTls: key('KAFKA_TLS', 'false', parseBoolean, 'Talk TLS to the brokers.'),
    tlsCaFile: optionalKey(
      'KAFKA_TLS_CA',
      path,
      'PEM file of the authority that signed the brokers; without it those that come with Node.js count.',
    ),
    tlsCertFile: optionalKey('KAFKA_TLS_CERT', path, 'PEM file of the client certificate (mutual TLS).'),
    tlsKeyFile: optionalKey('KAFKA_TLS_KEY', path, 'PEM file of the client certificate’s key.'),
    saslMechanism: optionalKey(
      'KAFKA_SASL_MECHANISM',
      oneOf('plain', 'scram-sha-256', 'scram-sha-512'),
      '`plain`, `scram-sha-256` or `scram-sha-512`. Unset = no SASL.',
    ),
    saslUsername: optionalKey('KAFKA_SASL_USERNAME', text, 'User of SASL.'),
    saslPassword: secretKey('KAFKA_SASL_PASSWORD', 'Password of SASL.'),
  }),
  topics: group('Topics', 'What `setup` creates, services write and the worker reads.', {
    traces: key(
      'TOPIC',
      'sidereal.traces.v1',
      topicName,
      'Input topic: span batches and NodeTraceLogs, keyed by SID.',
    ),
    deadLetters: key(
      'DEAD_LETTER_TOPIC',
      'sidereal.dead-letters.v1',
      topicName,
      'Records that can never be processed, as they came. Give it the access rules and retention of the input topic.',
    ),
    partitions: key(
      'TOPIC_PARTITIONS',
      '12',
      between(1, 10_000),
      'Partitions of a topic that `setup` creates.',
    ),
  }),
  registry: group('Schema registry', 'Confluent Schema Registry, or one that speaks its API.', {
    url: key('REGISTRY_URL', 'http://127.0.0.1:8081', parseHttpUrl, 'Base URL.'),
    username: optionalKey('REGISTRY_USERNAME', text, 'User of basic authentication.'),
    password: secretKey('REGISTRY_PASSWORD', 'Password of basic authentication.'),
    tlsCaFile: optionalKey(
      'REGISTRY_TLS_CA',
      path,
      'PEM file of the authority that signed the registry, for an `https` URL; without it those that come with Node.js count.',
    ),
  }),
  worker: group('Worker', 'How records become traces, and within which limits.', {
    group: key(
      'GROUP',
      'sidereal',
      text,
      'Consumer group. Another group with other sinks isolates a slow destination.',
    ),
    instanceId: optionalKey(
      'INSTANCE_ID',
      text,
      'Stable name of this process (a StatefulSet’s pod name): a restart takes its predecessor’s place at once. Unset = random. Two live processes must never share one.',
    ),
    maxMemoryBytes: key(
      'MAX_MEMORY',
      '400MB',
      between(64 * 1024 ** 2, 2 ** 46, parseSize),
      'Resident memory that the worker steers to; docs/operations.md says how large it should be.',
    ),
    quietMs: key('QUIET_MS', '10000', duration, 'Silence after which a whole trace is closed.'),
    idleMs: key(
      'IDLE_MS',
      '120000',
      duration,
      'Silence after which a trace that still misses something is closed.',
    ),
    maxAgeMs: key('MAX_AGE_MS', '900000', duration, 'Age at which a trace is closed whatever it misses.'),
    spanLimit: key('SPAN_LIMIT', '10000', positive, 'Spans and nodes at which a trace is closed.'),
    bytesLimit: key('BYTES_LIMIT', '32MB', size, 'Bytes of records at which a trace is closed.'),
    deadLetterMaxConsecutive: key(
      'DEAD_LETTER_MAX_CONSECUTIVE',
      '100',
      between(0, 1_000_000),
      'Records of a partition that may become dead letters one after the other; at the next one the partition stands still. 0 = no limit.',
    ),
    deadLetterMaxRatio: key(
      'DEAD_LETTER_MAX_RATIO',
      '0.2',
      parseRatio,
      'Share of the last 1,000 records of a partition that may become dead letters, from 0.001 to 1; at the next one the partition stands still. 0 = no limit.',
    ),
    sessionTimeoutMs: key(
      'SESSION_TIMEOUT_MS',
      '30000',
      duration,
      'Kafka’s session timeout: how long a silent worker keeps its partitions.',
    ),
    heartbeatMs: key(
      'HEARTBEAT_MS',
      '1000',
      duration,
      'Time between heartbeats; at most a third of the session timeout. When a worker joins, the others pause for about that long.',
    ),
    commitIntervalMs: key(
      'COMMIT_INTERVAL_MS',
      '1000',
      duration,
      'Time between commits of offsets and ledger.',
    ),
    sinks: key(
      'SINKS',
      'clickhouse',
      parseSinks,
      'Destinations, with commas: `clickhouse`, `otlp`. A required sink (no suffix) holds the committed offset and is retried for ever; `otlp:best-effort` has a bounded queue and counts what it gives up.',
    ),
  }),
  clickhouse: group('ClickHouse', 'The tables for SQL.', {
    url: key('CLICKHOUSE_URL', 'http://127.0.0.1:8123', parseHttpUrl, 'HTTP(S) interface.'),
    database: key('CLICKHOUSE_DATABASE', 'sidereal', identifier, 'Database; `setup` creates it.'),
    username: optionalKey('CLICKHOUSE_USERNAME', text, 'User; unset = the server’s default user.'),
    password: secretKey('CLICKHOUSE_PASSWORD', 'Password.'),
    tlsCaFile: optionalKey(
      'CLICKHOUSE_TLS_CA',
      path,
      'PEM file of the authority that signed the server, for an `https` URL; without it those that come with Node.js count.',
    ),
    cluster: optionalKey(
      'CLICKHOUSE_CLUSTER',
      identifier,
      'Cluster for `ON CLUSTER` and replicated tables; it must have one shard. Unset = a single server.',
    ),
    ttlDays: key(
      'TTL_DAYS',
      '30',
      between(1, 36_500),
      'Days that rows are kept, counted from when Kafka took the record.',
    ),
    batchRows: key(
      'BATCH_ROWS',
      '50000',
      between(1, 1_000_000),
      'Rows at which a batch is inserted; it may be full before, by its bytes: 3.5 % of `SIDEREAL_MAX_MEMORY`, 14 MiB at most.',
    ),
    batchMs: key('BATCH_MS', '1000', duration, 'Age at which a batch is inserted.'),
    feeder: key(
      'FEEDER',
      'bytes',
      oneOf('bytes', 'objects'),
      'How records become rows: `bytes` straight from Avro where a record allows it, `objects` by decoding all of them (more CPU, the same rows).',
    ),
    requestTimeoutMs: key('CLICKHOUSE_TIMEOUT_MS', '30000', duration, 'Time that one request may take.'),
  }),
  payloads: group('Payloads', 'Where values go that are too large for a table.', {
    objectStore: optionalKey(
      'OBJECT_STORE',
      parseObjectStoreUrl,
      '`s3://bucket/prefix` or `file:///directory`. Unset = values stay inline. Credentials and region of S3 come from the standard `AWS_*` variables.',
    ),
    s3Endpoint: optionalKey(
      'S3_ENDPOINT',
      parseHttpUrl,
      'Endpoint of an S3 that is not Amazon’s; addressed path-style.',
    ),
    s3TlsCaFile: optionalKey(
      'S3_TLS_CA',
      path,
      'PEM file of the authority that signed the endpoint, when it is an `https` one; without it those that come with Node.js count.',
    ),
    limitBytes: key(
      'PAYLOAD_LIMIT',
      '5KB',
      size,
      'Values over this many bytes of UTF-8 are moved to the object store.',
    ),
  }),
  otlp: group(
    'OTLP',
    'Re-export of spans and node logs over gRPC; used when `SIDEREAL_SINKS` names `otlp`.',
    {
      endpoint: optionalKey(
        'OTLP_ENDPOINT',
        parseHttpUrl,
        'gRPC endpoint, for example `http://127.0.0.1:4317`; `https` = TLS.',
      ),
      headers: optionalSecretHeaders(
        'OTLP_HEADERS',
        'Metadata of each call: `key=value,key=value`, values percent-encoded.',
      ),
      tlsCaFile: optionalKey(
        'OTLP_TLS_CA',
        path,
        'PEM file of the authority that signed the receiver; without it those that come with Node.js count.',
      ),
      compression: key('OTLP_COMPRESSION', 'gzip', oneOf('none', 'gzip'), '`gzip` or `none`.'),
      timeoutMs: key('OTLP_TIMEOUT_MS', '10000', duration, 'Time that one call may take.'),
      queueBytes: key(
        'OTLP_QUEUE',
        '32MB',
        size,
        'Bytes that wait for the receiver, at most, when it is best-effort; never more than 4 % of the first 400 MiB of `SIDEREAL_MAX_MEMORY` and 2 % of what is beyond.',
      ),
    },
  ),
  metrics: group('Metrics and health', '`/metrics`, `/healthz` and `/readyz` of the worker.', {
    host: key('METRICS_HOST', '127.0.0.1', text, 'Address to listen on. `0.0.0.0` opens it to the network.'),
    port: key('METRICS_PORT', '9464', tcpPort, 'Port; 0 = any free one.'),
  }),
  log: group('Log', 'JSON lines on standard output.', {
    level: key(
      'LOG_LEVEL',
      'info',
      oneOf('debug', 'info', 'warn', 'error', 'silent'),
      '`debug`, `info`, `warn`, `error` or `silent`.',
    ),
  }),
})

function optionalSecretHeaders(name: string, description: string) {
  return parsed(parseHeaders)
    .optional()
    .register(keyRegistry, { name, description, isSecret: true, defaultText: undefined })
}
