import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Kafka, logLevel } from 'kafkajs'
import { patchTimerSpin } from '../kafka/kafkajs-patch.ts'
import { kafkaLibraries, silent } from './downloads.ts'
import { choosePorts } from './free-ports.ts'
import {
  type KafkaListener,
  type KafkaUser,
  listenerProperties,
  protocolMap,
  scramArguments,
} from './kafka-listeners.ts'
import type { LocalServer, LocalServerOptions } from './local-server.ts'
import type { ProcessIdentity } from './process-identity.ts'
import { ServerProcess } from './server-process.ts'
import { requireJava, runTool } from './tools.ts'

const READY_TIMEOUT_MS = 120_000
const OWN_PORTS = 2
// Any 16 bytes in URL-safe base64: brokers of one cluster agree on it, and nobody else reads it.
const CLUSTER_ID = 'c2lkZXJlYWwtbG9jYWwtMQ'
const JVM_OPTIONS = ['-Xms256m', '-Xmx512m', '-XX:+UseSerialGC', '-Djava.awt.headless=true']

export interface KafkaServerOptions extends LocalServerOptions {
  /** 1, or 3 for tests that lose one. Default 1. */
  brokers?: 1 | 3
  /** Beside the plain one, which the brokers use among themselves. They have ports of their own, after the server's others. */
  listeners?: readonly KafkaListener[]
  /** Who may come in by a listener with SASL. */
  users?: readonly KafkaUser[]
  /** Whether ACLs count. Who comes by the plain listener may do all, and so may everybody where a resource has none. */
  hasAuthorizer?: boolean
  /**
   * One port a broker, on which a proxy of a test listens: each broker gets a second listener, whose clients are told these ports in
   * place of its own. Clients of `address` go past the proxies, and so do the brokers among themselves.
   */
  proxyPorts?: readonly number[] | undefined
}

/** Apache Kafka in KRaft mode; each broker is a controller too and has a process of its own. */
export class KafkaServer implements LocalServer {
  readonly name = 'Kafka'
  readonly #options: KafkaServerOptions
  readonly #brokerCount: number
  #ports: readonly number[] = []
  #brokers: ServerProcess[] = []

  constructor(options: KafkaServerOptions) {
    this.#options = options
    this.#brokerCount = options.brokers ?? 1
  }

  /** `host:port`, comma-separated. */
  get address(): string {
    return this.#nodes()
      .map((node) => `127.0.0.1:${this.#brokerPort(node)}`)
      .join(',')
  }

  /** `host:port`, comma-separated, of a listener of `listeners`; `host` as the brokers tell their clients. */
  listenerAddress(name: string): string {
    return this.#nodes()
      .map((node) => `127.0.0.1:${this.#listenerPort(node, name)}`)
      .join(',')
  }

  get ports(): readonly number[] {
    return this.#ports
  }

  /** Where the proxies lead to, in the order of `proxyPorts`. */
  get proxiedPorts(): readonly number[] {
    return this.#options.proxyPorts === undefined ? [] : this.#ports.slice(-this.#brokerCount)
  }

  get processes(): readonly ProcessIdentity[] {
    return this.#brokers.flatMap((broker) => broker.identity ?? [])
  }

  /** One process a broker, in the order of `address`; for tests that end one (`kill`) and bring it back (`start`). */
  get brokers(): readonly ServerProcess[] {
    return this.#brokers
  }

  async start(): Promise<void> {
    await requireJava()
    const libraries = await kafkaLibraries(this.#options.onProgress ?? silent)
    const proxied = this.#options.proxyPorts === undefined ? 0 : 1
    const count = this.#brokerCount * (this.#portsPerBroker + proxied)
    this.#ports = await choosePorts(count, this.#options.ports)
    this.#brokers = await Promise.all(
      this.#nodes().map((node) => this.#startBroker(node, join(libraries, '*'))),
    )
  }

  async ready(): Promise<void> {
    await Promise.all(
      this.#brokers.map((broker) => broker.waitUntil(() => this.#isComplete(), READY_TIMEOUT_MS)),
    )
  }

