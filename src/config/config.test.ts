import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { isSiderealError } from '../model/errors.ts'
import { configGroups, describeConfig, loadConfig } from './config.ts'

function problemsOf(env: Record<string, string>, file?: string): string {
  try {
    loadConfig(env, file)
  } catch (error) {
    assert.ok(isSiderealError(error, 'SIDEREAL_CONFIG_INVALID'))
    return error.message
  }
  assert.fail('the configuration was accepted')
}

function withFile(text: string, use: (path: string) => void): void {
  const directory = mkdtempSync(join(tmpdir(), 'sidereal-config-'))
  try {
    const path = join(directory, 'sidereal.yaml')
    writeFileSync(path, text)
    use(path)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

describe('loadConfig', () => {
  test('an empty environment gives the defaults of the documentation', () => {
    const config = loadConfig({})
    assert.equal(config.topics.traces, 'sidereal.traces.v1')
    assert.equal(config.worker.quietMs, 10_000)
    assert.equal(config.worker.maxMemoryBytes, 400 * 1024 * 1024)
    assert.equal(config.payloads.limitBytes, 5 * 1024)
    assert.equal(config.payloads.objectStore, undefined)
    assert.deepEqual(config.worker.sinks, [{ name: 'clickhouse', mode: 'required' }])
  })

  test('an unknown key is an error that names the nearest one', () => {
    assert.match(
      problemsOf({ SIDEREAL_KAFKA_BROKER: 'a:1' }),
      /SIDEREAL_KAFKA_BROKER .*mean SIDEREAL_KAFKA_BROKERS\?/,
    )
    assert.match(problemsOf({ SIDEREAL_QUITE_MS: '1' }), /mean SIDEREAL_QUIET_MS\?/)
  })

  test('variables without the prefix and empty ones are left alone', () => {
    assert.equal(loadConfig({ KAFKA_BROKERS: 'x', SIDEREAL_TOPIC: '' }).topics.traces, 'sidereal.traces.v1')
  })

  test('every problem is listed at once', () => {
    const message = problemsOf({
      SIDEREAL_MAX_MEMORY: 'much',
      SIDEREAL_KAFKA_BROKERS: 'nowhere',
      SIDEREAL_TOPICS: 'x',
    })
    assert.match(message, /SIDEREAL_MAX_MEMORY: "much" is not a size/)
    assert.match(message, /SIDEREAL_KAFKA_BROKERS: "nowhere" is not host:port/)
    assert.match(message, /SIDEREAL_TOPICS is not a key/)
  })

  test('keys that contradict each other are refused', () => {
    assert.match(problemsOf({ SIDEREAL_SINKS: 'clickhouse,otlp' }), /needs SIDEREAL_OTLP_ENDPOINT/)
    assert.match(problemsOf({ SIDEREAL_KAFKA_SASL_MECHANISM: 'plain' }), /SASL_USERNAME/)
    assert.match(problemsOf({ SIDEREAL_HEARTBEAT_MS: '20s' }), /a third/)
    assert.match(problemsOf({ SIDEREAL_DEAD_LETTER_TOPIC: 'sidereal.traces.v1' }), /the same topic/)
  })

  test('the result cannot be changed', () => {
    const config = loadConfig({})
    assert.throws(() => Object.assign(config.worker, { quietMs: 1 }), TypeError)
    assert.throws(() => Object.assign(config.kafka.brokers, { 0: 'x' }), TypeError)
  })

  test('a YAML file gives the same settings, nested or flat, and variables go before it', () => {
    const yaml =
      'kafka:\n  brokers: [a:1, b:2]\n  tls: true\nquiet_ms: 2s\notlp:\n  headers: {X-Key: "a,b"}\ntopic: from.file\n'
    withFile(yaml, (path) => {
      const config = loadConfig({ SIDEREAL_CONFIG: path, SIDEREAL_TOPIC: 'from.env' })
      assert.deepEqual(config.kafka.brokers, ['a:1', 'b:2'])
      assert.equal(config.kafka.isTls, true)
      assert.equal(config.worker.quietMs, 2000)
      assert.deepEqual(config.otlp.headers, { 'x-key': 'a,b' })
      assert.equal(config.topics.traces, 'from.env')
    })
  })

  test('an unknown key in the file is an error that names the file', () => {
    withFile('kafka: {broker: a:1}\n', (path) => {
      assert.match(problemsOf({}, path), /SIDEREAL_KAFKA_BROKERS\? \(in .*sidereal.yaml\)/)
    })
  })

  test('a file that is missing or no YAML is an error that names it', () => {
    assert.match(problemsOf({}, '/nonexistent.yaml'), /\/nonexistent.yaml cannot be read/)
    withFile('a: [1', (path) => assert.match(problemsOf({}, path), /cannot be read/))
    withFile('just text', (path) => assert.match(problemsOf({}, path), /not a map/))
  })
})

describe('secrets', () => {
  const secrets = {
    SIDEREAL_CLICKHOUSE_PASSWORD: 'hush-clickhouse',
    SIDEREAL_KAFKA_SASL_MECHANISM: 'plain',
    SIDEREAL_KAFKA_SASL_USERNAME: 'user',
    SIDEREAL_KAFKA_SASL_PASSWORD: 'hush-kafka',
    SIDEREAL_REGISTRY_PASSWORD: 'hush-registry',
    SIDEREAL_OTLP_HEADERS: 'authorization=hush-otlp',
  }

  test('describeConfig shows every key and no secret', () => {
    const described = describeConfig(loadConfig(secrets))
    assert.equal(described['SIDEREAL_CLICKHOUSE_PASSWORD'], '(secret)')
    assert.equal(described['SIDEREAL_OTLP_ENDPOINT'], '(unset)')
    assert.equal(described['SIDEREAL_SINKS'], 'clickhouse:required')
    assert.ok(!JSON.stringify(described).includes('hush'))
    for (const key of configGroups().flatMap((group) => group.keys)) assert.ok(key.envName in described)
  })

  test('no complaint quotes a secret', () => {
    const messages = [
      problemsOf({ ...secrets, SIDEREAL_OTLP_HEADERS: 'hush-otlp' }),
      problemsOf({ SIDEREAL_CLICKHOUSE_PASSWRD: 'hush-clickhouse' }),
      problemsOf({ SIDEREAL_CLICKHOUSE_URL: 'http://user:hush@host:8123' }),
      problemsOf({ SIDEREAL_CLICKHOUSE_URL: 'ftp://user:hush@host:8123' }),
    ]
    for (const message of messages) assert.ok(!message.includes('hush'), message)
  })
})

test('each key has a name of its own, a description, and a default that parses', () => {
  const keys = configGroups().flatMap((group) => group.keys)
  assert.equal(new Set(keys.map((key) => key.envName)).size, keys.length)
  for (const key of keys) {
    assert.ok(key.description.length > 5, key.envName)
    if (key.defaultText !== undefined) loadConfig({ [key.envName]: key.defaultText })
  }
})
