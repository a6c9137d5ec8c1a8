import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Kafka, logLevel } from 'kafkajs'
import { freshDatabase, freshObjectStore, freshTopic } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'

const servers = await useServers()

test('a fresh topic takes its time from the broker', async () => {
  const topic = await freshTopic(servers)
  const admin = new Kafka({ brokers: servers.brokers, logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  try {
    const described = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: 2, name: topic, configNames: ['message.timestamp.type'] }],
    })
    assert.equal(described.resources[0]?.configEntries[0]?.configValue, 'LogAppendTime')
  } finally {
    await admin.disconnect()
  }
})

test('a fresh database is there and empty', async () => {
  const database = await freshDatabase(servers)
  const query = `SELECT count() FROM system.tables WHERE database = '${database}'`
  const response = await fetch(`${servers.clickhouseUrl}/?database=${database}`, {
    method: 'POST',
    body: query,
    headers: {
      'X-ClickHouse-User': servers.env['SIDEREAL_CLICKHOUSE_USERNAME'] ?? 'default',
      'X-ClickHouse-Key': servers.env['SIDEREAL_CLICKHOUSE_PASSWORD'] ?? '',
    },
  })
  assert.equal((await response.text()).trim(), '0')
})

test('two tests never share an object store prefix', async () => {
  const [first, second] = await Promise.all([freshObjectStore(servers), freshObjectStore(servers)])
  assert.notEqual(first, second)
})
