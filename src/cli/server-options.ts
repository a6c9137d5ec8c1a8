import type { ServerCheckOptions } from '../audit/server-checks.ts'
import type { Config } from '../config/config.ts'
import { clickHouseConnection, kafkaConnection, registryConnection } from '../config/connections.ts'

/** The servers of a configuration, as `setup` and `doctor` want them. */
export function serverCheckOptions(config: Config, timeoutMs: number): ServerCheckOptions {
  const { objectStore: url, s3Endpoint: endpoint } = config.payloads
  return {
    kafka: kafkaConnection(config),
    topics: config.topics,
    registry: registryConnection(config),
    clickHouse: clickHouseConnection(config),
    cluster: config.clickhouse.cluster,
    ttlDays: config.clickhouse.ttlDays,
    objectStore: url === undefined ? undefined : { url, endpoint },
    timeoutMs,
  }
}
