import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ClickHouse, openClickHouse } from '../../src/storage/clickhouse/client.ts'
import { TABLE_COLUMNS, TABLE_NAMES } from '../../src/storage/clickhouse/columns.ts'
import { checkMigrations, migrate } from '../../src/storage/clickhouse/migrate.ts'
import { readMigrations, renderStatement } from '../../src/storage/clickhouse/migrations.ts'
import { freshDatabase, freshName } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { clickhouseOptions } from './clickhouse-for-tests.ts'

const servers = await useServers('clickhouse')
const database = await freshDatabase(servers)
const client = openClickHouse(clickhouseOptions(servers, database))
await migrate(client, { database, ttlDays: 30 })
servers.beforeClose(() => client.close())

test('the migrated tables have exactly the columns that feeders fill', async () => {
  for (const table of TABLE_NAMES) {
    const rows = await client.query<{ name: string; type: string }>(
      'SELECT name, type FROM system.columns WHERE database = {database:String} AND table = {table:String} ORDER BY position',
      { database, table },
    )
    assert.deepEqual(
      rows.map(({ name, type }) => [name, type]),
      Object.entries(TABLE_COLUMNS[table]),
      table,
    )
  }
})

test('a database that does not exist is made, and a second run does nothing', async () => {
  const absent = freshName('absent').replaceAll('-', '_')
  const other = openClickHouse(clickhouseOptions(servers, absent))
  try {
    const names = readMigrations().map(({ number, name }) => `${String(number).padStart(4, '0')}-${name}`)
    assert.deepEqual(await checkMigrations(other, { database: absent }), {
      applied: [],
      missing: names,
      otherTtl: [],
    })
    assert.deepEqual(await migrate(other, { database: absent, ttlDays: 30 }), names)
    assert.deepEqual(await migrate(other, { database: absent, ttlDays: 30 }), [])
    const { missing, otherTtl } = await checkMigrations(other, { database: absent, ttlDays: 30 })
    assert.deepEqual({ missing, otherTtl }, { missing: [], otherTtl: [] })
  } finally {
    await other.close()
    await client.command(`DROP DATABASE IF EXISTS ${absent} SYNC`)
  }
})

test('every statement may run a second time', async () => {
  for (const { statements } of readMigrations()) {
    for (const statement of statements) {
      await client.command(renderStatement(statement, { database, ttlDays: 30 }))
    }
  }
})

test('another number of days is noticed, and brought to all tables by the next run', async () => {
  const { otherTtl } = await checkMigrations(client, { database, ttlDays: 45 })
  assert.deepEqual(otherTtl, ['id_lookup', 'node_logs', 'node_trace_logs', 'spans', 'trace_fragments'])
  assert.deepEqual(
    await migrate(client, { database, ttlDays: 45 }),
    otherTtl.map((table) => `ttl of ${table}`),
  )
  assert.deepEqual((await checkMigrations(client, { database, ttlDays: 45 })).otherTtl, [])
})

test('rows end by the time they were received, never by their own', async () => {
  const rows = await client.query<{ name: string; ttl: string }>(
    `SELECT name, extract(engine_full, 'TTL (.*?) SETTINGS') AS ttl FROM system.tables
    WHERE database = {database:String} AND engine LIKE '%MergeTree' AND name != 'schema_migrations'`,
    { database },
  )
  assert.equal(rows.length, TABLE_NAMES.length)
  for (const { name, ttl } of rows)
    assert.match(ttl, /^toDateTime\(least\((max_)?received_at \+ toIntervalDay\(\d+\)/, name)
})

test('a TTL that ends after 2106 keeps rows', async () => {
  const long = await freshDatabase(servers)
  const other = openClickHouse(clickhouseOptions(servers, long))
  try {
    await migrate(other, { database: long, ttlDays: 36_500 })
    await other.command("INSERT INTO spans (sid, start_time, received_at) VALUES ('s', now64(9), now64(9))")
    await optimize(other, 'spans')
    assert.deepEqual(await other.query('SELECT sid FROM spans'), [{ sid: 's' }])
  } finally {
    await other.close()
  }
})

test('rows past their time go with a merge', async () => {
  await client.command(
    "INSERT INTO spans (sid, start_time, received_at) VALUES ('old', now64(9), now64(9) - toIntervalDay(100))",
  )
  await client.command(
    "INSERT INTO spans (sid, start_time, received_at) VALUES ('back-dated', now64(9) - toIntervalDay(100), now64(9))",
  )
  await optimize(client, 'spans')
  assert.deepEqual(await client.query('SELECT sid FROM spans'), [{ sid: 'back-dated' }])
})

test('otel_traces has the names and types of the OpenTelemetry exporter', async () => {
  const rows = await client.query<{ name: string; type: string }>(
    "SELECT name, type FROM system.columns WHERE database = {database:String} AND table = 'otel_traces' ORDER BY position",
    { database },
  )
  // From the exporter's traces_table.sql; its times have no time zone of their own, which is how they are shown, not what they are.
  const attributes = 'Map(LowCardinality(String), String)'
  assert.deepEqual(
    rows.map(({ name, type }) => [name, type.replace(", 'UTC'", '')]),
    [
      ['Timestamp', 'DateTime64(9)'],
      ['TraceId', 'String'],
      ['SpanId', 'String'],
      ['ParentSpanId', 'String'],
      ['TraceState', 'String'],
      ['SpanName', 'LowCardinality(String)'],
      ['SpanKind', 'LowCardinality(String)'],
      ['ServiceName', 'LowCardinality(String)'],
      ['ResourceAttributes', attributes],
      ['ScopeName', 'String'],
      ['ScopeVersion', 'String'],
      ['SpanAttributes', attributes],
      ['Duration', 'UInt64'],
      ['StatusCode', 'LowCardinality(String)'],
      ['StatusMessage', 'String'],
      ['Events.Timestamp', 'Array(DateTime64(9))'],
      ['Events.Name', 'Array(LowCardinality(String))'],
      ['Events.Attributes', `Array(${attributes})`],
      ['Links.TraceId', 'Array(String)'],
      ['Links.SpanId', 'Array(String)'],
      ['Links.TraceState', 'Array(String)'],
      ['Links.Attributes', `Array(${attributes})`],
    ],
  )
})

async function optimize(server: ClickHouse, table: string): Promise<void> {
  await server.command(`OPTIMIZE TABLE ${table} FINAL`)
}
