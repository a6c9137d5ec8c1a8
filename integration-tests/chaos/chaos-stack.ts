import { once } from 'node:events'
import { spawnCli } from '../../src/local/demo/cli-process.ts'
import { freePorts } from '../../src/local/free-ports.ts'
import { OtlpReceiver } from '../../src/local/otlp-receiver.ts'
import { type Stack, startStack } from '../../src/local/stack.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

const BROKERS = 3
/** Kafka's session timeout as Sidereal has it by default, and by default here. */
export const SESSION_MS = 30_000
const PORTS_OF_KAFKA = 3 * BROKERS

/** Doors between the workers and their servers. */
export interface Doors {
  /** One a broker, in their order. */
  readonly kafka: readonly TcpProxy[]
  readonly clickhouse: TcpProxy
  readonly s3: TcpProxy
  readonly registry: TcpProxy
  readonly otlp: TcpProxy
}

/** Real servers: three brokers, ClickHouse, S3, registry, an OTLP receiver; the workers reach each through a door. */
export interface ChaosStack extends AsyncDisposable {
  readonly stack: Required<Stack>
  readonly doors: Doors
  readonly otlp: OtlpReceiver
  /** For load, verify and all that looks on: past the doors. */
  readonly env: Readonly<Record<string, string>>
  readonly workerEnv: Readonly<Record<string, string>>
}

export async function openChaosStack(
  changes: Readonly<Record<string, string>>,
  say: (line: string) => void,
): Promise<ChaosStack> {
  // The ports behind the doors are the last of each server's own.
  const ports = await freePorts(PORTS_OF_KAFKA + BROKERS)
  const kafkaPorts = ports.slice(0, PORTS_OF_KAFKA)
  const kafka = kafkaPorts
    .slice(-BROKERS)
    .map((port, broker) => new TcpProxy(`http://127.0.0.1:${port}`, ports[PORTS_OF_KAFKA + broker]))
  const brokers = (await Promise.all(kafka.map((door) => door.start()))).map((url) => new URL(url).host)
  const stack = (await startStack({
    brokers: BROKERS,
    kafkaProxyPorts: ports.slice(PORTS_OF_KAFKA),
    ports: { kafka: kafkaPorts },
    onProgress: say,
  })) as Required<Stack>
  const otlp = new OtlpReceiver({ keepsSpans: false })
  await otlp.start()
  const { clickhouse, seaweedfs, registry } = stack
  if (clickhouse === undefined || seaweedfs === undefined || registry === undefined)
    throw new Error('the stack lacks a server')
  const doors: Doors = {
    kafka,
    clickhouse: new TcpProxy(clickhouse.address),
    s3: new TcpProxy(seaweedfs.address),
    registry: new TcpProxy(registry.address),
    otlp: new TcpProxy(otlp.url),
  }
  const single = [doors.clickhouse, doors.s3, doors.registry, doors.otlp]
  await Promise.all(single.map((door) => door.start()))
  const env = {
    ...stack.env,
    SIDEREAL_TOPIC: 'chaos.traces',
    SIDEREAL_DEAD_LETTER_TOPIC: 'chaos.dead-letters',
    SIDEREAL_GROUP: 'chaos',
    SIDEREAL_TOPIC_PARTITIONS: '12',
    SIDEREAL_CLICKHOUSE_DATABASE: 'chaos',
    SIDEREAL_OBJECT_STORE: 's3://sidereal/chaos',
    SIDEREAL_QUIET_MS: '1000',
    SIDEREAL_IDLE_MS: '5000',
    SIDEREAL_SESSION_TIMEOUT_MS: String(SESSION_MS),
    ...changes,
  }
  const workerEnv = {
    ...env,
    SIDEREAL_KAFKA_BROKERS: brokers.join(','),
    SIDEREAL_CLICKHOUSE_URL: doors.clickhouse.url,
    SIDEREAL_S3_ENDPOINT: doors.s3.url,
    SIDEREAL_REGISTRY_URL: doors.registry.url,
    SIDEREAL_SINKS: 'clickhouse,otlp:best-effort',
    SIDEREAL_OTLP_ENDPOINT: doors.otlp.url,
  }
  const close = async () => {
    await otlp.close()
    await Promise.all([...kafka, ...single].map((door) => door.close()))
    await stack.close()
  }
  // Standard output belongs to the report.
  const [code] = await once(spawnCli(['setup'], env, process.stderr.fd), 'exit')
  if (code !== 0) {
    await close()
    throw new Error(`sidereal setup ended with code ${code}`)
  }
  return { stack, doors, otlp, env, workerEnv, [Symbol.asyncDispose]: close }
}
