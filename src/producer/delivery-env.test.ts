import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Logger, silentLogger } from '../telemetry/logger.ts'
import { tracingConfigFromEnv } from './tracing-config.ts'

function read(env: Record<string, string>) {
  const warnings: unknown[] = []
  const logger: Logger = { ...silentLogger, warn: (fields) => void warnings.push(fields) }
  return { config: tracingConfigFromEnv(env, logger), warnings }
}

test('delivery is set by SIDEREAL_PRODUCER_*; values that cannot be used are one warning, with others of the environment, and the default', () => {
  const good = read({
    SIDEREAL_PRODUCER_COMPRESSION: 'gzip',
    SIDEREAL_PRODUCER_LINGER_MS: '20',
    SIDEREAL_PRODUCER_QUEUE_BYTES: '1000000',
    SIDEREAL_PRODUCER_SPOOL_DIR: '/var/spool/traces',
    SIDEREAL_PRODUCER_SPOOL_MAX_BYTES: '5000000',
  })
  const { compression, lingerMs, maxQueueBytes, spool } = good.config
  assert.deepEqual(
    { compression, lingerMs, maxQueueBytes, spool },
    {
      compression: 'gzip',
      lingerMs: 20,
      maxQueueBytes: 1_000_000,
      spool: { folder: '/var/spool/traces', maxBytes: 5_000_000 },
    },
  )
  assert.deepEqual(good.warnings, [])
  const bad = read({
    SIDEREAL_PRODUCER_COMPRESSION: 'lzma',
    SIDEREAL_PRODUCER_LINGER_MS: 'soon',
    SIDEREAL_PRODUCER_QUEUE_BYTES: '0',
    OTEL_SPAN_EVENT_COUNT_LIMIT: 'many',
  })
  const { config } = bad
  assert.deepEqual(
    [config.compression, config.lingerMs, config.maxQueueBytes, config.spool],
    [undefined, undefined, undefined, undefined],
  )
  assert.deepEqual(bad.warnings, [
    {
      problems: [
        'OTEL_SPAN_EVENT_COUNT_LIMIT is not a whole number: it is left out',
        'SIDEREAL_PRODUCER_COMPRESSION is none of none, gzip, snappy, lz4, zstd: the default is used',
        'SIDEREAL_PRODUCER_LINGER_MS is not a whole number from 0 on: it is left out',
        'SIDEREAL_PRODUCER_QUEUE_BYTES is not a whole number from 1 on: it is left out',
      ],
    },
  ])
})

test('TLS without a broker is a warning, and the default broker is never talked to in plain text', () => {
  const { config, warnings } = read({ SIDEREAL_KAFKA_TLS: 'true', SIDEREAL_KAFKA_TLS_CA: '/ca.pem' })
  assert.deepEqual(config.kafka, {
    brokers: ['127.0.0.1:9092'],
    tls: { caPath: '/ca.pem', certPath: undefined, keyPath: undefined },
  })
  assert.equal(warnings.length, 1)
  assert.deepEqual(read({}).warnings, [])
  assert.equal(read({}).config.kafka, undefined)
})
