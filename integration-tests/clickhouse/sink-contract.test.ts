import { ClickHouseSink } from '../../src/sinks/clickhouse/sink.ts'
import { type StoredSpan, testSinkContract } from '../../src/sinks/contract.testing.ts'
import { testRecordType } from '../../src/sinks/fragments.testing.ts'
import { openClickHouse } from '../../src/storage/clickhouse/client.ts'
import { migrate } from '../../src/storage/clickhouse/migrate.ts'
import { freshDatabase } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { clickhouseOptions, TEST_TTL_DAYS } from './clickhouse-for-tests.ts'
import { TcpProxy } from './tcp-proxy.ts'

const servers = await useServers('clickhouse')
const database = await freshDatabase(servers)
const reader = openClickHouse(clickhouseOptions(servers, database))
await migrate(reader, { database, ttlDays: TEST_TTL_DAYS })
const refusedName = 'forbidden-by-the-operator'
await reader.command(`ALTER TABLE spans ADD CONSTRAINT no_forbidden CHECK name != '${refusedName}'`)
const proxy = new TcpProxy(servers.clickhouseUrl)
await proxy.open()
servers.beforeClose(async () => {
  await proxy.cut()
  await reader.close()
})

testSinkContract('ClickHouse', {
  deduplicates: true,
  refusedName,
  outage: { begin: () => proxy.cut(), end: () => proxy.open() },
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
