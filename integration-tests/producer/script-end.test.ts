import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { freePorts } from '../../src/local/free-ports.ts'
import { freshName, freshTopic } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'

const servers = await useServers('kafka', 'registry')
const SCRIPT = fileURLToPath(new URL('short-script.ts', import.meta.url))
/** A script that is held is held for as long as Kafka is away: for ever, here. */
const HELD_MS = 60_000

async function run(env: Readonly<Record<string, string>>) {
  const { stdout } = await promisify(execFile)(process.execPath, [SCRIPT], {
    env: { ...process.env, ...servers.env, ...env },
    timeout: HELD_MS,
  })
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as {
    accepted: number
    waiting: number
    sent: number
  }
}

test('a script that ends without shutdown is not held: Kafka is there', async () => {
  const topic = await freshTopic(servers, { partitions: 1 })
  assert.deepEqual(await run({ SIDEREAL_TOPIC: topic }), { accepted: 1, waiting: 0, sent: 1 })
})

test('… Kafka is away, and the record still waits', async () => {
  const [port] = await freePorts(1)
  const env = { SIDEREAL_KAFKA_BROKERS: `127.0.0.1:${port}`, SIDEREAL_TOPIC: freshName('away') }
  assert.deepEqual(await run(env), { accepted: 1, waiting: 1, sent: 0 })
})

test('… Kafka is there, and the topic is missing', async () => {
  assert.deepEqual(await run({ SIDEREAL_TOPIC: freshName('missing') }), { accepted: 1, waiting: 1, sent: 0 })
})
