import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OutgoingHeaders } from './dead-letter.ts'
import { REPLAY_HEADERS, readFirstArrival, setFirstArrival } from './first-arrival.ts'

const arrival = { topic: 'in.v1', partition: 3, offset: 2 ** 50, appendTimeMs: 1_700_000_000_000 }
const laterMs = arrival.appendTimeMs + 1

function headersOf(): OutgoingHeaders {
  const headers: OutgoingHeaders = { traceparent: Buffer.from('00-1') }
  setFirstArrival(headers, arrival)
  return headers
}

test('what replay writes is what the worker reads', () => {
  assert.deepEqual(readFirstArrival(headersOf(), laterMs), arrival)
  assert.deepEqual(readFirstArrival(headersOf(), arrival.appendTimeMs), arrival)
  assert.equal(readFirstArrival({ traceparent: Buffer.from('00-1') }, laterMs), undefined)
})

test('a record that is replayed a second time has one first arrival', () => {
  const headers = headersOf()
  headers[REPLAY_HEADERS.offset] = ['1', '2']
  setFirstArrival(headers, arrival)
  assert.deepEqual(readFirstArrival(headers, laterMs), arrival)
})

test('headers that are missing, no numbers, out of range or of a later time than the broker’s are not believed', () => {
  const changes: Record<string, OutgoingHeaders> = {
    'a time after the append time': { [REPLAY_HEADERS.appendTimeMs]: String(laterMs + 1) },
    'a time before Kafka': { [REPLAY_HEADERS.appendTimeMs]: '946684799999' },
    'a negative time': { [REPLAY_HEADERS.appendTimeMs]: '-1' },
    'an empty time': { [REPLAY_HEADERS.appendTimeMs]: '' },
    'a time with a fraction': { [REPLAY_HEADERS.appendTimeMs]: '1700000000000.5' },
    'a time in another form': { [REPLAY_HEADERS.appendTimeMs]: '1.7e12' },
    'a long number': { [REPLAY_HEADERS.appendTimeMs]: '9'.repeat(400) },
    'a partition that is none': { [REPLAY_HEADERS.partition]: 'x' },
    'a partition beyond 31 bits': { [REPLAY_HEADERS.partition]: '2147483648' },
    'a negative offset': { [REPLAY_HEADERS.offset]: '-1' },
    'an offset beyond 2^53': { [REPLAY_HEADERS.offset]: '9007199254740993' },
    'a topic that cannot be one': { [REPLAY_HEADERS.topic]: 'a b\n' },
  }
  for (const [what, change] of Object.entries(changes)) {
    assert.equal(readFirstArrival({ ...headersOf(), ...change }, laterMs), 'invalid', what)
  }
  for (const name of [REPLAY_HEADERS.topic, REPLAY_HEADERS.partition, REPLAY_HEADERS.offset]) {
    assert.equal(readFirstArrival({ ...headersOf(), [name]: null }, laterMs), 'invalid', name)
    assert.equal(readFirstArrival({ ...headersOf(), [name]: undefined }, laterMs), 'invalid', name)
  }
})
