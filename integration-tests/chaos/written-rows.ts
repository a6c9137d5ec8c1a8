import type { ClickHouse } from '../../src/storage/clickhouse/client.ts'

/**
 * Notes each span row that any worker writes, with the time: a merge of `spans` would hide a row that was written again. The append time
 * is part of the identity, so a record that a producer sent twice is two.
 */
export class WrittenRows {
  readonly #client: ClickHouse

  constructor(client: ClickHouse) {
    this.#client = client
  }

  async create(): Promise<void> {
    await this.#client.command(
      'CREATE TABLE chaos_written (at DateTime64(3), id UInt64) ENGINE = MergeTree ORDER BY (id, at)',
    )
    await this.#client.command(
      'CREATE MATERIALIZED VIEW chaos_written_view TO chaos_written AS SELECT now64(3) AS at, cityHash64(sid, trace_id, span_id, start_time, received_at) AS id FROM spans',
    )
  }

  /** Rows written in this time that had been written before. Unix milliseconds. */
  async repeatedBetween(fromMs: number, toMs: number): Promise<number> {
    return await this.#count(
      `SELECT sum(n) AS n FROM (
        SELECT countIf(at BETWEEN ${time(fromMs)} AND ${time(toMs)}) - (min(at) BETWEEN ${time(fromMs)} AND ${time(toMs)}) AS n
        FROM chaos_written GROUP BY id HAVING count() > 1 AND n > 0)
      SETTINGS optimize_aggregation_in_order = 1`,
    )
  }

  async total(): Promise<number> {
    return await this.#count('SELECT count() AS n FROM chaos_written')
  }

  async totalRepeated(): Promise<number> {
    return await this.#count('SELECT count() - uniqExact(id) AS n FROM chaos_written')
  }

  async close(): Promise<void> {
    await this.#client.close()
  }

  async #count(sql: string): Promise<number> {
    const [row] = await this.#client.query<{ n: string | number | null }>(sql)
    return Number(row?.n ?? 0)
  }
}

function time(ms: number): string {
  return `fromUnixTimestamp64Milli(${Math.round(ms)})`
}
