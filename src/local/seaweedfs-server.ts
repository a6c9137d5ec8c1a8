import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { silent, weedProgram } from './downloads.ts'
import { choosePorts } from './free-ports.ts'
import type { LocalServer, LocalServerOptions } from './local-server.ts'
import type { ProcessIdentity } from './process-identity.ts'
import { ServerProcess } from './server-process.ts'

const READY_TIMEOUT_MS = 60_000
const PROBE_TIMEOUT_MS = 2_000
const PORT_COUNT = 8
/** Asked to stop, `weed` waits for a stream from its filer to itself that never ends; what it was given is on disk by then. */
export const SEAWEEDFS_STOP_GRACE_MS = 1_000

/** Credentials of the local S3. They guard nothing: the server listens on 127.0.0.1 alone. */
export const LOCAL_S3_CREDENTIALS = { accessKeyId: 'sidereal', secretAccessKey: 'sidereal-local' } as const

export interface SeaweedFsOptions extends LocalServerOptions {
  /** PEM files with which S3 is served by TLS as well, on a port of its own after the server's others. */
  tls?: { readonly certPath: string; readonly keyPath: string }
}

/** S3 API by SeaweedFS: master, volume, filer and S3 gateway in one process. Buckets are made by `setup`. */
export class SeaweedFsServer implements LocalServer {
  readonly name = 'SeaweedFS'
  readonly #options: SeaweedFsOptions
  #ports: readonly number[] = []
  #process: ServerProcess | undefined

  constructor(options: SeaweedFsOptions) {
    this.#options = options
  }

  /** URL of the S3 endpoint; buckets by path. */
  get address(): string {
    return `http://127.0.0.1:${this.#ports[0]}`
  }

  /** URL of the S3 endpoint with TLS; only with `tls`. */
  get secureAddress(): string {
    return `https://127.0.0.1:${this.#ports[PORT_COUNT]}`
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
    const program = await weedProgram(this.#options.onProgress ?? silent)
    this.#ports = await choosePorts(
      PORT_COUNT + (this.#options.tls === undefined ? 0 : 1),
      this.#options.ports,
    )
    const { dataFolder, tls } = this.#options
    const data = join(dataFolder, 'data')
    mkdirSync(data, { recursive: true })
    const identities = join(dataFolder, 's3.json')
    writeFileSync(identities, IDENTITIES, { mode: 0o600 })
    const [s3, s3Grpc, master, masterGrpc, volume, volumeGrpc, filer, filerGrpc] = this.#ports
    this.#process = new ServerProcess({
      name: 'SeaweedFS',
      command: program,
      args: [
        '-logtostderr=true',
        'server',
        `-dir=${data}`,
        '-ip=127.0.0.1',
        '-ip.bind=127.0.0.1',
        `-master.port=${master}`,
        `-master.port.grpc=${masterGrpc}`,
        '-master.volumeSizeLimitMB=256',
        '-master.telemetry=false',
        // A master alone waits that long for others before it leads; 10 s by default, each time it starts with data.
        '-master.electionTimeout=1s',
        '-master.heartbeatInterval=100ms',
        `-volume.port=${volume}`,
        `-volume.port.grpc=${volumeGrpc}`,
        '-volume.max=100',
        '-volume.minFreeSpace=0',
        // Otherwise it goes on for 10 s after being told to stop, for clients that still ask it.
        '-volume.preStopSeconds=0',
        '-filer',
        `-filer.port=${filer}`,
        `-filer.port.grpc=${filerGrpc}`,
        // Relative to its folder: a socket's path may be 107 bytes long at most.
        '-filer.localSocket=filer.sock',
        '-s3',
        `-s3.port=${s3}`,
        `-s3.port.grpc=${s3Grpc}`,
        '-s3.port.iceberg=0',
        '-s3.port.lance=0',
        '-s3.localSocket=s3.sock',
        `-s3.config=${identities}`,
        ...(tls === undefined
          ? []
          : [
              `-s3.port.https=${this.#ports[PORT_COUNT]}`,
              `-s3.cert.file=${tls.certPath}`,
              `-s3.key.file=${tls.keyPath}`,
            ]),
      ],
      cwd: dataFolder,
      logFile: join(this.#options.logFolder, 'seaweedfs.log'),
      stopGraceMs: SEAWEEDFS_STOP_GRACE_MS,
      onCrash: this.#options.onCrash,
    })
    await this.#process.start()
  }

  async ready(): Promise<void> {
    await this.#process?.waitUntil(() => this.#canStore(), READY_TIMEOUT_MS)
  }

  async release(): Promise<void> {
    await this.#process?.release()
  }

  async close(): Promise<void> {
    await this.#process?.close()
    // `weed` leaves these in a place that it does not let us choose.
    const [, s3Grpc, , masterGrpc, , volumeGrpc, , filerGrpc] = this.#ports
    const sockets = { s3: s3Grpc, master: masterGrpc, volume: volumeGrpc, filer: filerGrpc }
    for (const [part, port] of Object.entries(sockets))
      rmSync(`/tmp/seaweedfs-${part}-grpc-${port}.sock`, { force: true })
  }

  /** The gateway answers before a volume can take a file: ask the master for a place, and the gateway for any answer. */
  async #canStore(): Promise<boolean> {
    try {
      const place = await fetch(`http://127.0.0.1:${this.#ports[2]}/dir/assign`, {
        signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
      })
      const assigned: unknown = await place.json()
      if (typeof assigned !== 'object' || assigned === null || !('fid' in assigned)) return false
      const gateway = await fetch(this.address, { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) })
      await gateway.arrayBuffer()
      return gateway.status < 500
    } catch {
      return false
    }
  }
}

const IDENTITIES = JSON.stringify({
  identities: [
    {
      name: 'sidereal',
      credentials: [
        { accessKey: LOCAL_S3_CREDENTIALS.accessKeyId, secretKey: LOCAL_S3_CREDENTIALS.secretAccessKey },
      ],
      actions: ['Admin', 'Read', 'List', 'Tagging', 'Write'],
    },
  ],
})
