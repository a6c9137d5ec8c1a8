import {
  type ContainerRuntimeClient,
  GenericContainer,
  getContainerRuntimeClient,
  getReaper,
  ImageName,
  Network,
  type StartedNetwork,
  type StartedTestContainer,
  Wait,
} from 'testcontainers'
import { freePorts } from '../../src/local/free-ports.ts'
import type { ServerName } from '../../src/local/stack.ts'
import type { RunningServers } from './servers.ts'

// The same versions as in docker-compose.yml.
const IMAGES = {
  kafka: 'apache/kafka:4.1.0',
  registry: 'confluentinc/cp-schema-registry:8.1.1',
  clickhouse: 'clickhouse/clickhouse-server:26.7',
  seaweedfs: 'chrislusf/seaweedfs:4.48',
} as const

const START_TIMEOUT_MS = 180_000
const PULL_TIMEOUT_MS = 600_000
const S3_KEYS = {
  AWS_ACCESS_KEY_ID: 'sidereal',
  AWS_SECRET_ACCESS_KEY: 'sidereal-local',
  AWS_REGION: 'us-east-1',
}

/** What a machine offers for containers. */
export type ContainerSupport =
  | { readonly state: 'ready' }
  /** No engine answers. */
  | { readonly state: 'no-engine' }
  /** An engine answers, and lacks an image that it cannot get: it is offline, say. */
  | { readonly state: 'no-images'; readonly reason: string }

/** Looks for an engine, and has it get the images of these servers. */
export async function prepareContainers(
  names: readonly ServerName[],
  onProgress: (line: string) => void,
): Promise<ContainerSupport> {
  let client: ContainerRuntimeClient
  try {
    client = await getContainerRuntimeClient()
  } catch {
    // It throws when it finds no engine by any of its ways, which is the answer.
    return { state: 'no-engine' }
  }
  try {
    for (const name of names) await getImage(client, IMAGES[name], onProgress)
  } catch (error) {
    return { state: 'no-images', reason: textOf(error) }
  }
  try {
    await getReaper(client)
  } catch (error) {
    const reason = `the container that removes the others at the end cannot start: ${textOf(error)}`
    return { state: 'no-images', reason }
  }
  return { state: 'ready' }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message.trim() : String(error)
}

async function getImage(
  client: ContainerRuntimeClient,
  image: string,
  onProgress: (line: string) => void,
): Promise<void> {
  const name = ImageName.fromString(image)
  if (await client.image.exists(name)) return
  onProgress(`pulling ${image}`)
  try {
    await within(client.image.pull(name), PULL_TIMEOUT_MS)
  } catch (cause) {
    throw new Error(`${image} cannot be pulled: ${textOf(cause)}`, { cause })
  }
  // A pull that breaks off after its first byte resolves all the same.
  if (!(await client.image.exists(name))) throw new Error(`${image} cannot be pulled: the pull broke off`)
}

async function within<Value>(work: Promise<Value>, limitMs: number): Promise<Value> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(
    () => late.reject(new Error(`nothing within ${limitMs / 60_000} minutes`)),
    limitMs,
  )
  try {
    return await Promise.race([work, late.promise])
  } finally {
    clearTimeout(timer)
  }
}

/** Starts the servers as containers of the official images; `prepareContainers` goes before. */
export async function startContainers(
  names: readonly ServerName[],
  onProgress: (line: string) => void,
): Promise<RunningServers> {
  const network = await new Network().start()
  const running: StartedTestContainer[] = []
  const env: Record<string, string> = {}
  const keep = (container: StartedTestContainer) => {
    running.push(container)
    return container
  }
  const close = async () => {
    await Promise.all(running.map((container) => container.stop()))
    await network.stop()
  }
  const starts: Promise<void>[] = []
  if (names.includes('kafka') || names.includes('registry')) {
    onProgress(`Kafka: starting ${IMAGES.kafka}`)
    starts.push(startKafkaAndRegistry(network, names.includes('registry'), keep, env))
  }
  if (names.includes('clickhouse')) {
    onProgress(`ClickHouse: starting ${IMAGES.clickhouse}`)
    starts.push(startClickHouse(keep, env))
  }
  if (names.includes('seaweedfs')) {
    onProgress(`SeaweedFS: starting ${IMAGES.seaweedfs}`)
    starts.push(startSeaweedFs(keep, env))
  }
  const failure = (await Promise.allSettled(starts)).find((outcome) => outcome.status === 'rejected')
  if (failure !== undefined) {
    await close()
    throw failure.reason
  }
  return { env, close }
}

type Keep = (container: StartedTestContainer) => StartedTestContainer

