import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ProcessUsage, processUsage } from '../integration-tests/support/process-usage.ts'
import { spawnCli } from '../src/local/demo/cli-process.ts'
import { builtProgram } from './built-program.ts'

const START_POLL_MS = 20
const START_TIMEOUT_MS = 120_000
const DELAY_TIMEOUT_MS = 60_000
/** Of the log: the line with the address of the metrics is one of the first. */
const LOG_START_CHARACTERS = 20_000
const SHOWN_LOG_CHARACTERS = 2_000

/** What held the event loop up: time beyond the timer's own. At most 2 ms of a blockage are missed. */
export interface LoopDelay {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

/** Values of a worker's metrics by name and labels, as in `sidereal_paused{reason="memory"}`. */
export type Metrics = ReadonlyMap<string, number>

export interface WorkerProcessOptions {
  readonly env: Readonly<Record<string, string>>
  readonly logFolder: string
  readonly name: string
  readonly nodeArgs?: readonly string[]
}

/** A worker as a user starts it, in a process of its own, seen from outside: the system's account, its metrics, its event loop. */
export class WorkerProcess {
  readonly #child: ReturnType<typeof spawnCli>
  readonly #logFile: string
  readonly #delayFile: string
  readonly #log: number
  /** Never resolves; rejects with the end of the log when the worker ends before `end` is called. */
  readonly failed: Promise<never>
  readonly #exited: Promise<unknown>
  #isEnding = false
  #metricsUrl: string | undefined
  #delaysRead = 0

  constructor(options: WorkerProcessOptions) {
    mkdirSync(options.logFolder, { recursive: true })
    this.#logFile = `${options.logFolder}/${options.name}.log`
    this.#delayFile = `${options.logFolder}/${options.name}.loop-delay.jsonl`
    rmSync(this.#delayFile, { force: true })
    this.#log = openSync(this.#logFile, 'w')
    const env = { ...options.env, SIDEREAL_METRICS_PORT: '0', BENCH_LOOP_DELAY_FILE: this.#delayFile }
    const nodeArgs = ['--import', loopDelayPreload(), ...(options.nodeArgs ?? [])]
    this.#child = spawnCli(['worker'], env, this.#log, nodeArgs, builtProgram())
    this.#exited = once(this.#child, 'exit')
    this.failed = this.#exited.then(async () => {
      if (this.#isEnding) await new Promise(() => undefined)
      throw new Error(`the worker ended: ${readFileSync(this.#logFile, 'utf8').slice(-SHOWN_LOG_CHARACTERS)}`)
    })
    // Whoever waits for something of this worker races with it; nobody may be waiting.
    this.failed.catch(() => undefined)
  }

  /** Resolves when it has joined the group: its code is loaded, and hardly anything was read. */
  async started(): Promise<void> {
    const deadline = performance.now() + START_TIMEOUT_MS
    while (!this.#findMetrics()) {
      if (performance.now() > deadline)
        throw new Error(`the worker has not started within ${START_TIMEOUT_MS} ms`)
      await Promise.race([sleep(START_POLL_MS), this.failed])
    }
  }

  usage(): ProcessUsage {
    return processUsage(this.#child.pid!)
  }

  /** `undefined` before the worker serves them, and once it is gone. */
  async metrics(): Promise<Metrics | undefined> {
    if (!this.#findMetrics() || this.#metricsUrl === undefined) return undefined
    let text: string
    try {
      text = await (await fetch(this.#metricsUrl)).text()
    } catch (error) {
      // Gone between two looks: `failed` says so with the log.
      process.stderr.write(`no metrics: ${error instanceof Error ? error.message : error}\n`)
      return undefined
    }
    const values = new Map<string, number>()
    for (const line of text.split('\n')) {
      const place = line.lastIndexOf(' ')
      if (!line.startsWith('#') && place > 0) values.set(line.slice(0, place), Number(line.slice(place + 1)))
    }
    return values
  }

  /** Of the event loop since the last call. */
  async loopDelay(): Promise<LoopDelay> {
    this.#child.kill('SIGUSR2')
    const deadline = performance.now() + DELAY_TIMEOUT_MS
    for (;;) {
      const lines = existsSync(this.#delayFile)
        ? readFileSync(this.#delayFile, 'utf8')
            .split('\n')
            .filter((one) => one.endsWith('}'))
        : []
      const line = lines[this.#delaysRead]
      if (line !== undefined) {
        this.#delaysRead += 1
        return JSON.parse(line) as LoopDelay
      }
      if (performance.now() > deadline) throw new Error('the worker did not say how its event loop was doing')
      await Promise.race([sleep(START_POLL_MS), this.failed])
    }
  }

  /** Ends it as a supervisor would, and waits for that. */
  async end(): Promise<void> {
    this.#isEnding = true
    this.#child.kill('SIGTERM')
    await this.#exited
    closeSync(this.#log)
  }

  #findMetrics(): boolean {
    if (this.#metricsUrl === undefined) {
      const log = readFileSync(this.#logFile, 'utf8').slice(0, LOG_START_CHARACTERS)
      this.#metricsUrl = /"metricsUrl":"([^"]+)"/.exec(log)?.[1]
    }
    return this.#metricsUrl !== undefined
  }
}

/** Its types are stripped here: the worker is not to pay for that. */
function loopDelayPreload(): string {
  const source = readFileSync(new URL('loop-delay.preload.ts', import.meta.url), 'utf8')
  return `data:text/javascript,${encodeURIComponent(stripTypeScriptTypes(source))}`
}
