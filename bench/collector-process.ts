import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type ProcessUsage, processUsage } from '../integration-tests/support/process-usage.ts'

const CONFIG_FILE = fileURLToPath(new URL('peer-collector.yaml', import.meta.url))
const SHOWN_LOG_CHARACTERS = 2_000

/** An OpenTelemetry Collector with the configuration of `peer-collector.yaml`. */
export class CollectorProcess {
  readonly #child: ReturnType<typeof spawn>
  readonly #log: number
  readonly #exited: Promise<unknown>
  /** Never resolves; rejects with the end of the log when it ends before `end` is called. */
  readonly failed: Promise<never>
  #isEnding = false

  /** @param env the variables that the configuration asks for */
  constructor(binary: string, env: Readonly<Record<string, string>>, logFolder: string) {
    mkdirSync(logFolder, { recursive: true })
    const logFile = `${logFolder}/collector.log`
    writeFileSync(logFile, '')
    this.#log = openSync(logFile, 'a')
    this.#child = spawn(binary, [`--config=${CONFIG_FILE}`], {
      env: { ...process.env, ...env },
      stdio: ['ignore', this.#log, this.#log],
    })
    const couldNotStart = once(this.#child, 'error').then(([error]) => error as Error)
    this.#exited = Promise.race([once(this.#child, 'exit'), couldNotStart])
    this.failed = this.#exited.then(async (reason) => {
      if (this.#isEnding) await new Promise(() => undefined)
      const log = readFileSync(logFile, 'utf8').slice(-SHOWN_LOG_CHARACTERS)
      throw new Error(`the Collector ended: ${reason instanceof Error ? reason.message : log}`)
    })
    // Whoever waits for something of the Collector races with it; nobody may be waiting.
    this.failed.catch(() => undefined)
  }

  usage(): ProcessUsage {
    return processUsage(this.#child.pid!)
  }

  async end(): Promise<void> {
    this.#isEnding = true
    this.#child.kill('SIGTERM')
    await this.#exited
    closeSync(this.#log)
  }
}
