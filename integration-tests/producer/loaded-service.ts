import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { DROP_REASONS, type ItemStats } from '../../src/producer/delivery-counts.ts'
import type { TracingStats } from '../../src/producer/tracing-service.ts'

/** What a loaded service says of itself. */
export interface LoadedServiceLine {
  readonly made: { readonly spans: number; readonly logs: number }
  /** Exceptions and rejections that reached the process. */
  readonly thrown: number
  /** Turns of the load after which accepted was not waiting + spooled + sent + dropped. */
  readonly inexact: number
  readonly phase: string
  /** What the tracing calls of a request took, since the phase began. */
  readonly requestMicros: { readonly p50: number; readonly p99: number; readonly max: number }
  /** How far the wall clock has moved from the monotonic one since the start. */
  readonly clockOffMs: number
  readonly rssMb: number
  /** Used memory of the heap, and memory of buffers outside it. */
  readonly heapMb: number
  readonly externalMb: number
  readonly stats: TracingStats
  /** What `shutdown` gave; in the last line only. */
  readonly isSafe?: boolean
}

export interface LoadedServiceOptions {
  readonly env: Readonly<Record<string, string>>
  /** Arguments of Node: `--import` of a fault, for example. */
  readonly nodeArgs?: readonly string[]
  readonly onLine?: (line: LoadedServiceLine) => void
}

/** Drives `loaded-service-process.ts`. */
export class LoadedService implements AsyncDisposable {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>
  readonly #listeners = new Set<(line: LoadedServiceLine) => void>()
  #last: LoadedServiceLine | undefined

  constructor({ env, nodeArgs = [], onLine }: LoadedServiceOptions) {
    const script = fileURLToPath(new URL('./loaded-service-process.ts', import.meta.url))
    this.#process = spawn(process.execPath, [...nodeArgs, script], {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    if (onLine !== undefined) this.#listeners.add(onLine)
    createInterface({ input: this.#process.stdout }).on('line', (text) => {
      this.#last = JSON.parse(text) as LoadedServiceLine
      for (const listener of this.#listeners) listener(this.#last)
    })
  }

  get last(): LoadedServiceLine | undefined {
    return this.#last
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal)
  }

  say(command: string): void {
    this.#process.stdin.write(`${command}\n`)
  }

  /** The next line for which this holds. */
  async until(isTrue: (line: LoadedServiceLine) => boolean, timeoutMs = 180_000): Promise<LoadedServiceLine> {
    const { promise, resolve, reject } = Promise.withResolvers<LoadedServiceLine>()
    const listener = (line: LoadedServiceLine) => {
      if (isTrue(line)) resolve(line)
    }
    const onExit = (code: number | null) => {
      // The last line may still be in the pipe.
      setTimeout(() => reject(new Error(`the service ended with ${code}`)), 1_000)
    }
    const timer = setTimeout(
      () => reject(new Error(`the condition never became true: ${JSON.stringify(this.#last)}`)),
      timeoutMs,
    )
    this.#listeners.add(listener)
    this.#process.once('exit', onExit)
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      this.#listeners.delete(listener)
      this.#process.off('exit', onExit)
    }
  }

  /** Shuts the tracing down; gives the last line. */
  async end(): Promise<LoadedServiceLine> {
    const last = this.until(({ isSafe }) => isSafe !== undefined)
    this.say('end')
    return await last
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    this.#process.kill('SIGKILL')
    await once(this.#process, 'exit')
  }
}

/** All that was given up, whatever the reason. */
export function droppedOf({ dropped }: ItemStats): number {
  return DROP_REASONS.reduce((sum, reason) => sum + dropped[reason], 0)
}
