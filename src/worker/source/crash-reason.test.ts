import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crashReason } from './crash-reason.ts'

/** As kafkajs wraps it. */
const gaveUp = (cause: Error): Error =>
  Object.assign(new Error(cause.message), { name: 'KafkaJSNonRetriableError', cause })

test('what a new start does not mend is named with what does; everything else in the words of the client', () => {
  const group = Object.assign(new Error('protocols are incompatible'), {
    type: 'INCONSISTENT_GROUP_PROTOCOL',
  })
  assert.match(crashReason(gaveUp(group)), /protocols are incompatible.*set SIDEREAL_GROUP/)
  const password = Object.assign(new Error('SCRAM failed'), { name: 'KafkaJSSASLAuthenticationError' })
  assert.match(crashReason(gaveUp(password)), /SCRAM failed.*SIDEREAL_KAFKA_SASL_PASSWORD/)
  assert.equal(crashReason(new Error('a broker is away')), 'the Kafka client gave up (a broker is away)')
})
