import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClickHouseError } from '@clickhouse/client'
import { toClickHouseError } from './errors.ts'

const of = (code: number, type: string, message = 'secret value of a row') =>
  toClickHouseError(
    new ClickHouseError({ code: String(code), type, message }),
    'inserting into spans',
    'http://h:8123',
  )

test('a row that is refused for its content is not retryable, and its values are not told', () => {
  for (const [code, type] of [
    [469, 'VIOLATED_CONSTRAINT'],
    [117, 'INCORRECT_DATA'],
    [131, 'TOO_LARGE_STRING_SIZE'],
  ] as const) {
    const error = of(code, type)
    assert.deepEqual([error.code, error.retryable, error.cause], ['SIDEREAL_ROW_REFUSED', false, undefined])
    assert.doesNotMatch(error.message, /secret/)
  }
  assert.match(
    of(469, 'X', 'Constraint `no_bad` for table db.spans (1) is violated, secret').message,
    /no_bad of db\.spans/,
  )
})

test('the state of the server never condemns a row', () => {
  for (const [code, type] of [
    [252, 'TOO_MANY_PARTS'],
    [241, 'MEMORY_LIMIT_EXCEEDED'],
    [242, 'TABLE_IS_READ_ONLY'],
    [60, 'UNKNOWN_TABLE'],
    [16, 'NO_SUCH_COLUMN_IN_TABLE'],
    [516, 'AUTHENTICATION_FAILED'],
    [123456, 'A_CODE_OF_TOMORROW'],
  ] as const) {
    const error = of(code, type)
    assert.deepEqual([error.code, error.retryable], ['SIDEREAL_CLICKHOUSE_FAILED', true])
    assert.match(error.message, /http:\/\/h:8123/)
    assert.deepEqual([/secret/.test(error.message), error.cause], [false, undefined])
  }
})

test('no answer is an outage', () => {
  const reset = Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })
  for (const cause of [
    reset,
    new Error('Timeout error.'),
    new ClickHouseError({ code: '999', type: 'KEEPER_EXCEPTION', message: '' }),
  ]) {
    const error = toClickHouseError(cause, 'a query', 'http://h:8123')
    assert.deepEqual([error.code, error.retryable], ['SIDEREAL_CLICKHOUSE_UNAVAILABLE', true])
  }
})

test('an outage is told by code and name: what is no error of the server may still quote what it sent', () => {
  const system = Object.assign(new Error('connect ECONNREFUSED 10.0.0.1:8123'), { code: 'ECONNREFUSED' })
  for (const [cause, expected] of [
    [system, /ECONNREFUSED/],
    [new Error('Timeout error.'), /Timeout error/],
    [new DOMException('The operation was aborted due to timeout', 'TimeoutError'), /TimeoutError/],
    [new SyntaxError('Unexpected token in JSON: secret value of a row'), /SyntaxError/],
    [new Error('<html>secret value of a row'), /Error/],
    [Object.assign(new Error('secret'), { code: 'secret value' }), /Error/],
    ['secret value of a row', /unknown/],
    [new ClickHouseError({ code: '159', type: 'TIMEOUT_EXCEEDED', message: 'secret' }), /TIMEOUT_EXCEEDED/],
  ] as const) {
    const error = toClickHouseError(cause, 'a query', 'http://h:8123')
    assert.equal(error.code, 'SIDEREAL_CLICKHOUSE_UNAVAILABLE')
    assert.match(error.message, expected)
    assert.deepEqual([/secret/.test(error.message), error.cause], [false, undefined])
  }
})
