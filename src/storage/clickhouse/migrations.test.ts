import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readMigrations, renderStatement, splitStatements } from './migrations.ts'

test('migrations are numbered from 1 without gaps', () => {
  assert.deepEqual(
    readMigrations().map(({ number }) => number),
    readMigrations().map((_, place) => place + 1),
  )
})

test('one source gives a single server and a cluster', () => {
  const statements = readMigrations().flatMap((migration) => migration.statements)
  for (const statement of statements) {
    const single = renderStatement(statement, { database: 'd', ttlDays: 7 })
    assert.doesNotMatch(single, /ON CLUSTER|Replicated|\$\{/)
    const cluster = renderStatement(statement, { database: 'd', cluster: 'c', ttlDays: 7 })
    assert.match(cluster, /ON CLUSTER `c`/)
    assert.doesNotMatch(cluster, /\$\{/)
    if (/^CREATE TABLE/m.test(cluster))
      assert.match(cluster, /ENGINE = Replicated(Replacing|Aggregating)MergeTree/)
  }
})

test('every statement may run again', () => {
  for (const { statements } of readMigrations()) {
    for (const statement of statements) {
      assert.match(statement, /CREATE (TABLE|MATERIALIZED VIEW) IF NOT EXISTS|CREATE OR REPLACE VIEW/)
    }
  }
})

test('names are quoted, and a placeholder that nobody knows is an error', () => {
  const target = { database: 'a`b', cluster: undefined, ttlDays: 1 }
  assert.equal(renderStatement(`x ${placeholder('database')}`, target), 'x `a\\`b`')
  assert.throws(() => renderStatement(placeholder('databse'), target), /databse/)
  for (const ttlDays of [0, -1, 1.5, Number.NaN]) {
    assert.throws(() => renderStatement(placeholder('ttl_days'), { ...target, ttlDays }), RangeError)
  }
})

test('statements end with a semicolon at the end of a line; comments alone are none', () => {
  assert.deepEqual(splitStatements("SELECT ';' ;\nSELECT 2; \n-- only a comment\n"), [
    "SELECT ';'",
    'SELECT 2',
  ])
})

function placeholder(name: string): string {
  return ['$', '{', name, '}'].join('')
}
