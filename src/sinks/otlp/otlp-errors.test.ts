import assert from 'node:assert/strict'
import { test } from 'node:test'
import { status } from '@grpc/grpc-js'
import { readFailure } from './otlp-errors.ts'

const VALUE = 'card-4711'
const answer = (code: number, details: string): Error =>
  Object.assign(new Error(`${code} ${status[code]}: ${details}`), { code, details, metadata: { VALUE } })

test('what a receiver says of a span is told by its code alone: its text may quote values', () => {
  for (const code of [
    status.INVALID_ARGUMENT,
    status.RESOURCE_EXHAUSTED,
    status.INTERNAL,
    status.UNAVAILABLE,
  ]) {
    for (const details of [`attribute card=${VALUE} is too large`, VALUE, '']) {
      const failure = readFailure(answer(code, details), 'http://h:4317')
      const told =
        failure.kind === 'content' ? failure.reason : `${failure.error.message} ${failure.error.cause}`
      assert.doesNotMatch(told, /4711/)
      assert.match(told, new RegExp(status[code] ?? 'none'))
    }
  }
})

test('an error that is no answer is told by its name', () => {
  const failure = readFailure(new SyntaxError(`Unexpected token in ${VALUE}`), 'http://h:4317')
  assert.ok(failure.kind === 'state' && failure.error.retryable)
  assert.match(failure.error.message, /SyntaxError/)
  assert.doesNotMatch(`${failure.error.message} ${failure.error.cause}`, /4711/)
})

test('why there is no connection is told, in words of this side', () => {
  for (const [details, expected] of [
    ['No connection established. Last error: connect ECONNREFUSED 10.0.0.1:4317', /ECONNREFUSED/],
    ['No connection established. Last error: self-signed certificate', /self-signed certificate/],
    ['Name resolution failed for target dns:collector:4317', /Name resolution failed/],
  ] as const) {
    const failure = readFailure(answer(status.UNAVAILABLE, details), 'http://h:4317')
    assert.ok(failure.kind === 'state')
    assert.match(failure.error.message, expected)
  }
})
