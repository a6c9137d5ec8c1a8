import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { silentLogger } from '../telemetry/logger.ts'
import { tracingConfigFromEnv } from './tracing-config.ts'
import { PRODUCER_NAMES, unknownNames } from './unknown-names.ts'

test('a variable that nobody reads is told with the nearest one; those of the worker, and empty ones, are not', async () => {
  const problems = await unknownNames({
    SIDEREAL_KAFKA_BROKER: 'kafka:9092',
    SIDEREAL_PRODUCER_SPOOL_DIRECTORY: '/var/spool',
    SIDEREAL_TOPIC: 'traces',
    SIDEREAL_CLICKHOUSE_URL: 'http://clickhouse:8123',
    SIDEREAL_CONFIG: '/etc/sidereal.yaml',
    SIDEREAL_NOTHING: ' ',
    OTHER_KAFKA_BROKER: 'x',
  })
  assert.deepEqual(problems, [
    'SIDEREAL_KAFKA_BROKER is not a key of Sidereal; did you mean SIDEREAL_KAFKA_BROKERS?',
    'SIDEREAL_PRODUCER_SPOOL_DIRECTORY is not a key of Sidereal; did you mean SIDEREAL_PRODUCER_SPOOL_DIR?',
  ])
})

test('reading the environment says so as one warning, and goes on', async () => {
  const { promise, resolve } = Promise.withResolvers<Readonly<Record<string, unknown>>>()
  const config = tracingConfigFromEnv(
    { SERVICE_NAME: 'a', SIDEREAL_PRODUCER_LINGER: '20', SIDEREAL_TOPICS: 'x' },
    { ...silentLogger, warn: (fields) => resolve(fields) },
  )
  assert.equal(config.serviceName, 'a')
  assert.deepEqual(await promise, {
    problems: [
      'SIDEREAL_PRODUCER_LINGER is not a key of Sidereal; did you mean SIDEREAL_PRODUCER_LINGER_MS?',
      'SIDEREAL_TOPICS is not a key of Sidereal; did you mean SIDEREAL_TOPIC?',
    ],
  })
})

test('every variable of the producer that its documentation names is one that it knows', () => {
  const pages = globSync(new URL('../../docs/producer*.md', import.meta.url).pathname)
  assert.equal(pages.length, 2)
  const named = pages.flatMap(
    (page) => readFileSync(page, 'utf8').match(/SIDEREAL_PRODUCER_[A-Z_]*[A-Z]/g) ?? [],
  )
  assert.ok(named.length > 5)
  for (const name of named) assert.ok(PRODUCER_NAMES.includes(name), name)
})
