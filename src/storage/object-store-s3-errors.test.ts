import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLogger } from '../telemetry/logger.ts'
import { toStoreError } from './object-store-s3-errors.ts'

const place = { bucket: 'b', url: 's3://b', endpoint: 'https://s3.example' }
const never = new AbortController().signal

function logged(error: unknown): string {
  let line = ''
  const write = (text: string): void => {
    line += text
  }
  createLogger({ destination: { write } }).error({ error }, 'failed')
  return line
}

test('what the store says of a refused signature does not come into a log: neither key id nor the text that was signed', () => {
  // As the SDK makes it of SignatureDoesNotMatch: fields of the answer's XML become fields of the error.
  const refused = Object.assign(new Error('The signature of AKIAEXAMPLE does not match'), {
    name: 'SignatureDoesNotMatch',
    $metadata: { httpStatusCode: 403, requestId: 'request-7' },
    AWSAccessKeyId: 'AKIAEXAMPLE',
    StringToSign: 'AWS4-HMAC-SHA256 AKIAEXAMPLE/20260101',
  })
  const error = toStoreError(refused, 'write', place, never)
  assert.equal(error.code, 'SIDEREAL_OBJECT_STORE_REFUSED')
  assert.match(error.message, /SignatureDoesNotMatch.*AWS_SECRET_ACCESS_KEY/)
  const line = logged(error)
  assert.doesNotMatch(line, /AKIAEXAMPLE|HMAC/)
  // What helps to find the request at the store stays.
  assert.match(line, /status 403/)
  assert.match(line, /request-7/)
})

test('an error of the network keeps its words and its code', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED 10.0.0.1:443'), { code: 'ECONNREFUSED' })
  const error = toStoreError(refused, 'write', place, never)
  assert.equal(error.retryable, true)
  assert.match(logged(error), /connect ECONNREFUSED 10\.0\.0\.1:443/)
})
