import type { CloseReason, FragmentFacts } from '../../src/model/fragment.ts'
import type { TableName } from './records.ts'

export interface StoredRow {
  readonly key: string
  readonly version: bigint
  readonly content: string
  /** What fragments call it. */
  readonly factKey: bigint
}

/** One row of `trace_fragments`. */
export interface StoredFragment {
  readonly sid: string
  readonly id: bigint
  readonly reason: CloseReason
  readonly facts: FragmentFacts
}

export class TableFault extends Error {}

/**
 * The tables of ClickHouse: ReplacingMergeTree keeps, of each sort key, the row with the highest version, of equal ones the last that was
 * inserted; that is what the `_exact` views show whenever one looks.
 */
export class Tables {
  readonly rows: Record<TableName, Map<string, StoredRow>> = {
    spans: new Map(),
    node_trace_logs: new Map(),
    node_logs: new Map(),
  }
  /** By SID, then by sort key. */
  readonly fragments = new Map<string, Map<string, StoredFragment>>()
  /** Payloads that rows refer to must be stored before. */
  readonly #isPayloadStored: (sha256: string) => boolean
  /** Keys of `span_keys`, `log_keys`, `node_keys` and `node_id_keys` that fragments hold, by SID and app. */
  readonly #factKeys = new Map<string, Map<bigint, bigint>>()
  readonly #rowKeys = new Set<bigint>()

  constructor(isPayloadStored: (sha256: string) => boolean) {
    this.#isPayloadStored = isPayloadStored
  }

  insert(table: TableName, row: StoredRow): void {
    this.#rowKeys.add(row.factKey)
    for (const [, sha256] of row.content.matchAll(/payload ([0-9a-f]{64})/g)) {
      if (!this.#isPayloadStored(sha256!)) {
        throw new TableFault(`a row of ${table} refers to a payload that is not stored: ${row.key}`)
      }
    }
    const rows = this.rows[table]
    const held = rows.get(row.key)
    if (held === undefined || row.version >= held.version) rows.set(row.key, row)
  }

  insertFragment(fragment: StoredFragment): void {
    const { sid, id, facts } = fragment
    for (const keys of [
      facts.spanKeys,
      facts.nodes.map(({ key }) => key),
      facts.logs.map(({ key }) => key),
    ]) {
      for (const key of keys) {
        if (!this.#rowKeys.has(key)) throw new TableFault(`a fragment of ${sid} came before its rows`)
      }
    }
    const ofSid = this.fragments.get(sid) ?? new Map<string, StoredFragment>()
    this.fragments.set(sid, ofSid)
    ofSid.set(`${facts.appId}|${id}`, fragment)
    const place = `${sid}|${facts.appId}`
    const keys = this.#factKeys.get(place) ?? new Map<bigint, bigint>()
    this.#factKeys.set(place, keys)
    for (const key of facts.spanKeys) keys.set(key, 0n)
    for (const key of facts.nodeIdKeys) keys.set(key, 0n)
    for (const { key, version } of [...facts.nodes, ...facts.logs]) {
      const held = keys.get(key)
      if (held === undefined || version > held) keys.set(key, version)
    }
  }

  hasRow(table: TableName, key: string, version: bigint): boolean {
    const row = this.rows[table].get(key)
    return row !== undefined && row.version >= version
  }

  /** True when fragments of that SID and app hold the key; of nodes and logs, in this version or a newer one. */
  hasFactKey(sid: string, appId: string, key: bigint, version: bigint): boolean {
    const held = this.#factKeys.get(`${sid}|${appId}`)?.get(key)
    return held !== undefined && (held === 0n || held >= version)
  }
}
