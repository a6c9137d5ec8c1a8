import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** A door to a server that a test can shut: connections are cut and refused, or swallow everything without an answer. */
export class TcpProxy {
  readonly #target: { readonly host: string; readonly port: number }
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #state: 'open' | 'refusing' | 'hanging' = 'open'
  #url = ''

  constructor(url: string) {
    const { hostname, port } = new URL(url)
    this.#target = { host: hostname, port: Number(port) }
    this.#server = createServer((client) => this.#accept(client))
  }

  async start(): Promise<string> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
    return this.#url
  }

  /** The same through every state. Empty before the start. */
  get url(): string {
    return this.#url
  }

  set(state: 'open' | 'refusing' | 'hanging'): void {
    this.#state = state
    if (state !== 'hanging') for (const socket of this.#sockets) socket.destroy()
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #accept(client: Socket): void {
    this.#keep(client)
    if (this.#state === 'refusing') {
      client.destroy()
      return
    }
    const upstream = connect(this.#target)
    this.#keep(upstream)
    client.on('data', (chunk) => {
      if (this.#state === 'open') upstream.write(chunk)
    })
    upstream.on('data', (chunk) => {
      if (this.#state === 'open') client.write(chunk)
    })
    client.on('close', () => upstream.destroy())
    upstream.on('close', () => client.destroy())
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
    // A connection that breaks is what this is for; both ends see it by themselves.
    socket.on('error', () => socket.destroy())
  }
}
