import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface, type Interface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'

/** An OTLP gRPC receiver whose CPU is not the bench's own. */
export class ReceiverProcess implements Disposable {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>
  readonly #lines: Interface
  #url = ''

  private constructor() {
    const script = fileURLToPath(new URL('otlp-receiver-process.ts', import.meta.url))
    this.#process = spawn(process.execPath, [script], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#lines = createInterface({ input: this.#process.stdout })
  }

  static async start(): Promise<ReceiverProcess> {
    const receiver = new ReceiverProcess()
    receiver.#url = await receiver.#line()
    return receiver
  }

  get url(): string {
    return this.#url
  }

  /** Spans of all acknowledged requests since the start. */
  async spanCount(): Promise<number> {
    const line = this.#line()
    this.#process.stdin.write('count\n')
    return Number(await line)
  }

  async #line(): Promise<string> {
    const ended = once(this.#process, 'exit').then(([code]) => {
      throw new Error(`the OTLP receiver ended with code ${code}`)
    })
    const [line] = (await Promise.race([once(this.#lines, 'line'), ended])) as [string]
    return line
  }

  [Symbol.dispose](): void {
    this.#process.kill()
  }
}
