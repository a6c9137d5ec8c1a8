import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { SiderealError } from '../model/errors.ts'
import { ClickHouseServer } from './clickhouse-server.ts'
import { type Progress, silent } from './downloads.ts'
import { KafkaServer } from './kafka-server.ts'
import { makeTemporaryFolder } from './local-folders.ts'
import type { LocalServer, LocalServerOptions } from './local-server.ts'
import { SchemaRegistryServer } from './schema-registry-server.ts'
import { LOCAL_S3_CREDENTIALS, SeaweedFsServer } from './seaweedfs-server.ts'

/** Servers of the stack, by the name that data folders, `local.json` and options use. */
export type ServerName = 'kafka' | 'clickhouse' | 'seaweedfs' | 'registry'

export const SERVER_NAMES: readonly ServerName[] = ['kafka', 'clickhouse', 'seaweedfs', 'registry']

export interface StackOptions {
  /** Which servers to start; all of them when none is named. */
  servers?: readonly ServerName[]
  /** Kafka brokers; default 1. */
  brokers?: 1 | 3
  /** See `KafkaServerOptions`. */
  kafkaProxyPorts?: readonly number[]
  /** Where data lies. Default: a temporary folder that `close()` removes. */
  dataFolder?: string
  /** Where logs lie. Default: `logs` in the data folder. */
  logFolder?: string
  /** Ports of earlier starts, in the order that the server gave them. */
  ports?: Partial<Record<ServerName, readonly number[]>>
  /** Takes one line a step. */
  onProgress?: Progress
  /** Called when a server ends without being asked to. Default: the report goes to `onProgress`. */
  onCrash?: (error: SiderealError) => void
}

/** The servers that Sidereal needs, running on this machine. */
export interface Stack extends AsyncDisposable {
  /** Configuration that points Sidereal at these servers: `SIDEREAL_*` and `AWS_*`. */
  readonly env: Readonly<Record<string, string>>
  readonly servers: Readonly<Partial<Record<ServerName, LocalServer>>>
  readonly kafka: KafkaServer | undefined
  readonly clickhouse: ClickHouseServer | undefined
  readonly seaweedfs: SeaweedFsServer | undefined
  readonly registry: SchemaRegistryServer | undefined
  /** Lets all of them go on when this process ends; without that they die with it, even by kill -9. */
  release(): Promise<void>
  /** Stops all of them, and removes their data when it was temporary. */
  close(): Promise<void>
}

/** Starts servers side by side and waits until each is ready. When one fails, the others are stopped again. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const names = options.servers ?? SERVER_NAMES
  const onProgress = options.onProgress ?? silent
  const dataFolder = options.dataFolder ?? makeTemporaryFolder('stack')
  const logFolder = options.logFolder ?? join(dataFolder, 'logs')
  mkdirSync(logFolder, { recursive: true })
  const serverOptions = (name: ServerName): LocalServerOptions => {
    const ports = options.ports?.[name]
    return {
      dataFolder: join(dataFolder, name),
      logFolder,
      ...(ports === undefined ? {} : { ports }),
      onProgress,
      onCrash: options.onCrash ?? ((error) => onProgress(error.message)),
    }
  }
  const wants = (name: ServerName) => names.includes(name)
  const kafka = wants('kafka')
    ? new KafkaServer({
        ...serverOptions('kafka'),
        brokers: options.brokers ?? 1,
        proxyPorts: options.kafkaProxyPorts,
      })
    : undefined
  const clickhouse = wants('clickhouse') ? new ClickHouseServer(serverOptions('clickhouse')) : undefined
  const seaweedfs = wants('seaweedfs') ? new SeaweedFsServer(serverOptions('seaweedfs')) : undefined
  const registry = wants('registry') ? new SchemaRegistryServer(serverOptions('registry')) : undefined
  const servers = {
    ...(kafka === undefined ? {} : { kafka }),
    ...(clickhouse === undefined ? {} : { clickhouse }),
    ...(seaweedfs === undefined ? {} : { seaweedfs }),
    ...(registry === undefined ? {} : { registry }),
  }
  const close = async () => {
    await Promise.all(Object.values(servers).map((server) => server.close()))
    if (options.dataFolder === undefined) rmSync(dataFolder, { recursive: true, force: true, maxRetries: 3 })
  }
  const started = await Promise.allSettled(
    Object.values(servers).map((server) => bringUp(server, onProgress)),
  )
  const failure = started.find((outcome) => outcome.status === 'rejected')
  if (failure !== undefined) {
    await close()
    throw failure.reason
  }
  return {
    env: environmentOf({ kafka, clickhouse, seaweedfs, registry }),
    servers,
    kafka,
    clickhouse,
    seaweedfs,
    registry,
    release: async () => {
      await Promise.all(Object.values(servers).map((server) => server.release()))
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

async function bringUp(server: LocalServer, onProgress: Progress): Promise<void> {
  const startedAt = performance.now()
  onProgress(`${server.name}: starting`)
  await server.start()
  await server.ready()
  onProgress(
    `${server.name}: ready at ${server.address} (${((performance.now() - startedAt) / 1000).toFixed(1)} s)`,
  )
}

function environmentOf(servers: Pick<Stack, ServerName>): Record<string, string> {
  const env: Record<string, string> = {}
  if (servers.kafka !== undefined) env['SIDEREAL_KAFKA_BROKERS'] = servers.kafka.address
  if (servers.registry !== undefined) env['SIDEREAL_REGISTRY_URL'] = servers.registry.address
  if (servers.clickhouse !== undefined) env['SIDEREAL_CLICKHOUSE_URL'] = servers.clickhouse.address
  if (servers.seaweedfs !== undefined) {
    env['SIDEREAL_OBJECT_STORE'] = 's3://sidereal'
    env['SIDEREAL_S3_ENDPOINT'] = servers.seaweedfs.address
    env['AWS_ACCESS_KEY_ID'] = LOCAL_S3_CREDENTIALS.accessKeyId
    env['AWS_SECRET_ACCESS_KEY'] = LOCAL_S3_CREDENTIALS.secretAccessKey
    env['AWS_REGION'] = 'us-east-1'
  }
  return env
}
