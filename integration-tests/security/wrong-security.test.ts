import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CliProcess } from '../worker/worker-for-tests.ts'
import { Authority } from './certificates.ts'
import { runScript } from './run-script.ts'
import { type Env, secretForms, startSecureServers, without } from './secure-servers.ts'
import { startTlsProxy } from './tls-proxy.ts'

/** The longest that a user waits for the answer. */
const ANSWER_SECONDS = 15
const { authority, kafka, s3, servers, env } = await startSecureServers()
const stranger = new Authority()
const expired = authority.issue('expired-server', { isExpired: true })
const elsewhere = authority.issue('other-server', { names: 'DNS:server.example' })
const clickHouseOf = async (certificate: typeof expired): Promise<string> =>
  await startTlsProxy({ target: servers.clickhouseUrl, certificate })
const sasl = Object.keys(env).filter((name) => name.startsWith('SIDEREAL_KAFKA_SASL'))
const tls = Object.keys(env).filter((name) => name.startsWith('SIDEREAL_KAFKA_TLS'))
const plain = (url: string | undefined): string => (url ?? '').replace('https:', 'http:')
const secure = (url: string): string => url.replace('http:', 'https:')

interface WrongSetting {
  readonly what: string
  readonly changes: Env
  readonly without?: readonly string[]
  /** Which server, and where. */
  readonly where: string
  /** What is wrong, and what to try. */
  readonly says: RegExp
}

const brokers = env['SIDEREAL_KAFKA_BROKERS'] ?? ''
const KAFKA: readonly WrongSetting[] = [
  ...['plain', 'scram-sha-256', 'scram-sha-512'].map((mechanism) => ({
    what: `a wrong password by ${mechanism}`,
    changes: {
      SIDEREAL_KAFKA_SASL_MECHANISM: mechanism,
      SIDEREAL_KAFKA_SASL_PASSWORD: 'a-wrong-kafka-password',
    },
    where: brokers,
    says: /refuse the credentials.*SIDEREAL_KAFKA_SASL_PASSWORD/,
  })),
  {
    what: 'an authority that did not sign the broker',
    changes: { SIDEREAL_KAFKA_TLS_CA: stranger.caPath },
    where: brokers,
    says: /not signed by an authority.*SIDEREAL_KAFKA_TLS_CA/,
  },
  {
    what: 'a plain client on a TLS port',
    changes: {},
    without: [...sasl, ...tls],
    where: brokers,
    says: /wants TLS.*SIDEREAL_KAFKA_TLS/,
  },
  {
    what: 'a client without SASL on a port that wants it',
    changes: {},
    without: sasl,
    where: brokers,
    says: /SASL.*SIDEREAL_KAFKA_SASL_MECHANISM/,
  },
  {
    what: 'a TLS client on a plain port',
    changes: { SIDEREAL_KAFKA_BROKERS: kafka.address },
    where: kafka.address,
    says: /does not speak TLS.*SIDEREAL_KAFKA_TLS=false/,
  },
  {
    what: 'an expired certificate of the broker',
    changes: { SIDEREAL_KAFKA_BROKERS: kafka.listenerAddress('expired') },
    where: kafka.listenerAddress('expired'),
    says: /certificate has expired.*renew/,
  },
  {
    what: 'a certificate for another host',
    changes: { SIDEREAL_KAFKA_BROKERS: kafka.listenerAddress('elsewhere') },
    where: kafka.listenerAddress('elsewhere'),
    says: /another host.*use a host name/,
  },
  {
    what: 'a broker that wants a client certificate',
    changes: { SIDEREAL_KAFKA_BROKERS: kafka.listenerAddress('mutual') },
    without: sasl,
    where: kafka.listenerAddress('mutual'),
    says: /client certificate.*SIDEREAL_KAFKA_TLS_CERT/,
  },
  {
    what: 'a CA file that is none',
    changes: { SIDEREAL_KAFKA_TLS_CA: '/etc/hostname' },
    where: '/etc/hostname',
    says: /SIDEREAL_KAFKA_TLS_CA.*no PEM block/,
  },
]

