import { existsSync, mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { SiderealError } from '../model/errors.ts'
import { choosePorts } from './free-ports.ts'
import { localScript } from './local-folders.ts'
import type { LocalServer, LocalServerOptions } from './local-server.ts'
import type { ProcessIdentity } from './process-identity.ts'
import { ServerProcess } from './server-process.ts'

const READY_TIMEOUT_MS = 120_000
const PROBE_TIMEOUT_MS = 2_000

/** A full ClickHouse server over HTTP and native TCP, from the npm package `chdb`, in a process of its own. */
export class ClickHouseServer implements LocalServer {
  readonly name = 'ClickHouse'
  readonly #options: LocalServerOptions
  #ports: readonly number[] = []
  #process: ServerProcess | undefined

  constructor(options: LocalServerOptions) {
    this.#options = options
  }

  /** URL of the HTTP interface. */
  get address(): string {
    return `http://127.0.0.1:${this.#ports[0]}`
  }

  /** Port of the native protocol, which `clickhouse-client` speaks. */
  get tcpPort(): number | undefined {
    return this.#ports[1]
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
    const library = findLibrary()
    this.#ports = await choosePorts(2, this.#options.ports)
    const data = join(this.#options.dataFolder, 'data')
    mkdirSync(data, { recursive: true })
    this.#process = new ServerProcess({
      name: 'ClickHouse',
      command: process.execPath,
      args: [
        localScript('clickhouse-process'),
        `--library=${library}`,
        `--data=${data}`,
        `--http-port=${this.#ports[0]}`,
        `--tcp-port=${this.#ports[1]}`,
      ],
      cwd: this.#options.dataFolder,
      logFile: join(this.#options.logFolder, 'clickhouse.log'),
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
      const response = await fetch(`${this.address}/?query=SELECT+1`, {
        signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
      })
      return response.ok && (await response.text()).trim() === '1'
    } catch {
      return false
    }
  }
}

/** Finds libchdb in the package that npm chose for this platform. */
function findLibrary(): string {
  const require = createRequire(import.meta.url)
  const libc = process.platform === 'linux' ? '-gnu' : ''
  const packageName = `@chdb/lib-${process.platform}-${process.arch}${libc}`
  const searched = [
    ...(require.resolve.paths(packageName) ?? []),
    // npm nests it below chdb when another version of it is asked for at the top.
    ...(require.resolve.paths('chdb') ?? []).map((folder) => join(folder, 'chdb', 'node_modules')),
  ]
  for (const folder of searched) {
    const library = join(folder, packageName, 'libchdb.so')
    if (existsSync(library)) return library
  }
  throw new SiderealError(
    'SIDEREAL_LOCAL_STACK',
    `the npm package ${packageName} is not installed: run "npm install" in the clone (chdb has builds for Linux with glibc ` +
      `and macOS, x64 and arm64), or use "docker compose up" instead. Searched from ${dirname(import.meta.filename)}`,
  )
}