  async release(): Promise<void> {
    await Promise.all(this.#brokers.map((broker) => broker.release()))
  }

  async close(): Promise<void> {
    await Promise.all(this.#brokers.map((broker) => broker.close()))
  }

  async #startBroker(node: number, classPath: string): Promise<ServerProcess> {
    // Apart, since a quorum of one does not become a quorum of three by another configuration.
    const quorum = this.#brokerCount === 1 ? 'single' : `of-${this.#brokerCount}`
    const folder = join(this.#options.dataFolder, quorum, `broker-${node}`)
    mkdirSync(folder, { recursive: true })
    const properties = join(folder, 'server.properties')
    const logging = join(folder, 'log4j2.properties')
    writeFileSync(properties, this.#properties(node, join(folder, 'data')))
    writeFileSync(logging, LOGGING)
    const java = [...JVM_OPTIONS, `-Dlog4j2.configurationFile=${logging}`, '-cp', classPath]
    if (!existsSync(join(folder, 'data', 'meta.properties'))) {
      await runTool('java', [
        ...java,
        'kafka.tools.StorageTool',
        'format',
        '-t',
        CLUSTER_ID,
        '-c',
        properties,
        ...scramArguments(this.#options.users ?? []),
      ])
    }
    const broker = new ServerProcess({
      name: this.#brokerCount === 1 ? 'Kafka' : `Kafka broker ${node}`,
      command: 'java',
      args: [...java, 'kafka.Kafka', properties],
      logFile: join(this.#options.logFolder, this.#brokerCount === 1 ? 'kafka.log' : `kafka-${node}.log`),
      onCrash: this.#options.onCrash,
    })
    await broker.start()
    return broker
  }

  async #isComplete(): Promise<boolean> {
    // Or kafkajs warns on stderr of a negative timeout.
    patchTimerSpin()
    const kafka = new Kafka({
      brokers: this.address.split(','),
      clientId: 'sidereal-local',
      logLevel: logLevel.NOTHING,
      connectionTimeout: 1_000,
      retry: { retries: 0 },
    })
    const admin = kafka.admin()
    try {
      await admin.connect()
      return (await admin.describeCluster()).brokers.length === this.#brokerCount
    } catch {
      return false
    } finally {
      await admin.disconnect()
    }
  }

  #nodes(): number[] {
    return Array.from({ length: this.#brokerCount }, (_, index) => index + 1)
  }

  get #portsPerBroker(): number {
    return OWN_PORTS + (this.#options.listeners?.length ?? 0)
  }

  #listenerPort(node: number, name: string): number | undefined {
    const place = this.#options.listeners?.findIndex((listener) => listener.name === name) ?? -1
    return place < 0 ? undefined : this.#ports[(node - 1) * this.#portsPerBroker + OWN_PORTS + place]
  }

  #brokerPort(node: number): number | undefined {
    return this.#ports[(node - 1) * this.#portsPerBroker]
  }

  #controllerPort(node: number): number | undefined {
    return this.#ports[(node - 1) * this.#portsPerBroker + 1]
  }

  #properties(node: number, dataFolder: string): string {
    const replicas = this.#brokerCount
    const inSync = Math.ceil((replicas + 1) / 2)
    const broker = `127.0.0.1:${this.#brokerPort(node)}`
    const proxyPort = this.#options.proxyPorts?.[node - 1]
    const proxied = (port: number | undefined) =>
      proxyPort === undefined ? '' : `,PROXIED://127.0.0.1:${port}`
    const voters = this.#nodes().map((id) => `${id}@127.0.0.1:${this.#controllerPort(id)}`)
    const { listeners = [], users = [], hasAuthorizer = false } = this.#options
    const doors = listeners.map(
      ({ name }) => `${name.toUpperCase()}://127.0.0.1:${this.#listenerPort(node, name)}`,
    )
    const lines = [
      'process.roles=broker,controller',
      `node.id=${node}`,
      `controller.quorum.voters=${voters.join(',')}`,
      `listeners=${[`PLAINTEXT://${broker}`, `CONTROLLER://127.0.0.1:${this.#controllerPort(node)}`, ...doors].join(',')}${proxied(this.proxiedPorts[node - 1])}`,
      `advertised.listeners=${[`PLAINTEXT://${broker}`, ...doors].join(',')}${proxied(proxyPort)}`,
      `${protocolMap(listeners)},PROXIED:PLAINTEXT`,
      ...listenerProperties(listeners, users),
      ...(hasAuthorizer ? AUTHORIZER : []),
      'inter.broker.listener.name=PLAINTEXT',
      'controller.listener.names=CONTROLLER',
      `log.dirs=${dataFolder}`,
      'auto.create.topics.enable=false',
      `default.replication.factor=${replicas}`,
      `min.insync.replicas=${inSync}`,
      // Small, since each partition costs files and time at start; many only help many groups.
      'offsets.topic.num.partitions=4',
      `offsets.topic.replication.factor=${replicas}`,
      'transaction.state.log.num.partitions=2',
      `transaction.state.log.replication.factor=${replicas}`,
      `transaction.state.log.min.isr=${inSync}`,
      'share.coordinator.state.topic.num.partitions=1',
      `share.coordinator.state.topic.replication.factor=${replicas}`,
      'share.coordinator.state.topic.min.isr=1',
      // A group of one member need not wait 3 s for others.
      'group.initial.rebalance.delay.ms=0',
      'num.network.threads=2',
      'num.io.threads=4',
      'log.cleaner.dedupe.buffer.size=16777216',
    ]
    return `${lines.join('\n')}\n`
  }
}

const AUTHORIZER = [
  'authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer',
  'super.users=User:ANONYMOUS',
  'allow.everyone.if.no.acl.found=true',
]

const LOGGING = `status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
`
