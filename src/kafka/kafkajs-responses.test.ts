import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { Socket } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { patchResponses, type ReceivingConnection, recycleResponse } from './kafkajs-responses.ts'

const require = createRequire(import.meta.url)

/** kafkajs's own class, patched, with a queue that keeps what it is given. */
function connect(): {
  connection: ReceivingConnection
  answers: { correlationId: number; payload: Buffer }[]
} {
  assert.equal(patchResponses(), true)
  const Connection = require('kafkajs/src/network/connection') as { prototype: ReceivingConnection }
  const answers: { correlationId: number; payload: Buffer }[] = []
  const connection = Object.assign(Object.create(Connection.prototype) as ReceivingConnection, {
    socket: new Socket(),
    authHandlers: null,
    authExpectResponse: false,
    requestQueue: {
      fulfillRequest: ({ correlationId, payload }: { correlationId: number; payload: Buffer }) =>
        answers.push({ correlationId, payload: Buffer.from(payload) }),
    },
  })
  return { connection, answers }
}

function encode(correlationId: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(8)
  head.writeInt32BE(payload.length + 4, 0)
  head.writeInt32BE(correlationId, 4)
  return Buffer.concat([head, payload])
}

test('answers come out whole and in order, however the pieces are cut, and nothing of a piece is kept', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.nat(40), fc.integer({ min: 60_000, max: 200_000 })), { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 20 }),
      (sizes, cuts) => {
        const { connection, answers } = connect()
        const payloads = sizes.map((size, id) => Buffer.alloc(size, `${id}-`))
        const stream = Buffer.concat(payloads.map((payload, id) => encode(id, payload)))
        const piece = Buffer.alloc(70_000)
        for (let at = 0, turn = 0; at < stream.length; turn++) {
          const length = Math.min(cuts[turn % cuts.length]!, stream.length - at)
          stream.copy(piece, 0, at, at + length)
          connection.processData(piece.subarray(0, length))
          piece.fill(0xff)
          at += length
        }
        assert.deepEqual(
          answers,
          payloads.map((payload, correlationId) => ({ correlationId, payload })),
        )
      },
    ),
    { numRuns: 60 },
  )
})

test('half an answer is forgotten with its connection: the next one begins anew', () => {
  const { connection, answers } = connect()
  connection.processData(encode(1, Buffer.alloc(100)).subarray(0, 50))
  connection.socket = new Socket()
  connection.processData(encode(2, Buffer.from('whole')))
  assert.deepEqual(answers, [{ correlationId: 2, payload: Buffer.from('whole') }])
})

test('something else than a broker is cut off at its first words', async () => {
  const { connection, answers } = connect()
  const { socket } = connection
  const failed = new Promise<Error>((resolve) => socket?.once('error', resolve))
  connection.processData(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'))
  assert.match((await failed).message, /does not speak Kafka/)
  assert.equal(answers.length, 0)
})

test('memory is used again only when it was given to a response and is whole back', () => {
  const { connection } = connect()
  const views: Buffer[] = []
  connection.requestQueue.fulfillRequest = ({ payload }) => void views.push(payload)
  connection.processData(encode(1, Buffer.alloc(100_000, 'a')))
  connection.processData(encode(2, Buffer.alloc(100_000, 'b')))
  assert.notEqual(views[0]!.buffer, views[1]!.buffer)
  recycleResponse(views[0]!.subarray(10, 20))
  // Twice is once, and memory of others is never taken.
  recycleResponse(views[0]!)
  recycleResponse(Buffer.alloc(200_000))
  connection.processData(encode(3, Buffer.alloc(90_000, 'c')))
  connection.processData(encode(4, Buffer.alloc(90_000, 'd')))
  assert.equal(views[2]!.buffer, views[0]!.buffer)
  assert.notEqual(views[3]!.buffer, views[0]!.buffer)
  assert.equal(views[1]!.toString('latin1', 0, 3), 'bbb')
  assert.equal(views[2]!.toString('latin1', 0, 3), 'ccc')
})

test('memory is used again for answers that have grown, which fit nothing that was kept before', () => {
  const { connection } = connect()
  const MIB = 1024 * 1024
  let view: Buffer | undefined
  connection.requestQueue.fulfillRequest = ({ payload }) => {
    view = payload
  }
  const memories: ArrayBufferLike[] = []
  // As a backlog is read: small answers first, then ever larger ones, then all of one size.
  for (const size of [0.1, 1, 2, 3, 4, 5, 6, 7, 7, 7, 7].map((mib) => Math.round(mib * MIB))) {
    connection.processData(encode(1, Buffer.alloc(size)))
    memories.push(view!.buffer)
    recycleResponse(view!)
  }
  assert.deepEqual(new Set(memories.slice(-4)).size, 1, 'one memory for all of one size')
  assert.equal(memories[0]!.byteLength, 0, 'what was too small was given back')
})

test('what a handshake is answered goes to it whole, with its length', () => {
  const { connection } = connect()
  const seen: Buffer[] = []
  connection.authHandlers = { onSuccess: (raw) => void seen.push(Buffer.from(raw)) }
  connection.authExpectResponse = true
  const answer = encode(7, Buffer.from('token'))
  connection.processData(answer.subarray(0, 3))
  connection.processData(answer.subarray(3))
  connection.authExpectResponse = false
  connection.processData(Buffer.from('raw'))
  assert.deepEqual(seen, [answer, Buffer.from('raw')])
})
