import type { Socket } from 'node:net'
import { requireKafkajs } from './kafkajs-internals.ts'

const patched = Symbol.for('sidereal.kafkajs.requestQueue')

/** The part of kafkajs's private `RequestQueue` that the patch touches. */
export interface RequestQueueLike {
  pending: unknown[]
  throttledUntil: number
  throttleCheckTimeoutId: NodeJS.Timeout | null
  checkPendingRequests(): void
  scheduleCheckPendingRequests(): void
  requestTimeoutIntervalId?: NodeJS.Timeout | null
  scheduleRequestTimeoutCheck(): void
  [patched]?: boolean
}

/**
 * kafkajs 2.2.4 keeps a 1 ms timer running on every connection for ever after its first response: 850 wake-ups a second, 5 % of a core
 * when idle, and on Node 24 a warning about negative timeouts. This replaces the one method that arms it: a timer
 * runs only while a request waits. Another looks ten times a second for requests without an answer: whether that keeps the process alive is left to
 * the socket. Returns false, and leaves kafkajs alone, when its version is another one.
 */
export function patchTimerSpin(): boolean {
  const require = requireKafkajs()
  if (require === undefined) return false
  const RequestQueue = require('kafkajs/src/network/requestQueue') as { prototype: RequestQueueLike }
  const prototype = RequestQueue.prototype
  if (prototype[patched]) return true
  if (typeof prototype.scheduleCheckPendingRequests !== 'function') return false
  prototype.scheduleCheckPendingRequests = function (this: RequestQueueLike): void {
    if (this.throttleCheckTimeoutId !== null || this.pending.length === 0) return
    const delayMs = this.throttledUntil - Date.now()
    this.throttleCheckTimeoutId = setTimeout(
      () => {
        this.throttleCheckTimeoutId = null
        this.checkPendingRequests()
      },
      delayMs > 0 ? delayMs : 10,
    )
  }
  const { scheduleRequestTimeoutCheck } = prototype
  prototype.scheduleRequestTimeoutCheck = function (this: RequestQueueLike): void {
    scheduleRequestTimeoutCheck.call(this)
    this.requestTimeoutIntervalId?.unref()
  }
  prototype[patched] = true
  return true
}

const closing = Symbol.for('sidereal.kafkajs.connection')
const connecting = Symbol.for('sidereal.kafkajs.connecting')
const REQUEST_TIMEOUT = 'KafkaJSRequestTimeoutError'

/** The part of kafkajs's private `Connection` that the patch touches. */
export interface ConnectionLike {
  socket?: Socket
  isConnected(): boolean
  connect(): Promise<unknown>
  send(request: unknown): Promise<unknown>
  [closing]?: boolean
  [connecting]?: Promise<unknown> | undefined
}

/**
 * kafkajs 2.2.4 goes on with a connection after a request on it has timed out. One that has gone silent (a firewall forgot it, packets are
 * dropped without a word) is used again and again: each fetch waits for its whole timeout, the members of a group miss their
 * heartbeats behind it, and it never ends by itself. This closes such a connection, as the Java client does; the next request opens
 * a new one. Returns false, and leaves kafkajs alone, when its version is another one.
 *
 * It also makes that new one begin anew: what the old one still brings would be read as part of its answers, and kafkajs throws then from a
 * socket's event, which ends the process (`patchResponses` forgets the half answer). And two requests that find it closed open
 * one connection together, not two.
 */
export function patchSilentConnections(): boolean {
  const require = requireKafkajs()
  if (require === undefined) return false
  const Connection = require('kafkajs/src/network/connection') as { prototype: ConnectionLike }
  const prototype = Connection.prototype
  if (prototype[closing]) return true
  const { connect, send } = prototype
  if (typeof send !== 'function' || typeof connect !== 'function') return false
  prototype.connect = function (this: ConnectionLike): Promise<unknown> {
    if (this.isConnected()) return connect.call(this)
    this[connecting] ??= startAnew(this, connect).finally(() => {
      this[connecting] = undefined
    })
    return this[connecting]
  }
  prototype.send = async function (this: ConnectionLike, request: unknown): Promise<unknown> {
    const { socket } = this
    try {
      return await send.call(this, request)
    } catch (error) {
      if (error instanceof Error && error.name === REQUEST_TIMEOUT && socket?.destroyed === false) {
        // Whoever is told of the timeout must find the connection closed: the next request would be written to it.
        const closed = new Promise((resolve) => socket.once('close', resolve))
        socket.destroy(new Error('no answer came in time: the connection is given up'))
        await closed
      }
      throw error
    }
  }
  prototype[closing] = true
  return true
}

function startAnew(connection: ConnectionLike, connect: () => Promise<unknown>): Promise<unknown> {
  // kafkajs only ends it: what it still brings would be read as if it came from the new one.
  connection.socket?.destroy()
  return connect.call(connection)
}
