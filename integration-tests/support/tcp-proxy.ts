import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * - `open`: bytes go through.
 * - `refusing`: connections are cut, new ones are closed at once.
 * - `hanging`: connections are taken, and nothing is answered.
 * - `answering`: every request gets the answer that was set, and the server behind none: a fake, for answers that a real server cannot be
 *   made to give.
 */
export type ProxyState = 'open' | 'refusing' | 'hanging' | 'answering'

/** One direction of a connection: bytes in order, each `delayMs` late. */
class Lane {
  readonly #to: Socket
  #tail: Promise<void> = Promise.resolve()
  #queued = 0

  constructor(to: Socket) {
    this.#to = to
  }

  push(chunk: Buffer, delayMs: number): void {
    if (delayMs === 0 && this.#queued === 0) {
      this.#to.write(chunk)
      return
    }
    const due = performance.now() + delayMs
    this.#queued += 1
    this.#tail = this.#tail.then(async () => {
      const waitMs = due - performance.now()
      if (waitMs > 0) await sleep(waitMs)
      this.#queued -= 1
      if (!this.#to.destroyed) this.#to.write(chunk)
    })
  }
}

/** A door to a server that a test can shut, slow down, or answer at itself. */
export class TcpProxy {
  readonly #target: { readonly host: string; readonly port: number }
  readonly #port: number
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #state: ProxyState = 'open'
  #answer = ''
  #delayMs = 0
  #url = ''

  /** `port` to listen on; default: a free one. */
  constructor(url: string, port = 0) {
    const { hostname, port: targetPort } = new URL(url)
    this.#target = { host: hostname, port: Number(targetPort) }
    this.#port = port
    this.#server = createServer((client) => this.#accept(client))
  }

  async start(): Promise<string> {
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
    return this.#url
  }

  /** The same through every state. Empty before the start. */
  get url(): string {
    return this.#url
  }

  set(state: Exclude<ProxyState, 'answering'>): void {
    this.#state = state
    if (state !== 'hanging') this.cut()
  }

  /**
   * Ends `hanging` without a word: new connections work, and those that lost bytes stay silent for ever, as when a firewall has forgotten
   * them (half-open).
   */
  reopen(): void {
    this.#state = 'open'
  }

  /** Answers every request by these bytes and closes the connection, until another state is set. */
  answerWith(response: string): void {
    this.#answer = response
    this.#state = 'answering'
    this.cut()
  }

  /** Each piece arrives so much later, in both directions, from now on. Order stays. */
  delay(delayMs: number): void {
    this.#delayMs = delayMs
  }

  /** Ends every connection that there is. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async close(): Promise<void> {
    this.cut()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #accept(client: Socket): void {
    this.#keep(client)
    if (this.#state === 'refusing') {
      client.destroy()
      return
    }
    if (this.#state === 'answering') {
      client.once('data', () => client.end(this.#answer))
      return
    }
    const upstream = connect(this.#target)
    this.#keep(upstream)
    let isDead = this.#state === 'hanging'
    const pass = (lane: Lane) => (chunk: Buffer) => {
      isDead ||= this.#state === 'hanging'
      if (!isDead) lane.push(chunk, this.#delayMs)
    }
    client.on('data', pass(new Lane(upstream)))
    upstream.on('data', pass(new Lane(client)))
    client.on('close', () => upstream.destroy())
    upstream.on('close', () => {
      // A server that is gone behind dropped packets is not heard either.
      if (!isDead) client.destroy()
    })
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
    // A connection that breaks is what this is for; both ends see it by themselves.
    socket.on('error', () => socket.destroy())
  }
}
