import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SiderealError } from '../model/errors.ts'
import { faultOf, formatFinding, withDeadline } from './finding.ts'

test('a check that never answers becomes a fault that says what to try', async () => {
  const findings = await withDeadline('Kafka at a:1', 10, 'Look there.', () => new Promise(() => undefined))
  assert.deepEqual(findings, [
    { state: 'fault', subject: 'Kafka at a:1', detail: 'no answer within 0.01 s. Look there.' },
  ])
})

test('a check that throws becomes a fault with message and code', async () => {
  const error = new SiderealError('SIDEREAL_TOPIC_INVALID', 'No topic. Make one.')
  const [finding] = await withDeadline('x', 1000, '', () => Promise.reject(error))
  assert.equal(finding?.state, 'fault')
  assert.match(
    formatFinding(faultOf('x', error)),
    /^FAULT +x: No topic\. Make one\. \(SIDEREAL_TOPIC_INVALID\)$/,
  )
})
