import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import kafkajs from 'kafkajs'
import { freePorts } from '../../src/local/free-ports.ts'
import { freshObjectStore, freshTopic } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { type CliResult, type Env, freshInstallation, runCli } from './cli-for-tests.ts'

const servers = await useServers()
const installation: Env = {
  ...(await freshInstallation(servers)),
  SIDEREAL_OBJECT_STORE: await freshObjectStore(servers),
}

/** The lines about what is wrong. */
function faults({ stdout }: CliResult): string[] {
  return stdout.split('\n').filter((line) => line.startsWith('FAULT'))
}

describe('setup', () => {
  test('--check changes nothing and says what is missing', async () => {
    for (const attempt of [1, 2]) {
      const result = await runCli(installation, 'setup', '--check')
      assert.equal(result.code, 1, `attempt ${attempt}`)
      const text = faults(result).join('\n')
      for (const missing of [
        /topic .*\.traces: does not exist/,
        /topic .*dead-letters: does/,
        /SpanBatch: .*not registered/,
        /have not run: 0001/,
      ]) {
        assert.match(text, missing)
      }
    }
  })

  test('makes everything, and does nothing the second time', async () => {
    const first = await runCli(installation, 'setup')
    assert.equal(first.code, 0, first.stdout)
    assert.match(first.stdout, /created with 3 partitions/)
    const second = await runCli(installation, 'setup')
    assert.equal(second.code, 0)
    assert.doesNotMatch(second.stdout, /^done/m)
    const doctor = await runCli(installation, 'doctor')
    assert.equal(doctor.code, 0, doctor.stdout)
  })

  test('mends a topic without LogAppendTime and keeps the settings that others made', async () => {
    const config = {
      'message.timestamp.type': 'CreateTime',
      'max.message.bytes': '1000012',
      'retention.ms': '7654321',
    }
    const topic = await freshTopic(servers, { partitions: 3, config })
    const env = { ...installation, SIDEREAL_TOPIC: topic }
    const check = await runCli(env, 'setup', '--check')
    assert.match(
      faults(check).join('\n'),
      /is CreateTime and must be LogAppendTime.*max\.message\.bytes is 1000012/,
    )
    const mended = await runCli(env, 'setup')
    assert.equal(mended.code, 0, mended.stdout)
    assert.deepEqual(await topicSettings(topic, Object.keys(config)), {
      'message.timestamp.type': 'LogAppendTime',
      'max.message.bytes': '8388608',
      'retention.ms': '7654321',
    })
  })
})

describe('doctor', () => {
  const cases = [
    {
      what: 'a broker',
      key: 'SIDEREAL_KAFKA_BROKERS',
      value: (port: number) => `127.0.0.1:${port}`,
      next: /SIDEREAL_KAFKA_BROKERS|brokers run/,
    },
    {
      what: 'a registry',
      key: 'SIDEREAL_REGISTRY_URL',
      value: (port: number) => `http://127.0.0.1:${port}`,
      next: /SIDEREAL_REGISTRY_URL/,
    },
    {
      what: 'ClickHouse',
      key: 'SIDEREAL_CLICKHOUSE_URL',
      value: (port: number) => `http://127.0.0.1:${port}`,
      next: /SIDEREAL_CLICKHOUSE_URL/,
    },
    {
      what: 'an object store',
      key: 'SIDEREAL_S3_ENDPOINT',
      value: (port: number) => `http://127.0.0.1:${port}`,
      next: /SIDEREAL_OBJECT_STORE|SIDEREAL_S3_ENDPOINT/,
    },
  ]
  for (const { what, key, value, next } of cases) {
    test(`${what} that is not there is named, with what to try`, { timeout: 15_000 }, async () => {
      const [port = 0] = await freePorts(1)
      const result = await runCli({ ...installation, [key]: value(port) }, 'doctor')
      assert.equal(result.code, 1)
      const [fault, ...others] = faults(result)
      assert.equal(others.length, 0, result.stdout)
      assert.match(fault ?? '', new RegExp(`127\\.0\\.0\\.1:${port}`))
      assert.match(fault ?? '', next)
    })
  }

  test('a bucket that does not exist is named', async () => {
    const result = await runCli(
      { ...installation, SIDEREAL_OBJECT_STORE: 's3://no-such-bucket-here' },
      'doctor',
    )
    assert.equal(result.code, 1)
    assert.match(faults(result).join('\n'), /no-such-bucket-here.*sidereal setup/)
  })

  test('prints the settings without their secrets', async () => {
    const result = await runCli(
      { ...installation, SIDEREAL_REGISTRY_USERNAME: 'u', SIDEREAL_REGISTRY_PASSWORD: 'hush' },
      'doctor',
      '--show-config',
    )
    assert.match(result.stdout, /SIDEREAL_REGISTRY_PASSWORD=\(secret\)/)
    assert.ok(!(result.stdout + result.stderr).includes('hush'))
  })
})

test('an unknown key ends a command at once and names the nearest', async () => {
  const result = await runCli({ SIDEREAL_TOPC: 'x' }, 'doctor')
  assert.equal(result.code, 1)
  assert.match(result.stderr, /SIDEREAL_CONFIG_INVALID.*\n.*did you mean SIDEREAL_TOPIC\?/)
})

async function topicSettings(topic: string, names: string[]): Promise<Record<string, string>> {
  const kafka = new kafkajs.Kafka({
    brokers: servers.brokers,
    clientId: 'sidereal-test',
    logLevel: kafkajs.logLevel.NOTHING,
  })
  const admin = kafka.admin()
  await admin.connect()
  try {
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic, configNames: names }],
    })
    return Object.fromEntries(
      (resources[0]?.configEntries ?? []).map(({ configName, configValue }) => [configName, configValue]),
    )
  } finally {
    await admin.disconnect()
  }
}
