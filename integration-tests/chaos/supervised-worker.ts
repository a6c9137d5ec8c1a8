import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseMetrics, type Samples } from './metrics.ts'

const CLI = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const RESTART_MS = 500
const SCRAPE_MS = 2_000
const READY_MS = 120_000
const POLL_MS = 100

export interface SupervisedWorkerOptions {
  /** Its instance id, as the name of a pod of a StatefulSet. */
  readonly name: string
  readonly env: Readonly<Record<string, string>>
  readonly metricsPort: number
  readonly logFolder: string
  /** Takes one line an event: started, ended, how. */
  readonly onEvent: (line: string) => void
}

/** Counters of a worker that are added up over its lives. */
export interface WorkerTotals {
  readonly consumed: number
  readonly skipped: number
}

const NO_TOTALS: WorkerTotals = { consumed: 0, skipped: 0 }

/** One `sidereal worker` and whoever starts it again when it ends, as a supervisor does. */
export class SupervisedWorker {
  readonly #options: SupervisedWorkerOptions
  #child: ChildProcess | undefined
  #exited: Promise<unknown> = Promise.resolve()
  #isWanted = false
  #stdout: number | undefined
  #lives = 0
  /** Of the lives before this one; what came after the last look at a killed one is not in it. */
  #past: WorkerTotals = NO_TOTALS
  #current: WorkerTotals = NO_TOTALS
  /** Ends that nobody asked for, with their exit code. */
  readonly unexpectedEnds: string[] = []

  constructor(options: SupervisedWorkerOptions) {
    this.#options = options
  }

  get name(): string {
    return this.#options.name
  }

  get isRunning(): boolean {
    return this.#isWanted
  }

  get url(): string {
    return `http://127.0.0.1:${this.#options.metricsPort}`
  }

  get totals(): WorkerTotals {
    return {
      consumed: this.#past.consumed + this.#current.consumed,
      skipped: this.#past.skipped + this.#current.skipped,
    }
  }

  /** `stdout`: a file descriptor in place of its log file. */
  start(stdout?: number): void {
    this.#isWanted = true
    this.#stdout = stdout
    this.#spawn()
  }

  /** kill -9; the supervisor starts it again. */
  killHard(): void {
    this.#isWanted = true
    this.#child?.kill('SIGKILL')
  }

  freeze(): void {
    this.#child?.kill('SIGSTOP')
  }

  thaw(): void {
    this.#child?.kill('SIGCONT')
  }

  /** SIGTERM, and waits for the end. */
  async stop(): Promise<void> {
    this.#isWanted = false
    // A metrics look before the end, so that little of its work stays uncounted.
    await this.metrics()
    this.#child?.kill('SIGTERM')
    await this.#exited
  }

  /** For the end of a run that went wrong. */
  async destroy(): Promise<void> {
    this.#isWanted = false
    this.#child?.kill('SIGKILL')
    await this.#exited
  }

  /** Undefined while it does not answer. */
  async metrics(): Promise<Samples | undefined> {
    try {
      const response = await fetch(`${this.url}/metrics`, { signal: AbortSignal.timeout(SCRAPE_MS) })
      const samples = parseMetrics(await response.text())
      const consumed = samples.get('sidereal_records_consumed_total') ?? 0
      const skipped = samples.get('sidereal_records_skipped_total') ?? 0
      this.#current = { consumed, skipped }
      return samples
    } catch {
      // It is dead, stopped or starting: which is what the run does to it.
      return undefined
    }
  }

  async isReady(): Promise<boolean> {
    try {
      const response = await fetch(`${this.url}/readyz`, { signal: AbortSignal.timeout(SCRAPE_MS) })
      await response.body?.cancel()
      return response.ok
    } catch {
      // As above.
      return false
    }
  }

  async untilReady(): Promise<void> {
    for (const deadline = performance.now() + READY_MS; !(await this.isReady()); await sleep(POLL_MS)) {
      if (performance.now() > deadline) throw new Error(`${this.name} was not ready within ${READY_MS} ms`)
    }
  }

  #spawn(): void {
    const stdout = this.#stdout
    const { name, env, metricsPort, logFolder, onEvent } = this.#options
    this.#lives += 1
    this.#past = this.totals
    this.#current = NO_TOTALS
    const log = openSync(join(logFolder, `${name}-${this.#lives}.log`), 'a')
    const inherited = Object.entries(process.env).filter(([key]) => !key.startsWith('SIDEREAL_'))
    const child = spawn(process.execPath, [CLI, 'worker'], {
      env: {
        ...Object.fromEntries(inherited),
        ...env,
        SIDEREAL_INSTANCE_ID: name,
        SIDEREAL_METRICS_PORT: String(metricsPort),
      },
      stdio: ['ignore', stdout ?? log, stdout ?? log],
    })
    closeSync(log)
    this.#child = child
    this.#exited = once(child, 'exit').then(async ([code, signal]) => {
      if (!this.#isWanted) return
      const how = signal === null ? `code ${String(code)}` : String(signal)
      if (signal !== 'SIGKILL') this.unexpectedEnds.push(`${name}-${this.#lives}: ${how}`)
      onEvent(`${name} ended (${how}), the supervisor starts it again`)
      await sleep(RESTART_MS)
      if (this.#isWanted) this.#spawn()
    })
  }
}
