import type { ClickHouse } from './client.ts'
import {
  type Migration,
  type MigrationTarget,
  onCluster,
  quoteIdentifier,
  readMigrations,
  renderStatement,
} from './migrations.ts'

export type { MigrationTarget }

/** Tables whose rows end `ttlDays` after they were received, and the column that says when that was. */
const TTL_TABLES = {
  spans: 'received_at',
  node_trace_logs: 'received_at',
  node_logs: 'received_at',
  trace_fragments: 'received_at',
  id_lookup: 'max_received_at',
} as const

export interface MigrationState {
  /** Numbers of the migrations that are recorded in `schema_migrations`. */
  applied: readonly number[]
  /** Migrations that have not run, as `0003-node-logs`. */
  missing: readonly string[]
  /** Tables whose TTL is another than asked for; empty when nothing was asked. */
  otherTtl: readonly string[]
}

/**
 * Makes database, tables and views, and brings the TTL to `ttlDays`. Idempotent: what is recorded in `schema_migrations` does not run
 * again, and every statement may run twice. Returns the names of what ran.
 */
export async function migrate(client: ClickHouse, target: MigrationTarget): Promise<string[]> {
  return withoutDatabase(client, (server) => migrateServer(server, target))
}

/** The server refuses any statement whose current database does not exist, the one that makes it included. */
async function withoutDatabase<T>(client: ClickHouse, run: (server: ClickHouse) => Promise<T>): Promise<T> {
  const server = client.withDatabase('system')
  try {
    return await run(server)
  } finally {
    await server.close()
  }
}

async function migrateServer(client: ClickHouse, target: MigrationTarget): Promise<string[]> {
  const database = quoteIdentifier(target.database)
  const cluster = onCluster(target)
  await client.command(`CREATE DATABASE IF NOT EXISTS ${database} ${cluster}`)
  await client.command(
    `CREATE TABLE IF NOT EXISTS ${database}.schema_migrations ${cluster}
    (number UInt32, name String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3))
    ENGINE = ${target.cluster === undefined ? '' : 'Replicated'}ReplacingMergeTree ORDER BY number`,
  )
  const applied = new Set(await appliedNumbers(client, target.database))
  const done: string[] = []
  for (const migration of readMigrations()) {
    if (applied.has(migration.number)) continue
    for (const statement of migration.statements) await client.command(renderStatement(statement, target))
    await client.command(
      `INSERT INTO ${database}.schema_migrations (number, name) VALUES ({number:UInt32}, {name:String})`,
      { number: migration.number, name: migration.name },
    )
    done.push(label(migration))
  }
  for (const table of await tablesWithOtherTtl(client, target)) {
    const column = TTL_TABLES[table]
    await client.command(
      `ALTER TABLE ${database}.${table} ${cluster} MODIFY TTL ${ttlExpression(column, target.ttlDays)}`,
    )
    done.push(`ttl of ${table}`)
  }
  return done
}

/** What is there, without changing anything. With `ttlDays`, also which tables keep rows for another time. */
export async function checkMigrations(
  client: ClickHouse,
  target: { database: string; ttlDays?: number },
): Promise<MigrationState> {
  return withoutDatabase(client, (server) => checkServer(server, target))
}

async function checkServer(
  client: ClickHouse,
  target: { database: string; ttlDays?: number },
): Promise<MigrationState> {
  const applied = await appliedNumbers(client, target.database)
  const known = new Set(applied)
  const missing = readMigrations()
    .filter((migration) => !known.has(migration.number))
    .map(label)
  const { database, ttlDays } = target
  const otherTtl = ttlDays === undefined ? [] : await tablesWithOtherTtl(client, { database, ttlDays })
  return { applied, missing, otherTtl }
}

/** As in the migrations. A DateTime ends in 2106 and starts again in 1970: a later end, not bounded, would delete rows at once. */
function ttlExpression(column: string, ttlDays: number): string {
  return `toDateTime(least(${column} + toIntervalDay(${ttlDays}), toDateTime64('2106-01-01', 9, 'UTC')))`
}

function label(migration: Migration): string {
  return `${String(migration.number).padStart(4, '0')}-${migration.name}`
}

async function appliedNumbers(client: ClickHouse, database: string): Promise<number[]> {
  const tables = await client.query(
    "SELECT 1 FROM system.tables WHERE database = {database:String} AND name = 'schema_migrations'",
    { database },
  )
  if (tables.length === 0) return []
  const rows = await client.query<{ number: number }>(
    `SELECT DISTINCT number FROM ${quoteIdentifier(database)}.schema_migrations ORDER BY number`,
  )
  return rows.map((row) => row.number)
}

async function tablesWithOtherTtl(
  client: ClickHouse,
  target: { database: string; ttlDays: number },
): Promise<(keyof typeof TTL_TABLES)[]> {
  const rows = await client.query<{ name: keyof typeof TTL_TABLES; days: string }>(
    `SELECT name, extract(engine_full, 'TTL [^\\n]*?toIntervalDay\\\\((\\\\d+)\\\\)') AS days
    FROM system.tables WHERE database = {database:String} AND name IN {tables:Array(String)} ORDER BY name`,
    { database: target.database, tables: Object.keys(TTL_TABLES) },
  )
  return rows.filter((row) => row.days !== String(target.ttlDays)).map((row) => row.name)
}
