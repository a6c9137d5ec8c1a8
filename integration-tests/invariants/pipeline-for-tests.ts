import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { ClickHouse } from '../../src/storage/clickhouse/client.ts'
import { freshDatabase, freshName, freshObjectStore } from '../support/fresh.ts'
import type { TestServers } from '../support/servers.ts'
import { CliProcess, type Ended, until } from '../worker/worker-for-tests.ts'

type Environment = Readonly<Record<string, string>>

/** What `verify` says when the tables are what was sent. */
const CLEAN = '0 lost · 0 duplicated · 0 altered · 0 truncated · 0 extra'
/** Characters of a worker's log that a failure shows. */
const LOG_TAIL = 3_000
/** Generous: what takes a second on a machine of its own may take a minute on one that is shared. */
const PATIENCE_MS = 120_000
/** Exit code of a load that Ctrl-C has ended. */
const INTERRUPTED = 130

/** A running `sidereal load`. */
export interface Load {
  readonly ledger: string
  /** Ends it between two sends, as Ctrl-C does, and waits for its end. It must not have ended before. */
  stop(): Promise<void>
}

/** Topics, group, database and object store that nothing else uses, and Sidereal's commands on them, each in a process of its own. */
export class FreshPipeline {
  readonly env: Environment
  readonly clickHouse: ClickHouse
  readonly #folder = mkdtempSync(join(tmpdir(), 'sidereal-invariants-'))
  readonly #workers: CliProcess[] = []
  readonly #loads: CliProcess[] = []
  #ledgers = 0

  private constructor(env: Environment) {
    this.env = env
    this.clickHouse = new ClickHouse({
      url: env['SIDEREAL_CLICKHOUSE_URL'] ?? '',
      database: env['SIDEREAL_CLICKHOUSE_DATABASE'] ?? '',
      username: env['SIDEREAL_CLICKHOUSE_USERNAME'],
      password: env['SIDEREAL_CLICKHOUSE_PASSWORD'],
      requestTimeoutMs: 60_000,
    })
    after(() => this.#close())
  }

  /** Runs `sidereal setup` on fresh names. Times are short: sessions of 6 s, the shortest that a broker takes. */
  static async open(servers: TestServers, changes: Environment = {}): Promise<FreshPipeline> {
    const database = await freshDatabase(servers)
    const pipeline = new FreshPipeline({
      ...servers.env,
      SIDEREAL_TOPIC: freshName('traces'),
      SIDEREAL_DEAD_LETTER_TOPIC: freshName('dead-letters'),
      SIDEREAL_TOPIC_PARTITIONS: '6',
      SIDEREAL_GROUP: freshName('group'),
      SIDEREAL_CLICKHOUSE_DATABASE: database,
      SIDEREAL_OBJECT_STORE: await freshObjectStore(servers),
      SIDEREAL_QUIET_MS: '1000',
      SIDEREAL_IDLE_MS: '3000',
      SIDEREAL_SESSION_TIMEOUT_MS: '6000',
      SIDEREAL_HEARTBEAT_MS: '1000',
      SIDEREAL_COMMIT_INTERVAL_MS: '500',
      SIDEREAL_BATCH_MS: '300',
      SIDEREAL_METRICS_PORT: '0',
      ...changes,
    })
    const setup = await pipeline.run(['setup'])
    assert.equal(setup.code, 0, setup.output)
    return pipeline
  }

  get topic(): string {
    return this.env['SIDEREAL_TOPIC'] ?? ''
  }

  /** A path for a file of this pipeline; it goes with the pipeline. */
  newFile(name: string): string {
    this.#ledgers += 1
    return join(this.#folder, `${this.#ledgers}-${name}`)
  }

  /** Starts a worker; it is ended with the pipeline if nobody does it before. */
  startWorker(changes: Environment = {}): CliProcess {
    const worker = new CliProcess(['worker'], { ...this.env, ...changes })
    this.#workers.push(worker)
    return worker
  }

  /** Starts a load that goes on until it is stopped, so that whatever a test does falls into the middle of it. */
  startLoad(spansPerSecond: number, ...flags: readonly string[]): Load {
    const ledger = this.newFile('load.jsonl')
    const load = new CliProcess(
      ['load', '--ledger', ledger, '--traces', '1000000', '--rate', String(spansPerSecond), ...flags],
      this.env,
    )
    this.#loads.push(load)
    return {
      ledger,
      stop: async () => {
        const { code, stderr } = await load.kill('SIGINT')
        assert.equal(code, INTERRUPTED, stderr)
      },
    }
  }

  /** Runs a command to its end. */
  async run(args: readonly string[], changes: Environment = {}): Promise<Ended & { output: string }> {
    const command = new CliProcess(args, { ...this.env, ...changes })
    const ended = await command.ended
    return { ...ended, output: `${command.stdout}${ended.stderr}` }
  }

  /** Fails unless `sidereal verify` finds nothing lost, duplicated, altered, truncated or extra. */
  async verifyClean(ledgers: readonly string[]): Promise<void> {
    const { code, output } = await this.run(['verify', '--timeout', '120', '--ledger', ...ledgers])
    assert.ok(output.includes(`\n${CLEAN}\n`), output)
    assert.equal(code, 0, output)
  }

  /** Spans in the tables, each once. */
  async storedSpans(): Promise<number> {
    const [row] = await this.clickHouse.query<{ n: string }>('SELECT count() AS n FROM spans_exact')
    return Number(row?.n)
  }

  /** Waits until this many spans are in the tables. */
  async untilStored(spans: number): Promise<void> {
    await this.until(`${spans} spans are stored`, async () => (await this.storedSpans()) >= spans)
  }

  /** Waits for a condition; when it does not come, says what the workers logged last. */
  async until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    try {
      await until(what, condition, PATIENCE_MS)
    } catch (cause) {
      const logs = this.#workers.map(({ stdout }) => stdout.slice(-LOG_TAIL))
      throw new Error(`${what}: waited in vain. The workers said:\n${logs.join('\n—\n')}`, { cause })
    }
  }

  async #close(): Promise<void> {
    for (const child of [...this.#workers, ...this.#loads]) await child.kill('SIGKILL')
    await this.clickHouse.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** Ends a worker as a supervisor does. */
export async function endWell(worker: CliProcess): Promise<void> {
  const { code, stderr } = await worker.kill('SIGTERM')
  assert.equal(code, 0, `${stderr}${worker.stdout}`)
}
