import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

const OFFSET_COMMIT_API = 8

/** Nobody's: a broker refuses a commit that names it. */
const NO_GENERATION = 0x7fff_ffff

/**
 * A door to a Kafka broker that can have a commit refused with any error code: a fake, for codes that one broker cannot be made to give. The
 * broker does not do that commit. Everything else goes through as it is.
 */
export class CommitAnswers {
  readonly #target: number
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #armed: { readonly code: number; readonly done: () => void } | undefined

  constructor(targetPort: number) {
    this.#target = targetPort
    this.#server = createServer((client) => this.#accept(client))
  }

  async start(port: number): Promise<void> {
    this.#server.listen(port, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  /** Has the next commit refused, with this error code for each of its partitions. Resolves once the answer has gone out. */
  failNext(code: number): Promise<void> {
    return new Promise((done) => {
      this.#armed = { code, done }
    })
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #accept(client: Socket): void {
    const broker = connect(this.#target, '127.0.0.1')
    const refusals = new Map<number, { readonly code: number; readonly done: () => void }>()
    for (const socket of [client, broker]) {
      this.#sockets.add(socket)
      socket.on('error', () => socket.destroy()).on('close', () => this.#sockets.delete(socket))
    }
    client.on('close', () => broker.destroy())
    broker.on('close', () => client.destroy())
    onFrames(client, (frame) => {
      if (this.#armed !== undefined && frame.readInt16BE(4) === OFFSET_COMMIT_API) {
        refusals.set(frame.readInt32BE(8), this.#armed)
        this.#armed = undefined
        spoilGeneration(frame)
      }
      broker.write(frame)
    })
    onFrames(broker, (frame) => {
      const refusal = refusals.get(frame.readInt32BE(4))
      if (refusal !== undefined) {
        refusals.delete(frame.readInt32BE(4))
        setCodes(frame, refusal.code)
        refusal.done()
      }
      client.write(frame)
    })
  }
}

/** Versions 1 to 5 of the request: length, api key, version, correlation id, client id, group, generation. */
function spoilGeneration(frame: Buffer): void {
  let at = 12
  for (let texts = 0; texts < 2; texts++) at += 2 + Math.max(0, frame.readInt16BE(at))
  frame.writeInt32BE(NO_GENERATION, at)
}

/** Versions 3 to 5 of the answer: length, correlation id, throttle time, topics [name, partitions [number, code]]. */
function setCodes(frame: Buffer, code: number): void {
  let at = 12
  for (let topics = frame.readInt32BE(at); topics > 0; topics--) {
    at += 4
    at += 2 + frame.readInt16BE(at)
    const partitions = frame.readInt32BE(at)
    at += 4
    for (let partition = 0; partition < partitions; partition++) {
      frame.writeInt16BE(code, at + 4)
      at += 6
    }
  }
}

/** Calls back with whole requests or answers, however the bytes are cut. */
function onFrames(socket: Socket, take: (frame: Buffer) => void): void {
  let rest = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
      const length = 4 + rest.readInt32BE(0)
      take(Buffer.from(rest.subarray(0, length)))
      rest = rest.subarray(length)
    }
  })
}
