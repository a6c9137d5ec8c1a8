import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { patchTimerSpin, type RequestQueueLike } from './kafkajs-patch.ts'

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
