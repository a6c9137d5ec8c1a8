import { ClickHouseSink } from '../../src/sinks/clickhouse/sink.ts'
import { type StoredSpan, testSinkContract } from '../../src/sinks/contract.testing.ts'
import { testRecordType } from '../../src/sinks/fragments.testing.ts'
import { openClickHouse } from '../../src/storage/clickhouse/client.ts'
import { migrate } from '../../src/storage/clickhouse/migrate.ts'
import { freshDatabase } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { clickhouseOptions, TEST_TTL_DAYS } from './clickhouse-for-tests.ts'

const servers = await useServers('clickhouse')
const database = await freshDatabase(servers)
const reader = openClickHouse(clickhouseOptions(servers, database))
await migrate(reader, { database, ttlDays: TEST_TTL_DAYS })
const refusedName = 'forbidden-by-the-operator'
await reader.command(`ALTER TABLE spans ADD CONSTRAINT no_forbidden CHECK name != '${refusedName}'`)
const proxy = new TcpProxy(servers.clickhouseUrl)
await proxy.start()
servers.beforeClose(async () => {
  await proxy.close()
  await reader.close()
})

testSinkContract('ClickHouse', {
  deduplicates: true,
  refusedName,
  outage: { begin: async () => proxy.set('refusing'), end: async () => proxy.set('open') },
  async open() {
    const client = openClickHouse(clickhouseOptions(servers, database, proxy.url))
    const sink = new ClickHouseSink({ client, recordTypes: testRecordType })
    await sink.start()
    return sink
  },
  readSpans: (sid) =>
    reader.query<StoredSpan>(
      'SELECT trace_id AS traceId, span_id AS spanId, name FROM spans_exact WHERE sid = {sid:String}',
      { sid },
    ),
})
