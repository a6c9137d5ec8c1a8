import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import {
  type ConnectionLike,
  patchSilentConnections,
  patchTimerSpin,
  type RequestQueueLike,
} from './kafkajs-patch.ts'
import { patchResponses } from './kafkajs-responses.ts'

interface Queue extends RequestQueueLike {
  push(request: object): void
  fulfillRequest(response: object): void
  destroy(): void
}

test('the kafkajs that is installed is the one the timer patch was written for', () => {
  assert.equal(patchTimerSpin(), true)
})

test('a connection without waiting requests arms no timer, one with a throttled request does', () => {
  patchTimerSpin()
  const require = createRequire(import.meta.url)
  const RequestQueue = require('kafkajs/src/network/requestQueue') as new (options: object) => Queue
  const logger = { debug: () => undefined, warn: () => undefined }
  const queue = new RequestQueue({
    maxInFlightRequests: null,
    requestTimeout: 1000,
    enforceRequestTimeout: false,
    clientId: 'c',
    broker: 'b',
    logger,
  })
  let sent = 0
  const entry = (correlationId: number) => ({
    correlationId,
    apiKey: 0,
    apiName: 'x',
    apiVersion: 0,
    resolve: () => undefined,
    reject: () => undefined,
  })
  const push = (correlationId: number) => {
    queue.push({
      entry: entry(correlationId),
      expectResponse: true,
      requestTimeout: null,
      sendRequest: () => sent++,
    })
  }
  push(1)
  queue.fulfillRequest({ correlationId: 1, payload: null, size: 0 })
  assert.equal(queue.throttleCheckTimeoutId, null)
  queue.throttledUntil = Date.now() + 60_000
  push(2)
  assert.notEqual(queue.throttleCheckTimeoutId, null)
  assert.equal(sent, 1)
  queue.destroy()
})

interface Connection extends ConnectionLike {
  disconnect(): Promise<unknown>
}

test('a connection on which no answer comes is given up, all that waits on it too, and the next request opens another', async () => {
  assert.equal(patchSilentConnections(), true)
  assert.equal(patchResponses(), true)
  const require = createRequire(import.meta.url)
  const Connection = require('kafkajs/src/network/connection') as new (options: object) => Connection
  const Encoder = require('kafkajs/src/protocol/encoder') as new () => object
  const accepted: Socket[] = []
  const server = createServer((socket) => {
    accepted.push(socket.on('error', () => undefined))
    socket.on('data', (request: Buffer) => {
      // The first connection stops in the middle of a response of 100 bytes; the third answers.
      if (accepted.length === 1) socket.write(Buffer.from([0, 0, 0, 100, 1, 2, 3, 4, 5, 6]))
      if (accepted.length === 3)
        socket.write(Buffer.concat([Buffer.from([0, 0, 0, 4]), request.subarray(8, 12)]))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const silent = () => undefined
  const logger = { debug: silent, info: silent, warn: silent, error: silent, namespace: () => logger }
  const connection = new Connection({
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    logger,
    socketFactory: ({ host, port, onConnect }: { host: string; port: number; onConnect: () => void }) =>
      connect({ host, port }, onConnect),
    requestTimeout: 100,
    connectionTimeout: 10_000,
  })
  const ask = (requestTimeout: number) =>
    connection.send({
      requestTimeout,
      // ApiVersions: the one that needs no authentication.
      request: {
        apiKey: 18,
        apiName: 'ApiVersions',
        apiVersion: 0,
        encode: async () => new Encoder(),
      },
      response: { decode: async () => ({}), parse: async () => ({}) },
    })
  try {
    await connection.connect()
    const patient = assert.rejects(ask(600_000), { name: 'KafkaJSConnectionError' })
    await assert.rejects(ask(100), { name: 'KafkaJSRequestTimeoutError' })
    assert.equal(connection.isConnected(), false)
    await patient
    await connection.connect()
    assert.equal(connection.isConnected(), true)
    await assert.rejects(ask(100), { name: 'KafkaJSRequestTimeoutError' })
    assert.equal(accepted.length, 2)
    await Promise.all([connection.connect(), connection.connect()])
    await ask(10_000)
    assert.equal(accepted.length, 3)
  } finally {
    for (const socket of accepted) socket.destroy()
    await connection.disconnect()
    server.close()
  }
})
