import { once } from 'node:events'
import { readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { waitUntilCommitted } from '../src/audit/committed.ts'
import { createKafka } from '../src/kafka/client.ts'
import { spawnCli } from '../src/local/demo/cli-process.ts'
import { makeTemporaryFolder } from '../src/local/local-folders.ts'
import { type Stack, startStack } from '../src/local/stack.ts'
import { silentLogger } from '../src/telemetry/logger.ts'
import type { RowCounts } from './data-sets.ts'

const PARTITIONS = 6

/** Names of one measurement on a topic: a group that has read nothing, and empty tables. */
export interface Run {
  /** For a worker: servers, topic, group, database. */
  readonly env: Readonly<Record<string, string>>
  readonly topic: string
  readonly group: string
  readonly database: string
}

/** The servers that a bench measures against, and what it asks of them. */
export class BenchGround implements AsyncDisposable {
  readonly #stack: Stack
  readonly #dataFolder: string
  readonly #say: (line: string) => void
  readonly #id = Date.now().toString(36)
  #runs = 0

  private constructor(stack: Stack, dataFolder: string, say: (line: string) => void) {
    this.#stack = stack
    this.#dataFolder = dataFolder
    this.#say = say
  }

  static async open(say: (line: string) => void): Promise<BenchGround> {
    const dataFolder = makeTemporaryFolder('bench')
    try {
      return new BenchGround(await startStack({ dataFolder, onProgress: say }), dataFolder, say)
    } catch (error) {
      rmSync(dataFolder, { recursive: true, force: true })
      throw error
    }
  }

  get brokers(): readonly string[] {
    return (this.#stack.env['SIDEREAL_KAFKA_BROKERS'] ?? '').split(',')
  }

  get registryUrl(): string {
    return this.#stack.env['SIDEREAL_REGISTRY_URL'] ?? ''
  }

  /** Port of ClickHouse's native protocol. */
  get clickhouseTcpPort(): number {
    const port = this.#stack.clickhouse?.tcpPort
    if (port === undefined) throw new Error('the stack has no ClickHouse')
    return port
  }

  get clickhousePid(): number {
    return this.#pidOf('clickhouse')
  }

  get kafkaPid(): number {
    return this.#pidOf('kafka')
  }

  /** Bytes of all segments of a topic on disk, without their indexes. */
  topicBytes(topic: string): number {
    return readdirSync(this.#dataFolder, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.log') && path.split('/').at(-2)?.replace(/-\d+$/, '') === topic)
      .reduce((sum, path) => sum + statSync(join(this.#dataFolder, path)).size, 0)
  }

  /** A name for a topic of this bench. */
  topicName(kind: string): string {
    return `bench-${kind}-${this.#id}`
  }

  /** An empty topic with the partitions of all others, that Sidereal does not read. */
  async createTopic(topic: string): Promise<void> {
    await this.#withAdmin((admin) =>
      admin.createTopics({ topics: [{ topic, numPartitions: PARTITIONS }], waitForLeaders: true }),
    )
  }

  /** Creates the topic when it is not there, and tables for one measurement. */
  async newRun(topic: string): Promise<Run> {
    const name = `${this.#id}_${++this.#runs}`
    const database = `bench_${name}`
    const group = `bench-${name}`
    const env = {
      ...this.#stack.env,
      SIDEREAL_TOPIC: topic,
      SIDEREAL_DEAD_LETTER_TOPIC: `${topic}-dead-letters`,
      SIDEREAL_GROUP: group,
      SIDEREAL_CLICKHOUSE_DATABASE: database,
      SIDEREAL_TOPIC_PARTITIONS: String(PARTITIONS),
    }
    // Standard output belongs to the figures.
    const [code] = await once(spawnCli(['setup'], env, process.stderr.fd), 'exit')
    if (code !== 0) throw new Error(`sidereal setup ended with code ${code}`)
    return { env, topic, group, database }
  }

  /** Waits until the committed offsets of the run are the end offsets. */
  async settled({ topic, group }: Run, timeoutMs: number): Promise<void> {
    await this.#withAdmin((admin) => waitUntilCommitted({ admin, topic, group, timeoutMs }))
  }

  /** Compares what the tables of a run hold with what was sent. Throws with both counts. */
  async checkRows({ database }: Run, expected: RowCounts): Promise<void> {
    const tables = { spans: 'spans', logs: 'node_trace_logs', nodes: 'node_logs' } as const
    for (const [kind, table] of Object.entries(tables) as [keyof typeof tables, string][]) {
      const rows = Number(await this.query(`SELECT count() FROM ${database}.${table}_exact`))
      if (rows !== expected[kind])
        throw new Error(`${table}_exact holds ${rows} rows instead of ${expected[kind]}`)
    }
  }

  async diskBytes(database: string): Promise<number> {
    const sql = `SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = '${database}'`
    return Number(await this.query(sql))
  }

  async dropDatabase(database: string): Promise<void> {
    await this.query(`DROP DATABASE IF EXISTS ${database}`)
  }

  async query(sql: string): Promise<string> {
    const response = await fetch(this.#stack.env['SIDEREAL_CLICKHOUSE_URL'] ?? '', {
      method: 'POST',
      body: sql,
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`ClickHouse refused "${sql}": ${text.slice(0, 300)}`)
    return text.trim()
  }

  #pidOf(name: 'kafka' | 'clickhouse'): number {
    const pid = this.#stack[name]?.processes[0]?.pid
    if (pid === undefined) throw new Error(`the ${name} of the stack has no process`)
    return pid
  }

  async #withAdmin<Result>(
    work: (admin: ReturnType<ReturnType<typeof createKafka>['admin']>) => Promise<Result>,
  ): Promise<Result> {
    const kafka = createKafka({ brokers: [...this.brokers] }, { clientId: 'bench', logger: silentLogger })
    const admin = kafka.admin()
    await admin.connect()
    try {
      return await work(admin)
    } finally {
      await admin.disconnect()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#say('stopping the servers')
    await this.#stack.close()
    rmSync(this.#dataFolder, { recursive: true, force: true, maxRetries: 3 })
  }
}
