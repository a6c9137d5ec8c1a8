import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { choosePorts } from './free-ports.ts'
import { localScript } from './local-folders.ts'
import type { LocalServer, LocalServerOptions } from './local-server.ts'
import type { ProcessIdentity } from './process-identity.ts'
import { ServerProcess } from './server-process.ts'

const READY_TIMEOUT_MS = 30_000
const PROBE_TIMEOUT_MS = 2_000

/** The development schema registry (`registry/`) in a process of its own. */
export class SchemaRegistryServer implements LocalServer {
  readonly name = 'Schema registry'
  readonly #options: LocalServerOptions
  #ports: readonly number[] = []
  #process: ServerProcess | undefined

  constructor(options: LocalServerOptions) {
    this.#options = options
  }

  get address(): string {
    return `http://127.0.0.1:${this.#ports[0]}`
  }

  get ports(): readonly number[] {
    return this.#ports
  }

  get processes(): readonly ProcessIdentity[] {
    const identity = this.#process?.identity
    return identity === undefined ? [] : [identity]
  }

  /** The server's process, for tests that end it (`kill`) and bring it back (`start`). */
  get process(): ServerProcess | undefined {
    return this.#process
  }

  async start(): Promise<void> {
    this.#ports = await choosePorts(1, this.#options.ports)
    mkdirSync(this.#options.dataFolder, { recursive: true })
    this.#process = new ServerProcess({
      name: 'Schema registry',
      command: process.execPath,
      args: [
        localScript('registry/registry-process'),
        `--port=${this.#ports[0]}`,
        `--file=${join(this.#options.dataFolder, 'registry.jsonl')}`,
      ],
      logFile: join(this.#options.logFolder, 'schema-registry.log'),
      onCrash: this.#options.onCrash,
    })
    await this.#process.start()
  }

  async ready(): Promise<void> {
    await this.#process?.waitUntil(() => this.#answers(), READY_TIMEOUT_MS)
  }

  async release(): Promise<void> {
    await this.#process?.release()
  }

  async close(): Promise<void> {
    await this.#process?.close()
  }

  async #answers(): Promise<boolean> {
    try {
      const response = await fetch(`${this.address}/subjects`, {
        signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
      })
      await response.arrayBuffer()
      return response.ok
    } catch {
      return false
    }
  }
}
