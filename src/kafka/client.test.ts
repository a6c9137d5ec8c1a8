import assert from 'node:assert/strict'
import { test } from 'node:test'
import { logLevel } from 'kafkajs'
import { silentLogger } from '../telemetry/logger.ts'
import { createKafka } from './client.ts'
import { forwardKafkajsLogs } from './kafkajs-log.ts'

const options = { clientId: 'c', logger: silentLogger }

test('a configuration that cannot work is refused with what to do', () => {
  assert.throws(() => createKafka({ brokers: [] }, options), {
    code: 'SIDEREAL_CONFIG_INVALID',
    message: /SIDEREAL_KAFKA_BROKERS/,
  })
  const brokers = ['k:1']
  assert.throws(() => createKafka({ brokers, tls: { caPath: '/no/such.pem' } }, options), {
    code: 'SIDEREAL_CONFIG_INVALID',
    message: /\/no\/such\.pem/,
  })
  assert.throws(() => createKafka({ brokers, tls: { certPath: '/a' } }, options), {
    code: 'SIDEREAL_CONFIG_INVALID',
    message: /key/,
  })
})

test('kafkajs’s lines are forwarded without its free fields, and repetitions as one line with a count', () => {
  const lines: { level: string; fields: Readonly<Record<string, unknown>>; message: string }[] = []
  const take = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) =>
    void lines.push({ level, fields, message })
  let now = 0
  const log = forwardKafkajsLogs(
    { debug: take('debug'), info: take('info'), warn: take('warn'), error: take('error') },
    () => now,
  )()
  const entry = (message: string, extra: object = {}) =>
    log({
      namespace: 'Connection',
      level: logLevel.ERROR,
      label: 'ERROR',
      log: { timestamp: '', message, ...extra },
    })
  entry('Connection error 1', { broker: 'b:1', stack: 'secret', payload: 'secret' })
  for (let i = 0; i < 50; i++) entry(`Connection error ${i}`)
  now = 31_000
  entry('Connection error 99', { retryCount: 3 })
  assert.deepEqual(lines, [
    {
      level: 'error',
      fields: { source: 'kafkajs', namespace: 'Connection', broker: 'b:1' },
      message: 'Connection error 1',
    },
    {
      level: 'warn',
      fields: { source: 'kafkajs', namespace: 'Connection', retryCount: 3, suppressed: 50 },
      message: 'Connection error 99',
    },
  ])
})
