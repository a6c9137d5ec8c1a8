import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const CLI = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const MAX_TRACES = 2_000_000

export interface LoadOptions {
  readonly env: Readonly<Record<string, string>>
  readonly folder: string
  readonly seed: number
  /** Spans a second. */
  readonly rate: number
  readonly onEvent: (line: string) => void
}

/** `sidereal load` until it is stopped; one that gives up (Kafka was away for too long) is followed by another with a ledger of its own. */
export class LoadProcess {
  readonly #options: LoadOptions
  readonly ledgers: string[] = []
  #child: ChildProcess | undefined
  #exited: Promise<unknown> = Promise.resolve()
  #isWanted = true

  constructor(options: LoadOptions) {
    this.#options = options
  }

  start(): void {
    const { env, folder, seed, rate, onEvent } = this.#options
    const number = this.ledgers.length + 1
    const ledger = join(folder, `load-${number}.jsonl`)
    const log = openSync(join(folder, `load-${number}.log`), 'a')
    const flags = {
      '--ledger': ledger,
      '--traces': String(MAX_TRACES),
      '--rate': String(rate),
      '--seed': String(seed + number),
      '--payload-share': '0.03',
      '--open-share': '0.03',
      '--odd-time-share': '0.01',
    }
    const inherited = Object.entries(process.env).filter(([key]) => !key.startsWith('SIDEREAL_'))
    const child = spawn(process.execPath, [CLI, 'load', ...Object.entries(flags).flat()], {
      env: { ...Object.fromEntries(inherited), ...env },
      stdio: ['ignore', log, log],
    })
    closeSync(log)
    this.ledgers.push(ledger)
    this.#child = child
    this.#exited = once(child, 'exit').then(([code]) => {
      if (!this.#isWanted) return
      onEvent(`the load ended with code ${String(code)}: the next one begins`)
      this.start()
    })
  }

  /** Between two sends, as Ctrl-C does. */
  async stop(): Promise<void> {
    this.#isWanted = false
    this.#child?.kill('SIGINT')
    await this.#exited
  }

  async destroy(): Promise<void> {
    this.#isWanted = false
    this.#child?.kill('SIGKILL')
    await this.#exited
  }
}
