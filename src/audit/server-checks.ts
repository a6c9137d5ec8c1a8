import { connect } from 'node:net'
import { BUNDLED_SCHEMA_NAMES, bundledSchema } from '../codec/bundled-schemas.ts'
import type { RegistryAddress } from '../codec/registry-http.ts'
import { SchemaRegistry, subjectFor } from '../codec/schema-registry.ts'
import { createKafka, type KafkaConnection } from '../kafka/client.ts'
import { kafkaError, UNAVAILABLE_ADVICE } from '../kafka/kafka-error.ts'
import { SiderealError } from '../model/errors.ts'
import { type ClickHouse, type ClickHouseOptions, openClickHouse } from '../storage/clickhouse/client.ts'
import { checkMigrations, migrate } from '../storage/clickhouse/migrate.ts'
import { type ObjectStore, openObjectStore } from '../storage/object-store.ts'
import { silentLogger } from '../telemetry/logger.ts'
import type { Finding, SetupMode } from './finding.ts'
import { setupSchemas } from './setup-schemas.ts'
import { setupTopics, topicRules } from './setup-topics.ts'

/** One server that Sidereal works with, and what it needs there. */
export interface ServerCheck {
  /** Which, and where. */
  readonly subject: string
  /** What to try when it does not answer. */
  readonly advice: string
  readonly run: (mode: SetupMode) => Promise<readonly Finding[]>
}

export interface ServerCheckOptions {
  readonly kafka: KafkaConnection
  readonly topics: { readonly traces: string; readonly deadLetters: string; readonly partitions: number }
  readonly registry: RegistryAddress
  readonly clickHouse: Omit<ClickHouseOptions, 'requestTimeoutMs'>
  readonly cluster: string | undefined
  readonly ttlDays: number
  /** `undefined`: values stay inline. */
  readonly objectStore:
    | { readonly url: string; readonly endpoint: string | undefined; readonly caPath: string | undefined }
    | undefined
  /** For one answer of a server. */
  readonly timeoutMs: number
}

/** The checks of `setup` (which mends) and of `doctor` (which does not), in the order in which a pipeline meets the servers. */
export function serverChecks(options: ServerCheckOptions): ServerCheck[] {
  const { kafka, registry, clickHouse, objectStore } = options
  return [
    {
      subject: `Kafka at ${kafka.brokers.join(',')}`,
      advice: `C${UNAVAILABLE_ADVICE.slice(1)}.`,
      run: (mode) => checkKafka(options, mode),
    },
    {
      subject: `schema registry at ${registry.url}`,
      advice: 'Check SIDEREAL_REGISTRY_URL (http or https?), and that the registry runs.',
      run: (mode) => checkRegistry(options, mode),
    },
    {
      subject: `ClickHouse at ${clickHouse.url}`,
      advice: 'Check SIDEREAL_CLICKHOUSE_URL (http or https?), and that the server runs.',
      run: (mode) => checkClickHouse(options, mode),
    },
    {
      subject: `object store ${objectStore?.url ?? ''}`.trim(),
      advice: 'Check SIDEREAL_OBJECT_STORE, SIDEREAL_S3_ENDPOINT and the AWS_* variables.',
      run: (mode) => checkObjectStore(options, mode),
    },
  ]
}

async function checkKafka(
  { kafka: connection, topics, timeoutMs }: ServerCheckOptions,
  mode: SetupMode,
): Promise<Finding[]> {
  const kafka = createKafka(connection, {
    clientId: 'sidereal-setup',
    logger: silentLogger,
    connectionTimeoutMs: timeoutMs / 2,
    requestTimeoutMs: timeoutMs,
    retry: { retries: 2 },
  })
  const admin = kafka.admin()
  try {
    await admin.connect()
    return await setupTopics(admin, topicRules(topics), mode)
  } catch (error) {
    if (error instanceof SiderealError) throw error
    throw kafkaError(error, { topic: topics.traces, brokers: connection.brokers.join(',') })
  } finally {
    await admin.disconnect()
  }
}

async function checkRegistry(
  { registry, topics, timeoutMs }: ServerCheckOptions,
  mode: SetupMode,
): Promise<Finding[]> {
  // It only registers here, so the limit for payloads does not matter.
  const client = new SchemaRegistry({ ...registry, timeoutMs, payloadLimitBytes: Number.MAX_SAFE_INTEGER })
  const schemas = BUNDLED_SCHEMA_NAMES.map((name) => ({
    subject: subjectFor(topics.traces, name),
    json: bundledSchema(name).json,
  }))
  return await setupSchemas(
    { registry, schemas, timeoutMs, register: (subject, json) => client.register(subject, json) },
    mode,
  )
}

/** The oldest ClickHouse whose behaviour the tables were made for. */
const OLDEST_CLICKHOUSE = 25

