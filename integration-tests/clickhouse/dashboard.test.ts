import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { uuidV7 } from '../../src/model/uuid-v7.ts'
import { testBatch, testFragment, testLog, testNode, testRecord } from '../../src/sinks/fragments.testing.ts'
import { useServers } from '../support/servers.ts'
import { freshTables } from './clickhouse-for-tests.ts'

interface Dashboard {
  readonly templating: { readonly list: readonly { readonly query: string }[] }
  readonly panels: readonly {
    readonly title: string
    readonly targets: readonly { readonly rawSql: string }[]
  }[]
}

const servers = await useServers('clickhouse')
const { client, sink } = await freshTables(servers)
const file = new URL('../../deploy/grafana/provisioning/dashboards/sidereal.json', import.meta.url)
const dashboard: Dashboard = JSON.parse(readFileSync(file, 'utf8'))
const now = Date.now()

/** The macros and the variable as Grafana and its ClickHouse plugin put them in, for a range of a day around now. */
function expanded(sql: string): string {
  const time = (ms: number): string => `toDateTime(${Math.floor(ms / 1_000)})`
  const [from, to] = [time(now - 43_200_000), time(now + 43_200_000)]
  return sql
    .replace(/\$__timeFilter\((\w+)\)/g, `($1 >= ${from} AND $1 <= ${to})`)
    .replace(/\$__timeInterval\((\w+)\)/g, 'toStartOfInterval(toDateTime($1), INTERVAL 60 second)')
    .replaceAll('$__fromTime', from)
    .replaceAll('$__toTime', to)
    .replace(/\$\{app:singlequote\}/g, "'app-1'")
}

const startNs = BigInt(now - 5_000) * 1_000_000n
const batch = testBatch({ sid: 'shown', appId: 'app-1' })
const spans = batch.spans.map((span) => ({
  ...span,
  kind: 2,
  statusCode: 2,
  startTimeNs: startNs,
  endTimeNs: startNs + 1_000_000n,
}))
const node = testNode({ firstFrameDurationMs: 12 })
const log = testLog({
  sid: 'shown',
  appId: 'app-1',
  logId: uuidV7(now - 5_000),
  startTimeMs: now - 5_000,
  trace: [node],
})
const records = [
  testRecord({ ...batch, spans }, { receivedAtMs: now - 1_000 }),
  testRecord(log, { receivedAtMs: now - 1_000 }),
]
await sink.write([testFragment(records)], new AbortController().signal)

test('the variable of the dashboard lists the apps', async () => {
  const [variable] = dashboard.templating.list
  assert.deepEqual(await client.query(expanded(variable?.query ?? '')), [{ app_id: 'app-1' }])
})

for (const { title, targets } of dashboard.panels) {
  test(`the panel "${title}" shows what is in the tables`, async () => {
    assert.ok(targets.length > 0)
    for (const { rawSql } of targets) {
      assert.doesNotMatch(expanded(rawSql), /\$/, 'no macro that the test does not know')
      assert.ok((await client.query(expanded(rawSql))).length > 0, 'no row')
    }
  })
}
