import type { ServerCheckOptions } from '../audit/server-checks.ts'
import type { Config } from '../config/config.ts'
import {
  clickHouseConnection,
  kafkaConnection,
  objectStoreConnection,
  registryConnection,
} from '../config/connections.ts'

/** The servers of a configuration, as `setup` and `doctor` want them. */
export function serverCheckOptions(config: Config, timeoutMs: number): ServerCheckOptions {
  return {
    kafka: kafkaConnection(config),
    topics: config.topics,
    registry: registryConnection(config),
    clickHouse: clickHouseConnection(config),
    cluster: config.clickhouse.cluster,
    ttlDays: config.clickhouse.ttlDays,
    objectStore: objectStoreConnection(config),
    timeoutMs,
  }
}
