import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'

/** Takes connections and never answers. */
export class SilentServer implements Disposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor() {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket)
      // Who ends resets its connection: nothing to say.
      socket.on('error', () => undefined)
      socket.resume()
    })
  }

  static async start(): Promise<SilentServer> {
    const server = new SilentServer()
    server.#server.listen(0, '127.0.0.1')
    await once(server.#server, 'listening')
    return server
  }

  /** `host:port`. */
  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get url(): string {
    return `http://${this.address}`
  }

  /** All that were ever made. */
  get connections(): number {
    return this.#sockets.size
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
  }
}
