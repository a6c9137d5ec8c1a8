import { connect, createServer, type Server, type Socket } from 'node:net'

/** Stands between a client and a server, and cuts the line on demand. */
export class TcpProxy {
  readonly #target: URL
  #server: Server | undefined
  readonly #sockets = new Set<Socket>()
  #port = 0

  constructor(targetUrl: string) {
    this.#target = new URL(targetUrl)
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** Listens, on the same port as before after a cut. */
  async open(): Promise<void> {
    const server = createServer((socket) => this.#join(socket))
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.#port, '127.0.0.1', resolve)
    })
    const address = server.address()
    if (address !== null && typeof address === 'object') this.#port = address.port
    this.#server = server
  }

  /** Ends every connection and takes no more. */
  async cut(): Promise<void> {
    const server = this.#server
    if (server === undefined) return
    this.#server = undefined
    const closed = new Promise<void>((resolve) => {
      server.close(() => resolve())
    })
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #join(socket: Socket): void {
    const upstream = connect(Number(this.#target.port), this.#target.hostname)
    for (const [one, other] of [
      [socket, upstream],
      [upstream, socket],
    ] as const) {
      this.#sockets.add(one)
      one.pipe(other)
      // A cut line is what this proxy is for: both ends go.
      one.on('error', () => other.destroy())
      one.on('close', () => {
        this.#sockets.delete(one)
        other.destroy()
      })
    }
  }
}
