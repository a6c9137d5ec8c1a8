import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { testBatch, testFragment, testLog, testNode, testRecord } from '../../src/sinks/fragments.testing.ts'
import { loadTrace } from '../../src/storage/clickhouse/queries.ts'
import { useServers } from '../support/servers.ts'
import { freshTables } from './clickhouse-for-tests.ts'

const servers = await useServers('clickhouse')
const { client, sink } = await freshTables(servers)
const page = readFileSync(new URL('../../docs/sql.md', import.meta.url), 'utf8')

const statements = [...page.matchAll(/```sql\n(.*?)```/gs)]
  .flatMap((match) => (match[1] ?? '').split(/;\n/))
  .map((statement) => statement.replaceAll('sidereal.', '').trim())
  .filter((statement) => statement !== '' && !/^(--.*\n)?(CREATE|GRANT)/.test(statement))

test('the page has queries to run', () => assert.ok(statements.length > 10))

for (const [place, statement] of statements.entries()) {
  test(`query ${place + 1} of docs/sql.md runs`, async () => {
    await client.query(statement)
  })
}

test('SQL makes the same key hashes as facts, by the formulas of the page', async () => {
  const batch = testBatch({ sid: 'hashed' })
  const log = testLog({ sid: 'hashed', trace: [testNode(), testNode()] })
  await sink.write([testFragment([testRecord(batch), testRecord(log)])], new AbortController().signal)
  const hash = (bytes: string) =>
    `bitOr(bitShiftLeft(toUInt64(xxHash32(${bytes})), 32), toUInt64(murmurHash3_32(${bytes})))`
  const [row] = await client.query<Record<string, string | string[]>>(
    `SELECT arraySort(span_keys) AS spans, trace_keys AS traces, log_keys AS logs, arraySort(node_keys) AS nodes,
      (SELECT [${hash('unhex(trace_id || span_id)')}] FROM spans_exact WHERE sid = 'hashed') AS spans_sql,
      (SELECT [${hash('unhex(trace_id)')}] FROM spans_exact WHERE sid = 'hashed') AS traces_sql,
      (SELECT [${hash('unhex(log_id)')}] FROM node_trace_logs_exact WHERE sid = 'hashed') AS logs_sql,
      (SELECT arraySort(groupArray(${hash('(unhex(log_id) || reinterpretAsFixedString(place))')}))
        FROM node_logs_exact WHERE sid = 'hashed') AS nodes_sql
    FROM trace_fragments_exact WHERE sid = 'hashed'`,
  )
  for (const name of ['spans', 'traces', 'logs', 'nodes'])
    assert.deepEqual(row?.[name], row?.[`${name}_sql`], name)
  assert.equal((await loadTrace(client, 'hashed')).trace?.node_count, '2')
})