async function checkClickHouse(options: ServerCheckOptions, mode: SetupMode): Promise<Finding[]> {
  // The database may not exist yet: what asks about it names it.
  const client = openClickHouse({
    ...options.clickHouse,
    database: 'default',
    requestTimeoutMs: options.timeoutMs,
  })
  try {
    await client.ping()
    return [await checkVersion(client), await checkTables(client, options, mode)]
  } finally {
    await client.close()
  }
}

async function checkVersion(client: ClickHouse): Promise<Finding> {
  const [row] = await client.query<{ version: string }>('SELECT version() AS version')
  const version = row?.version ?? ''
  const subject = `ClickHouse at ${client.url}`
  if (Number.parseInt(version, 10) >= OLDEST_CLICKHOUSE)
    return { state: 'ok', subject, detail: `version ${version}` }
  return {
    state: 'warning',
    subject,
    detail: `version ${version} is older than ${OLDEST_CLICKHOUSE}, with which nothing was tried. Take a newer one.`,
  }
}

async function checkTables(
  client: ClickHouse,
  options: ServerCheckOptions,
  mode: SetupMode,
): Promise<Finding> {
  const { cluster, ttlDays } = options
  const { database } = options.clickHouse
  const subject = `database ${database}`
  if (mode === 'apply') {
    const done = await migrate(client, { database, cluster, ttlDays })
    if (done.length > 0) return { state: 'changed', subject, detail: done.join(', ') }
  }
  const { applied, missing, otherTtl } = await checkMigrations(client, { database, ttlDays })
  if (missing.length > 0) {
    return {
      state: 'fault',
      subject,
      detail: `these migrations have not run: ${missing.join(', ')}. Run "sidereal setup".`,
    }
  }
  if (otherTtl.length > 0) {
    return {
      state: 'fault',
      subject,
      detail: `rows of ${otherTtl.join(', ')} are not kept for ${ttlDays} days. Run "sidereal setup".`,
    }
  }
  return { state: 'ok', subject, detail: `${applied.length} migrations, rows kept for ${ttlDays} days` }
}

async function checkObjectStore(
  { objectStore, ttlDays, timeoutMs }: ServerCheckOptions,
  mode: SetupMode,
): Promise<Finding[]> {
  if (objectStore === undefined) {
    return [
      {
        state: 'warning',
        subject: 'object store',
        detail:
          'none is configured: large values stay in the tables. Set SIDEREAL_OBJECT_STORE to move them out.',
      },
    ]
  }
  const { url, ...access } = objectStore
  const store = openObjectStore(url, { ...access, requestTimeoutMs: timeoutMs, maxAttempts: 2 })
  try {
    if (mode === 'apply') await store.ensureBucket()
    await store.probe()
    return [
      { state: 'ok', subject: `object store ${store.url}`, detail: 'can be written and read' },
      await checkLifecycle(store, ttlDays),
    ]
  } finally {
    await store.close()
  }
}

async function checkLifecycle(store: ObjectStore, ttlDays: number): Promise<Finding> {
  const subject = `lifecycle of ${store.url}`
  const days = await store.lifecycleDays('payloads/')
  if (days === undefined) {
    return {
      state: 'ok',
      subject,
      detail: `cannot be read from here; see that payloads are kept for ${ttlDays} days or longer`,
    }
  }
  if (days >= ttlDays)
    return {
      state: 'ok',
      subject,
      detail:
        days === Number.POSITIVE_INFINITY
          ? 'payloads are kept for ever'
          : `payloads are kept for ${days} days`,
    }
  return {
    state: 'fault',
    subject,
    detail: `payloads are deleted after ${days} days, but rows are kept for ${ttlDays}. Lengthen the rule of the bucket, or shorten SIDEREAL_TTL_DAYS.`,
  }
}

/** Whether something listens where spans are re-exported to. */
export function otlpCheck(endpoint: string, timeoutMs: number): ServerCheck {
  const subject = `OTLP receiver at ${endpoint}`
  const advice = 'Check SIDEREAL_OTLP_ENDPOINT, and that the receiver runs.'
  const { hostname, port, protocol } = new URL(endpoint)
  const run = async (): Promise<Finding[]> => {
    const fault = await new Promise<string | undefined>((resolve) => {
      const socket = connect({
        host: hostname.replace(/^\[|\]$/g, ''),
        port: Number(port || (protocol === 'https:' ? 443 : 80)),
        timeout: timeoutMs,
      })
      const end = (result: string | undefined) => {
        socket.destroy()
        resolve(result)
      }
      socket.once('connect', () => end(undefined))
      socket.once('timeout', () => end('no answer'))
      socket.once('error', (error) => end(error.message))
    })
    return [
      fault === undefined
        ? { state: 'ok', subject, detail: 'listens' }
        : { state: 'fault', subject, detail: `${fault}. ${advice}` },
    ]
  }
  return { subject, advice, run }
}
