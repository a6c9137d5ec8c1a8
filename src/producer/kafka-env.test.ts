import assert from 'node:assert/strict'
import { test } from 'node:test'
import { kafkaFromEnv } from './kafka-env.ts'

function read(env: Record<string, string>) {
  const problems: string[] = []
  return { connection: kafkaFromEnv(env, problems), problems }
}
const broker = { SIDEREAL_KAFKA_BROKERS: 'kafka:9094, kafka-2:9094' }
const noFiles = { caPath: undefined, certPath: undefined, keyPath: undefined }

test('TLS and SASL are read, and whole settings are no problem', () => {
  assert.deepEqual(read({}), { connection: undefined, problems: [] })
  assert.deepEqual(
    read({
      ...broker,
      SIDEREAL_KAFKA_TLS: 'TRUE',
      SIDEREAL_KAFKA_TLS_CA: '/ca.pem',
      SIDEREAL_KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512',
      SIDEREAL_KAFKA_SASL_USERNAME: 'workflow',
      SIDEREAL_KAFKA_SASL_PASSWORD: ' secret ',
    }),
    {
      connection: {
        brokers: ['kafka:9094', 'kafka-2:9094'],
        tls: { ...noFiles, caPath: '/ca.pem' },
        sasl: { mechanism: 'scram-sha-512', username: 'workflow', password: ' secret ' },
      },
      problems: [],
    },
  )
  assert.deepEqual(read({ ...broker, SIDEREAL_KAFKA_TLS: 'off' }).connection?.tls, undefined)
})

test('who meant TLS and made a mistake is told, and talks TLS all the same', () => {
  for (const tls of ['ture', 'enabled']) {
    const { connection, problems } = read({ ...broker, SIDEREAL_KAFKA_TLS: tls })
    assert.deepEqual(connection?.tls, noFiles)
    assert.deepEqual(problems, ['SIDEREAL_KAFKA_TLS is neither true nor false: true is used'])
  }
  const files = { ...broker, SIDEREAL_KAFKA_TLS_CA: '/ca.pem' }
  const unset = read(files)
  assert.deepEqual(unset.connection?.tls, { ...noFiles, caPath: '/ca.pem' })
  assert.deepEqual(unset.problems, [
    'SIDEREAL_KAFKA_TLS_* files are set, and SIDEREAL_KAFKA_TLS is not: TLS is used',
  ])
  const off = read({ ...files, SIDEREAL_KAFKA_TLS: 'false' })
  assert.equal(off.connection?.tls, undefined)
  assert.deepEqual(off.problems, ['SIDEREAL_KAFKA_TLS_* files do nothing, since SIDEREAL_KAFKA_TLS is false'])
})

test('half a SASL is told, without the password', () => {
  const user = { ...broker, SIDEREAL_KAFKA_SASL_USERNAME: 'me', SIDEREAL_KAFKA_SASL_PASSWORD: 'secret' }
  const { connection, problems } = read(user)
  assert.equal(connection?.sasl, undefined)
  assert.deepEqual(problems, [
    'SIDEREAL_KAFKA_SASL_USERNAME, SIDEREAL_KAFKA_SASL_PASSWORD: nothing is done with it without SIDEREAL_KAFKA_SASL_MECHANISM',
  ])
  assert.deepEqual(read({ ...broker, SIDEREAL_KAFKA_SASL_MECHANISM: 'plain' }).problems, [
    'SIDEREAL_KAFKA_SASL_MECHANISM needs SIDEREAL_KAFKA_SASL_USERNAME and SIDEREAL_KAFKA_SASL_PASSWORD',
  ])
  assert.throws(() => read({ ...user, SIDEREAL_KAFKA_SASL_MECHANISM: 'oauthbearer' }), {
    code: 'SIDEREAL_CONFIG_INVALID',
  })
})
