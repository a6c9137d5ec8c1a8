import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import kafkajs from 'kafkajs'
import { createKafka } from '../../src/kafka/client.ts'
import { openClickHouse } from '../../src/storage/clickhouse/client.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { freshName } from '../support/fresh.ts'
import { CliProcess, until } from '../worker/worker-for-tests.ts'
import { runScript } from './run-script.ts'
import { type Env, KAFKA_USER, secretForms, startSecureServers, without } from './secure-servers.ts'

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } = kafkajs
const { authority, kafka, env, servers } = await startSecureServers()
const folder = mkdtempSync(join(tmpdir(), 'sidereal-secure-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const client = authority.issue('client')
const sasl = Object.keys(env).filter((name) => name.startsWith('SIDEREAL_KAFKA_SASL'))

const WAYS: Readonly<Record<string, Env>> = {
  'SASL SCRAM-SHA-256': env,
  'SASL SCRAM-SHA-512': { ...env, SIDEREAL_KAFKA_SASL_MECHANISM: 'scram-sha-512' },
  'SASL PLAIN': { ...env, SIDEREAL_KAFKA_SASL_MECHANISM: 'plain' },
  'a client certificate': {
    ...without(env, ...sasl),
    SIDEREAL_KAFKA_BROKERS: kafka.listenerAddress('mutual'),
    SIDEREAL_KAFKA_TLS_CERT: client.certPath,
    SIDEREAL_KAFKA_TLS_KEY: client.keyPath,
  },
}

describe('with TLS to every server', () => {
  for (const [way, settings] of Object.entries(WAYS)) {
    test(`what a service and a load publish by ${way} is in the tables, whole, and no secret is in any log`, async () => {
      const name = freshName('secure')
      const own: Env = {
        ...settings,
        SIDEREAL_TOPIC: `${name}.traces`,
        SIDEREAL_DEAD_LETTER_TOPIC: `${name}.dead-letters`,
        SIDEREAL_GROUP: name,
        SIDEREAL_PAYLOAD_LIMIT: '256',
        SIDEREAL_LOG_LEVEL: 'debug',
        OTEL_SERVICE_NAME: name,
      }
      const ledger = join(folder, `${name}.jsonl`)
      const logs: string[] = []
      const succeed = async (...args: string[]): Promise<void> => {
        const command = new CliProcess(args, own)
        const { code, stderr } = await command.ended
        logs.push(command.stdout, stderr)
        assert.equal(code, 0, `${args[0]}: ${command.stdout}${stderr}`)
      }
      await succeed('setup')
      await succeed('doctor', '--show-config')
      await succeed('load', '--ledger', ledger, '--traces', '20')
      const service = await runScript('tracing-process.ts', ['60000'], own)
      logs.push(service.stdout, service.stderr)
      const { isFlushed, spans } = JSON.parse(service.stdout)
      assert.deepEqual([isFlushed, spans.accepted, spans.sent], [true, 10, 10], service.stderr)

      const worker = new CliProcess(['worker'], own)
      const database = openClickHouse({
        url: servers.clickhouseUrl,
        database: own['SIDEREAL_CLICKHOUSE_DATABASE'] ?? '',
        username: servers.env['SIDEREAL_CLICKHOUSE_USERNAME'],
        password: servers.env['SIDEREAL_CLICKHOUSE_PASSWORD'],
        requestTimeoutMs: 60_000,
      })
      try {
        await succeed('verify', '--timeout', '120', '--ledger', ledger)
        const sql = 'SELECT count() AS n FROM spans_exact WHERE service_name = {name:String}'
        await until('the spans of the service are stored', async () => {
          const [row] = await database.query<{ n: string }>(sql, { name })
          return Number(row?.n) === 10
        })
        const ended = await worker.kill('SIGTERM')
        assert.equal(ended.code, 0, `${worker.stdout}${ended.stderr}`)
        logs.push(worker.stdout, ended.stderr)
      } finally {
        await worker.kill('SIGKILL')
        await database.close()
      }
      for (const secret of secretForms(own))
        assert.ok(!logs.join('\n').includes(secret), `a log holds ${secret}`)
    })
  }
})

test('a service that may not write to its topic keeps its spans, says so, and sends them once it may', async () => {
  const name = freshName('forbidden')
  const own: Env = { ...env, SIDEREAL_TOPIC: name, SIDEREAL_DEAD_LETTER_TOPIC: `${name}.dead-letters` }
  const setup = await new CliProcess(['setup'], own).ended
  assert.equal(setup.code, 0, setup.stderr)
  const admin = createKafka({ brokers: [kafka.address] }, { clientId: 'tests', logger: silentLogger }).admin()
  await admin.connect()
  try {
    const rule = {
      principal: `User:${KAFKA_USER.name}`,
      host: '*',
      resourceType: AclResourceTypes.TOPIC,
      resourceName: name,
      resourcePatternType: ResourcePatternTypes.LITERAL,
    }
    const allowed = { ...rule, operation: AclOperationTypes.ALL, permissionType: AclPermissionTypes.ALLOW }
    const denied = { ...rule, operation: AclOperationTypes.WRITE, permissionType: AclPermissionTypes.DENY }
    await admin.createAcls({ acl: [allowed, denied] })
    const running = runScript('tracing-process.ts', ['60000'], own)
    await sleep(6_000)
    await admin.deleteAcls({ filters: [denied] })
    const { stdout, stderr } = await running
    assert.match(stderr, /give its user the rights/)
    const { isFlushed, spans } = JSON.parse(stdout)
    assert.deepEqual([isFlushed, spans.accepted, spans.sent], [true, 10, 10], stderr)
  } finally {
    await admin.disconnect()
  }
})

test('the configuration of docs/security.md has the keys of these tests, and no other', () => {
  const page = readFileSync(new URL('../../docs/security.md', import.meta.url), 'utf8')
  const block = /```sh\n(.*?)```/s.exec(page)?.[1] ?? ''
  const documented = [...block.matchAll(/^([A-Z0-9_]+)=/gm)].map((match) => match[1])
  const connecting = /^(AWS_|SIDEREAL_(KAFKA|REGISTRY|CLICKHOUSE|S3|OBJECT_STORE))/
  const used = Object.keys(env).filter(
    (name) => connecting.test(name) && name !== 'SIDEREAL_CLICKHOUSE_DATABASE',
  )
  assert.deepEqual(documented.sort(), used.sort())
})
