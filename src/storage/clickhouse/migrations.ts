import { readdirSync, readFileSync } from 'node:fs'

/** One numbered SQL file of `deploy/clickhouse/migrations`. */
export interface Migration {
  number: number
  name: string
  /** The statements as written, with their placeholders. */
  statements: readonly string[]
}

export interface MigrationTarget {
  database: string
  /** Name of a cluster: statements run `ON CLUSTER`, tables are Replicated. Undefined = a single server. */
  cluster?: string | undefined
  /** Days that rows are kept, counted from `received_at`. */
  ttlDays: number
}

const FOLDER = new URL('../../../deploy/clickhouse/migrations/', import.meta.url)
const FILE_NAME = /^(\d{4})-([a-z0-9-]+)\.sql$/

/** All migrations in order. They lie beside `src/` and `dist/` alike and ship in the package. */
export function readMigrations(): Migration[] {
  return readdirSync(FOLDER)
    .sort()
    .map((file) => {
      const match = FILE_NAME.exec(file)
      if (match === null) throw new Error(`Not the name of a migration: ${file}`)
      const statements = splitStatements(readFileSync(new URL(file, FOLDER), 'utf8'))
      return { number: Number(match[1]), name: match[2] ?? '', statements }
    })
}

/** Statements end with a semicolon at the end of a line. */
export function splitStatements(sql: string): string[] {
  return sql
    .split(/;[ \t]*(?:\n|$)/)
    .map((statement) => statement.trim())
    .filter((statement) => statement.replace(/^\s*--.*$/gm, '').trim() !== '')
}

/**
 * A statement for a target: `${database}`, `${on_cluster}`, `${replicated}` and `${ttl_days}` are filled in, so that a single server
 * and a cluster have one source. Replicated tables take path and replica from the server's default macros.
 */
export function renderStatement(statement: string, target: MigrationTarget): string {
  const values: Record<string, string> = {
    database: quoteIdentifier(target.database),
    on_cluster: onCluster(target),
    replicated: target.cluster === undefined ? '' : 'Replicated',
    ttl_days: String(checkDays(target.ttlDays)),
  }
  return statement.replace(/\$\{(\w+)\}/g, (_, name: string) => {
    const value = values[name]
    if (value === undefined) throw new Error(`Unknown placeholder in a migration: ${name}`)
    return value
  })
}

export function onCluster(target: MigrationTarget): string {
  return target.cluster === undefined ? '' : `ON CLUSTER ${quoteIdentifier(target.cluster)}`
}

export function quoteIdentifier(name: string): string {
  return `\`${name.replace(/[\\`]/g, '\\$&')}\``
}

function checkDays(days: number): number {
  if (!Number.isInteger(days) || days < 1)
    throw new RangeError(`ttlDays must be a whole number from 1, not ${days}`)
  return days
}