async function startKafkaAndRegistry(
  network: StartedNetwork,
  hasRegistry: boolean,
  keep: Keep,
  env: Record<string, string>,
): Promise<void> {
  // A broker tells clients its address, so the port on the host is chosen before it starts.
  const [port] = await freePorts(1)
  if (port === undefined) throw new Error('no free port')
  const { host } = (await getContainerRuntimeClient()).info.containerRuntime
  const kafka = new GenericContainer(IMAGES.kafka)
    .withNetwork(network)
    .withNetworkAliases('kafka')
    .withExposedPorts({ container: 9092, host: port })
    .withEnvironment({
      KAFKA_NODE_ID: '1',
      KAFKA_PROCESS_ROLES: 'broker,controller',
      KAFKA_CONTROLLER_QUORUM_VOTERS: '1@localhost:9093',
      KAFKA_LISTENERS: 'HOST://:9092,CONTROLLER://:9093,NETWORK://:19092',
      KAFKA_ADVERTISED_LISTENERS: `HOST://${host}:${port},NETWORK://kafka:19092`,
      KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: 'HOST:PLAINTEXT,CONTROLLER:PLAINTEXT,NETWORK:PLAINTEXT',
      KAFKA_INTER_BROKER_LISTENER_NAME: 'NETWORK',
      KAFKA_CONTROLLER_LISTENER_NAMES: 'CONTROLLER',
      KAFKA_AUTO_CREATE_TOPICS_ENABLE: 'false',
      KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: '1',
      KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS: '4',
      KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR: '1',
      KAFKA_TRANSACTION_STATE_LOG_MIN_ISR: '1',
      KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: '0',
      KAFKA_HEAP_OPTS: '-Xms256m -Xmx512m',
    })
    .withWaitStrategy(Wait.forLogMessage(/Kafka Server started/))
    .withStartupTimeout(START_TIMEOUT_MS)
  keep(await kafka.start())
  env['SIDEREAL_KAFKA_BROKERS'] = `${host}:${port}`
  if (!hasRegistry) return
  const registry = new GenericContainer(IMAGES.registry)
    .withNetwork(network)
    .withExposedPorts(8081)
    .withEnvironment({
      SCHEMA_REGISTRY_HOST_NAME: 'registry',
      SCHEMA_REGISTRY_LISTENERS: 'http://0.0.0.0:8081',
      SCHEMA_REGISTRY_KAFKASTORE_BOOTSTRAP_SERVERS: 'kafka:19092',
      SCHEMA_REGISTRY_KAFKASTORE_TOPIC_REPLICATION_FACTOR: '1',
    })
    .withWaitStrategy(Wait.forHttp('/subjects', 8081))
    .withStartupTimeout(START_TIMEOUT_MS)
  const started = keep(await registry.start())
  env['SIDEREAL_REGISTRY_URL'] = `http://${started.getHost()}:${started.getMappedPort(8081)}`
}

async function startClickHouse(keep: Keep, env: Record<string, string>): Promise<void> {
  const container = new GenericContainer(IMAGES.clickhouse)
    .withExposedPorts(8123)
    .withEnvironment({
      CLICKHOUSE_USER: 'sidereal',
      CLICKHOUSE_PASSWORD: 'sidereal-local',
      CLICKHOUSE_DEFAULT_ACCESS_MANAGEMENT: '1',
    })
    .withWaitStrategy(Wait.forHttp('/ping', 8123))
    .withStartupTimeout(START_TIMEOUT_MS)
  const started = keep(await container.start())
  env['SIDEREAL_CLICKHOUSE_URL'] = `http://${started.getHost()}:${started.getMappedPort(8123)}`
  env['SIDEREAL_CLICKHOUSE_USERNAME'] = 'sidereal'
  env['SIDEREAL_CLICKHOUSE_PASSWORD'] = 'sidereal-local'
}

async function startSeaweedFs(keep: Keep, env: Record<string, string>): Promise<void> {
  const identities = {
    identities: [
      {
        name: 'sidereal',
        credentials: [{ accessKey: S3_KEYS.AWS_ACCESS_KEY_ID, secretKey: S3_KEYS.AWS_SECRET_ACCESS_KEY }],
        actions: ['Admin', 'Read', 'List', 'Tagging', 'Write'],
      },
    ],
  }
  const container = new GenericContainer(IMAGES.seaweedfs)
    .withExposedPorts(8333, 9333)
    .withCopyContentToContainer([{ content: JSON.stringify(identities), target: '/etc/seaweedfs/s3.json' }])
    .withCommand([
      'server',
      '-dir=/data',
      '-ip.bind=0.0.0.0',
      '-master.telemetry=false',
      // The image's own defaults would set 7 GB aside at once.
      '-master.volumePreallocate=false',
      '-master.volumeSizeLimitMB=256',
      '-master.electionTimeout=1s',
      '-master.heartbeatInterval=100ms',
      '-s3',
      '-s3.config=/etc/seaweedfs/s3.json',
    ])
    .withWaitStrategy(
      Wait.forAll([
        Wait.forHttp('/dir/assign', 9333).forResponsePredicate((body) => body.includes('"fid"')),
        Wait.forHttp('/healthz', 8333),
      ]),
    )
    .withStartupTimeout(START_TIMEOUT_MS)
  const started = keep(await container.start())
  env['SIDEREAL_OBJECT_STORE'] = 's3://sidereal'
  env['SIDEREAL_S3_ENDPOINT'] = `http://${started.getHost()}:${started.getMappedPort(8333)}`
  Object.assign(env, S3_KEYS)
}