const registryUrl = env['SIDEREAL_REGISTRY_URL'] ?? ''
const clickhouseUrl = env['SIDEREAL_CLICKHOUSE_URL'] ?? ''
const [expiredClickHouse, elsewhereClickHouse] = [await clickHouseOf(expired), await clickHouseOf(elsewhere)]
const OTHERS: readonly WrongSetting[] = [
  {
    what: 'a wrong password of the registry',
    changes: { SIDEREAL_REGISTRY_PASSWORD: 'a-wrong-registry-password' },
    where: registryUrl,
    says: /refuses the credentials.*SIDEREAL_REGISTRY_PASSWORD/,
  },
  {
    what: 'an authority that did not sign the registry',
    changes: { SIDEREAL_REGISTRY_TLS_CA: stranger.caPath },
    where: registryUrl,
    says: /not signed by an authority.*SIDEREAL_REGISTRY_TLS_CA/,
  },
  {
    what: 'plain HTTP to a registry with TLS',
    changes: { SIDEREAL_REGISTRY_URL: plain(registryUrl) },
    where: plain(registryUrl),
    says: /SIDEREAL_REGISTRY_URL \(http or https\?\)/,
  },
  {
    what: 'TLS to a registry without',
    changes: { SIDEREAL_REGISTRY_URL: secure(servers.registryUrl) },
    where: secure(servers.registryUrl),
    says: /does not speak TLS.*SIDEREAL_REGISTRY_URL/,
  },
  {
    what: 'a system that does not know the authority of ClickHouse',
    changes: {},
    without: ['SIDEREAL_CLICKHOUSE_TLS_CA'],
    where: clickhouseUrl,
    says: /not signed by an authority.*SIDEREAL_CLICKHOUSE_TLS_CA/,
  },
  {
    what: 'a wrong password of ClickHouse',
    changes: { SIDEREAL_CLICKHOUSE_PASSWORD: 'a-wrong-clickhouse-password' },
    where: clickhouseUrl,
    says: /SIDEREAL_CLICKHOUSE_PASSWORD/,
  },
  {
    what: 'plain HTTP to a ClickHouse with TLS',
    changes: { SIDEREAL_CLICKHOUSE_URL: plain(clickhouseUrl) },
    where: plain(clickhouseUrl),
    says: /SIDEREAL_CLICKHOUSE_URL \(http or https\?\)/,
  },
  {
    what: 'TLS to a ClickHouse without',
    changes: { SIDEREAL_CLICKHOUSE_URL: secure(servers.clickhouseUrl) },
    where: secure(servers.clickhouseUrl),
    says: /does not speak TLS.*SIDEREAL_CLICKHOUSE_URL/,
  },
  {
    what: 'an expired certificate of ClickHouse',
    changes: { SIDEREAL_CLICKHOUSE_URL: expiredClickHouse },
    where: expiredClickHouse,
    says: /certificate has expired.*renew/,
  },
  {
    what: 'a certificate of ClickHouse for another host',
    changes: { SIDEREAL_CLICKHOUSE_URL: elsewhereClickHouse },
    where: elsewhereClickHouse,
    says: /another host.*use a host name/,
  },
  {
    what: 'an authority that did not sign the object store',
    changes: { SIDEREAL_S3_TLS_CA: stranger.caPath },
    where: s3.secureAddress,
    says: /not signed by an authority.*SIDEREAL_S3_TLS_CA/,
  },
  {
    what: 'plain HTTP to an object store with TLS',
    changes: { SIDEREAL_S3_ENDPOINT: plain(s3.secureAddress) },
    where: plain(s3.secureAddress),
    says: /SIDEREAL_S3_ENDPOINT \(http or https\?\)/,
  },
  {
    what: 'TLS to an object store without',
    changes: { SIDEREAL_S3_ENDPOINT: secure(s3.address) },
    where: secure(s3.address),
    says: /does not speak TLS.*SIDEREAL_S3_ENDPOINT/,
  },
  {
    what: 'a wrong secret key of the object store',
    changes: { AWS_SECRET_ACCESS_KEY: 'a-wrong-secret-key' },
    where: s3.secureAddress,
    says: /AWS_SECRET_ACCESS_KEY/,
  },
]

const setup = new CliProcess(['setup'], env)
const { code: setupCode, stderr: setupErrors } = await setup.ended
assert.equal(setupCode, 0, `${setup.stdout}${setupErrors}`)

for (const command of ['doctor', 'worker'] as const) {
  describe(`${command} with wrong security settings`, { concurrency: 2 }, () => {
    for (const wrong of [...KAFKA, ...OTHERS]) {
      test(`says of ${wrong.what} which server, why, and what to try, and no secret`, async () => {
        const own: Env = { ...without(env, ...(wrong.without ?? [])), ...wrong.changes }
        const process = new CliProcess([command], own)
        const { code, stderr, seconds } = await process.ended
        const output = `${process.stdout}${stderr}`
        assert.equal(code, 1, output)
        const line = output
          .split('\n')
          .find((one) => /FAULT|^sidereal: /.test(one) && one.includes(wrong.where) && wrong.says.test(one))
        assert.ok(line !== undefined, `no line names ${wrong.where} and says ${wrong.says}:\n${output}`)
        assert.doesNotMatch(output, /^\s+at /m, 'a stack is for a bug')
        for (const secret of [...secretForms(own), ...secretForms(env)])
          assert.ok(!output.includes(secret), `it says ${secret}`)
        assert.ok(seconds < ANSWER_SECONDS, `${seconds} s`)
      })
    }
  })
}

describe('a service with wrong security settings', { concurrency: 7 }, () => {
  const registry = OTHERS.filter(({ what }) => what.includes('registry'))
  // Not the file that is none: that is refused at the start, by the one call that may throw.
  for (const wrong of [...KAFKA.filter(({ where }) => where !== '/etc/hostname'), ...registry]) {
    test(`goes on with ${wrong.what}, and says so a few times, with no secret`, async () => {
      const own: Env = {
        ...without(env, ...(wrong.without ?? [])),
        ...wrong.changes,
        OTEL_SERVICE_NAME: 'service',
      }
      const { code, stdout, stderr } = await runScript('tracing-process.ts', ['40000'], own)
      assert.equal(code, 0, stderr)
      const { isFlushed, spans } = JSON.parse(stdout)
      assert.deepEqual([isFlushed, spans.accepted, spans.sent], [false, 10, 0])
      const lines = stderr.split('\n').filter((line) => line !== '')
      const reports = lines.filter((line) => line.includes('"cause"'))
      assert.ok(
        reports.some((line) => line.includes(wrong.where) && wrong.says.test(line)),
        stderr,
      )
      assert.ok(lines.length <= 20, `${lines.length} lines:\n${stderr}`)
      for (const secret of [...secretForms(own), ...secretForms(env)])
        assert.ok(!stderr.includes(secret), `it says ${secret}`)
    })
  }
})
