import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { freshDatabase, freshName } from '../support/fresh.ts'
import type { TestServers } from '../support/servers.ts'

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

export interface CliResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export type Env = Readonly<Record<string, string>>

/** Settings of an installation that no other test shares: own topics, group and database. */
export async function freshInstallation(servers: TestServers): Promise<Env> {
  const name = freshName('audit')
  return {
    ...servers.env,
    SIDEREAL_TOPIC: `${name}.traces`,
    SIDEREAL_DEAD_LETTER_TOPIC: `${name}.dead-letters`,
    SIDEREAL_GROUP: name,
    SIDEREAL_TOPIC_PARTITIONS: '3',
    SIDEREAL_CLICKHOUSE_DATABASE: await freshDatabase(servers),
    SIDEREAL_QUIET_MS: '1000',
    SIDEREAL_IDLE_MS: '3000',
    SIDEREAL_METRICS_PORT: '0',
  }
}

/** Starts `sidereal …` in a process of its own. */
export function startCli(env: Env, ...args: string[]): ChildProcess {
  // Only what the test says: settings of the developer's shell must not decide.
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('SIDEREAL_'))
  return spawn(process.execPath, [MAIN, ...args], {
    env: { ...Object.fromEntries(inherited), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

/** Runs `sidereal …` to its end. */
export async function runCli(env: Env, ...args: string[]): Promise<CliResult> {
  const child = startCli(env, ...args)
  const output = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream]?.setEncoding('utf8').on('data', (text: string) => {
      output[stream] += text
    })
  }
  await once(child, 'close')
  return { code: child.exitCode, ...output }
}

/** A worker in a process of its own. */
export class WorkerProcess {
  readonly #child: ChildProcess
  readonly #ended: Promise<unknown>
  #log = ''

  constructor(env: Env) {
    this.#child = startCli(env, 'worker')
    this.#ended = once(this.#child, 'close')
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#log = (this.#log + text).slice(-20_000)
      })
    }
  }

  /** The end of what it wrote. */
  get log(): string {
    return this.#log
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM')
    await this.#ended
  }
}
