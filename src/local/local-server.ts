import type { SiderealError } from '../model/errors.ts'
import type { Progress } from './downloads.ts'
import type { ProcessIdentity } from './process-identity.ts'

/** What the life of a server of the local stack is made of. Each listens on 127.0.0.1 alone. */
export interface LocalServer {
  /** For messages: "Kafka". */
  readonly name: string
  /** Where clients find it, in the form that the matching `SIDEREAL_*` key takes. */
  readonly address: string
  /** Ports in the server's own order, so that a later start can use the same ones. */
  readonly ports: readonly number[]
  /** What runs, once started. */
  readonly processes: readonly ProcessIdentity[]
  /** Downloads what is missing and starts the processes. */
  start(): Promise<void>
  /** Resolves once the server does its work for a client; rejects with the end of its log when it ends before. */
  ready(): Promise<void>
  /** Lets the server go on when this process ends; without that it dies with it, even by kill -9. */
  release(): Promise<void>
  /** Stops the server. Its data stays. */
  close(): Promise<void>
}

export interface LocalServerOptions {
  /** Data and configuration; made when missing. */
  dataFolder: string
  logFolder: string
  /** Ports to use, in the server's own order, the one that users know first; free ones for those that are not given. */
  ports?: readonly number[]
  onProgress?: Progress
  /** Called when a process of the server ends without being asked to; the error carries the end of its log. */
  onCrash?: (error: SiderealError) => void
}
