import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const CLI = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stderr: string
  readonly seconds: number
}

/** A command of Sidereal in a process of its own. */
export class CliProcess {
  readonly #child: ChildProcess
  readonly #ended: Promise<Ended>
  #stdout = ''
  #stderr = ''

  constructor(args: readonly string[], env: Readonly<Record<string, string>>) {
    const startedAt = performance.now()
    this.#child = spawn(process.execPath, [CLI, ...args], {
      env: { ...withoutSidereal(process.env), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child.stdout?.on('data', (chunk: Buffer) => {
      this.#stdout += chunk.toString()
    })
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr += chunk.toString()
    })
    this.#ended = once(this.#child, 'close').then(([code, signal]) => ({
      code,
      signal,
      stderr: this.#stderr,
      seconds: (performance.now() - startedAt) / 1_000,
    }))
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('the process was not started')
    return this.#child.pid
  }

  get stdout(): string {
    return this.#stdout
  }

  get stderr(): string {
    return this.#stderr
  }

  get ended(): Promise<Ended> {
    return this.#ended
  }

  kill(signal: NodeJS.Signals): Promise<Ended> {
    this.#child.kill(signal)
    return this.#ended
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Base URL of its metrics and health, from its log. */
  async metricsUrl(): Promise<string> {
    let url: string | undefined
    await until('the worker says where its metrics are', async () => {
      url = /"metricsUrl":"([^"]+)\/metrics"/.exec(this.#stdout)?.[1]
      if (url === undefined && this.#child.exitCode !== null) {
        throw new Error(`it ended with ${this.#child.exitCode}: ${this.#stderr}${this.#stdout}`)
      }
      return url !== undefined
    })
    return url ?? ''
  }
}

/** Value of a metric without labels, or with exactly these. */
export async function metric(baseUrl: string, name: string): Promise<number> {
  const text = await (await fetch(`${baseUrl}/metrics`)).text()
  const line = text.split('\n').find((one) => one.startsWith(`${name} `))
  return line === undefined ? Number.NaN : Number(line.slice(name.length + 1))
}

/** Waits for a condition, with a deadline that is generous. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 60_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

/** A key that the test did not mean must not reach the worker. */
function withoutSidereal(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('SIDEREAL_')))
}
