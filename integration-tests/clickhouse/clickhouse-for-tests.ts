import { ClickHouseSink } from '../../src/sinks/clickhouse/sink.ts'
import { testRecordType } from '../../src/sinks/fragments.testing.ts'
import { type ClickHouse, openClickHouse } from '../../src/storage/clickhouse/client.ts'
import { migrate } from '../../src/storage/clickhouse/migrate.ts'
import { freshDatabase } from '../support/fresh.ts'
import type { TestServers } from '../support/servers.ts'

/** Far more than the age of any test row, so that no merge ends it. */
export const TEST_TTL_DAYS = 36_500

export function clickhouseOptions(servers: TestServers, database: string, url = servers.clickhouseUrl) {
  return {
    url,
    database,
    username: servers.env['SIDEREAL_CLICKHOUSE_USERNAME'],
    password: servers.env['SIDEREAL_CLICKHOUSE_PASSWORD'],
    requestTimeoutMs: 30_000,
  }
}

/** A migrated database of this test file, with a client and a started sink. */
export async function freshTables(
  servers: TestServers,
): Promise<{ client: ClickHouse; sink: ClickHouseSink }> {
  const database = await freshDatabase(servers)
  const client = openClickHouse(clickhouseOptions(servers, database))
  await migrate(client, { database, ttlDays: TEST_TTL_DAYS })
  const sink = new ClickHouseSink({
    client: openClickHouse(clickhouseOptions(servers, database)),
    recordTypes: testRecordType,
  })
  await sink.start()
  servers.beforeClose(async () => {
    await sink.close()
    await client.close()
  })
  return { client, sink }
}
