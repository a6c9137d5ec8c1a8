import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { freshTopic } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { FreshPipeline } from './pipeline-for-tests.ts'

/** The longest that a user waits for the answer. */
const ANSWER_SECONDS = 15
const servers = await useServers()
let pipeline: FreshPipeline

/** A server that takes every connection and never says a word: what a wrong port, or a firewall, often looks like. */
const silentServer = createServer((socket) => {
  // What comes is read, or the end of a client would never be seen.
  socket.on('error', () => socket.destroy()).resume()
})
silentServer.listen(0, '127.0.0.1')
await once(silentServer, 'listening')
const silent = `127.0.0.1:${(silentServer.address() as AddressInfo).port}`

before(async () => {
  pipeline = await FreshPipeline.open(servers)
})

after(() => {
  silentServer.close()
})

interface WrongSetting {
  readonly what: string
  readonly env: Readonly<Record<string, string>>
  /** Which server, and where. */
  readonly where: string
  /** What to try next. */
  readonly advice: RegExp
}

const kafkaUrl = `http://${servers.brokers[0]}`
const registryAddress = new URL(servers.registryUrl).host

const WRONG: readonly WrongSetting[] = [
  {
    what: 'a broker that is silent',
    env: { SIDEREAL_KAFKA_BROKERS: silent },
    where: `Kafka at ${silent}`,
    advice: /SIDEREAL_KAFKA_BROKERS/,
  },
  {
    what: 'a broker that is a web server',
    env: { SIDEREAL_KAFKA_BROKERS: registryAddress },
    where: `Kafka at ${registryAddress}`,
    advice: /SIDEREAL_KAFKA_BROKERS/,
  },
  {
    what: 'a registry that is silent',
    env: { SIDEREAL_REGISTRY_URL: `http://${silent}` },
    where: `registry at http://${silent}`,
    advice: /SIDEREAL_REGISTRY_URL/,
  },
  {
    what: 'a registry that is ClickHouse',
    env: { SIDEREAL_REGISTRY_URL: servers.clickhouseUrl },
    where: `registry at ${servers.clickhouseUrl}`,
    advice: /SIDEREAL_REGISTRY_URL/,
  },
  {
    what: 'a ClickHouse that is silent',
    env: { SIDEREAL_CLICKHOUSE_URL: `http://${silent}` },
    where: `ClickHouse at http://${silent}`,
    advice: /SIDEREAL_CLICKHOUSE_URL/,
  },
  {
    what: 'a ClickHouse that is Kafka',
    env: { SIDEREAL_CLICKHOUSE_URL: kafkaUrl },
    where: `ClickHouse at ${kafkaUrl}`,
    advice: /SIDEREAL_CLICKHOUSE_URL/,
  },
  {
    what: 'a ClickHouse that is the registry',
    env: { SIDEREAL_CLICKHOUSE_URL: servers.registryUrl },
    where: `ClickHouse at ${servers.registryUrl}`,
    advice: /SIDEREAL_CLICKHOUSE_URL/,
  },
  {
    what: 'a database that was never set up',
    env: { SIDEREAL_CLICKHOUSE_DATABASE: 'nothing_here' },
    where: 'nothing_here',
    advice: /sidereal setup/,
  },
  {
    what: 'an object store that is silent',
    env: { SIDEREAL_S3_ENDPOINT: `http://${silent}` },
    where: silent,
    advice: /SIDEREAL_S3_ENDPOINT/,
  },
  {
    what: 'a bucket that does not exist',
    env: { SIDEREAL_OBJECT_STORE: 's3://no-such-bucket-here' },
    where: 'no-such-bucket-here',
    advice: /sidereal setup|SIDEREAL_OBJECT_STORE/,
  },
  {
    what: 'a secret key that the object store does not know',
    env: { AWS_SECRET_ACCESS_KEY: 'not-the-key' },
    where: 's3://',
    advice: /AWS_/,
  },
  {
    what: 'a topic that does not exist',
    env: { SIDEREAL_TOPIC: 'no-such-topic' },
    where: 'no-such-topic',
    advice: /sidereal setup|SIDEREAL_TOPIC/,
  },
  {
    what: 'a dead-letter topic that does not exist',
    env: { SIDEREAL_DEAD_LETTER_TOPIC: 'no-such-letters' },
    where: 'no-such-letters',
    advice: /sidereal setup|SIDEREAL_DEAD_LETTER_TOPIC/,
  },
]

for (const command of ['doctor', 'worker'] as const) {
  describe(`${command} with a wrong setting`, { concurrency: 3 }, () => {
    for (const { what, env, where, advice } of WRONG) {
      test(`names ${what}, says where, and what to try`, () => check(command, env, where, advice))
    }

    test('names a topic without LogAppendTime, and what to try', async () => {
      const topic = await freshTopic(servers, {
        config: { 'message.timestamp.type': 'CreateTime' },
      })
      await check(command, { SIDEREAL_TOPIC: topic }, topic, /LogAppendTime.*sidereal setup/)
    })

    test('names an unknown key and the nearest one', async () => {
      const { code, output, seconds } = await pipeline.run([command], { SIDEREAL_CLICKHOUSE_URI: 'http://x' })
      assert.equal(code, 1, output)
      assert.match(output, /SIDEREAL_CLICKHOUSE_URI is not a key.*did you mean SIDEREAL_CLICKHOUSE_URL\?/)
      assert.ok(seconds < ANSWER_SECONDS, `${seconds} s`)
    })
  })
}

async function check(
  command: string,
  env: Readonly<Record<string, string>>,
  where: string,
  advice: RegExp,
): Promise<void> {
  const { code, output, seconds } = await pipeline.run([command], env)
  assert.equal(code, 1, output)
  const lines = output.split('\n').filter((line) => /FAULT|^sidereal: /.test(line))
  const line = lines.find((one) => one.includes(where))
  assert.ok(line !== undefined, `no line names ${where}:\n${output}`)
  assert.match(line, advice)
  assert.doesNotMatch(output, /^\s+at /m, 'a stack is for a bug')
  assert.ok(seconds < ANSWER_SECONDS, `${seconds} s`)
}
