import type { Socket } from 'node:net'
import { giveBack } from '../model/give-back.ts'
import { requireKafkajs } from './kafkajs-internals.ts'

const partial = Symbol.for('sidereal.kafkajs.responses')

const LENGTH_BYTES = 4
const CORRELATION_ID_BYTES = 4
/** No answer of a broker is as large; something else that speaks on that port says so at once. */
const MAX_RESPONSE_BYTES = 512 * 1024 * 1024
/** Smaller answers are not worth keeping. */
const MIN_KEPT_BYTES = 64 * 1024
const MAX_KEPT_BYTES = 32 * 1024 * 1024
const MAX_KEPT = 3
const ROUND_BYTES = 1024 * 1024

/** A response that has not come whole yet. */
interface PartialResponse {
  readonly socket: Socket | undefined
  readonly length: Buffer
  lengthBytes: number
  body: Buffer | undefined
  bodyBytes: number
}

interface Fulfilment {
  readonly size: number
  readonly correlationId: number
  readonly payload: Buffer
}

/** The part of kafkajs's private `Connection` that the patch touches. */
export interface ReceivingConnection {
  socket?: Socket
  authHandlers: { onSuccess(raw: Buffer): void } | null
  authExpectResponse: boolean
  requestQueue: { fulfillRequest(fulfilment: Fulfilment): void }
  processData(chunk: Buffer): void
  [partial]?: PartialResponse | undefined
}

/** Memory that responses were given: no other is ever taken back. */
const given = new WeakSet<ArrayBufferLike>()
/** Memory of large responses that were read, for the next ones. */
const kept: Buffer[] = []

/**
 * Takes the memory of a response back, for the next one: a fetch fills megabytes, and fresh memory for each costs the system more than
 * the copy, and lies about until the garbage collector comes. `view` is any part of the response; nobody may read any part of it again.
 */
export function recycleResponse(view: Uint8Array): void {
  const { buffer } = view
  if (!given.delete(buffer)) return
  if (kept.length >= MAX_KEPT || buffer.byteLength > MAX_KEPT_BYTES) giveBack(view)
  else kept.push(Buffer.from(buffer))
}

/**
 * kafkajs 2.2.4 joins the pieces of a response once it is whole, and keeps what comes behind it as a part of the same memory. It also keeps a half
 * response when its connection breaks, and takes the next connection's first answer for the rest of it. This puts each piece where it belongs
 * as it comes, into memory that belongs to one response, and begins anew with each connection. Pieces are copied before it returns.
 * Returns false, and leaves kafkajs alone, when its version is another one.
 */
export function patchResponses(): boolean {
  const require = requireKafkajs()
  if (require === undefined) return false
  const Connection = require('kafkajs/src/network/connection') as { prototype: ReceivingConnection }
  const { prototype } = Connection
  if (typeof prototype.processData !== 'function') return false
  prototype.processData = processData
  return true
}

function processData(this: ReceivingConnection, chunk: Buffer): void {
  if (this.authHandlers !== null && !this.authExpectResponse) {
    this.authHandlers.onSuccess(Buffer.from(chunk))
    return
  }
  let at = 0
  while (at < chunk.length) {
    const response = partialOf(this)
    if (response.body === undefined) {
      const count = chunk.copy(response.length, response.lengthBytes, at)
      response.lengthBytes += count
      at += count
      if (response.lengthBytes < LENGTH_BYTES) return
      const size = response.length.readInt32BE()
      if (size < CORRELATION_ID_BYTES || size > MAX_RESPONSE_BYTES) {
        this.socket?.destroy(
          new Error(`the other side does not speak Kafka's protocol: an answer of ${size} bytes`),
        )
        return
      }
      response.body = memoryFor(size)
      continue
    }
    const { body } = response
    const count = chunk.copy(body, response.bodyBytes, at)
    response.bodyBytes += count
    at += count
    if (response.bodyBytes < body.length) return
    this[partial] = undefined
    if (this.authHandlers !== null) {
      this.authHandlers.onSuccess(Buffer.concat([response.length, body]))
      return
    }
    this.requestQueue.fulfillRequest({
      size: body.length,
      correlationId: body.readInt32BE(),
      payload: body.subarray(CORRELATION_ID_BYTES),
    })
  }
}

function memoryFor(size: number): Buffer {
  if (size < MIN_KEPT_BYTES) return Buffer.allocUnsafe(size)
  const place = kept.findIndex((one) => one.length >= size)
  const found = place < 0 ? undefined : kept.splice(place, 1)[0]
  // Answers grow while a backlog begins to be read: what is too small now would only take the place of what fits.
  if (found === undefined) for (const memory of kept.splice(0)) giveBack(memory)
  // Rounded up, so that the next response fits as well. What is not written takes no memory.
  const whole = found ?? Buffer.allocUnsafeSlow(Math.ceil(size / ROUND_BYTES) * ROUND_BYTES)
  given.add(whole.buffer)
  return whole.subarray(0, size)
}

function partialOf(connection: ReceivingConnection): PartialResponse {
  const { socket } = connection
  const found = connection[partial]
  if (found !== undefined && found.socket === socket) return found
  const created: PartialResponse = {
    socket,
    length: Buffer.alloc(LENGTH_BYTES),
    lengthBytes: 0,
    body: undefined,
    bodyBytes: 0,
  }
  connection[partial] = created
  return created
}
