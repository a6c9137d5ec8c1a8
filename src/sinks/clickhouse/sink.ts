import { setImmediate } from 'node:timers/promises'
import { FactsCollector } from '../../codec/facts.ts'
import type { RecordType } from '../../codec/record-type.ts'
import { SchemaWalks } from '../../codec/schema-walks.ts'
import type { ByObjectsObserver } from '../../model/by-objects.ts'
import { isSiderealError, SiderealError } from '../../model/errors.ts'
import type { Fragment, FragmentFacts, FragmentRecord } from '../../model/fragment.ts'
import type { RefusedRecord, Sink, WriteResult } from '../../model/sink.ts'
import type { ClickHouse } from '../../storage/clickhouse/client.ts'
import { checkMigrations } from '../../storage/clickhouse/migrate.ts'
import { quoteIdentifier } from '../../storage/clickhouse/migrations.ts'
import { type BlockLimits, DayBlocks, type Rows } from './day-blocks.ts'
import { FragmentRows } from './fragment-rows.ts'
import { receivedAtNs } from './record-context.ts'
import { type RowPart, rowBytes, rowParts } from './row-parts.ts'
import { RECORD_TABLES, type RecordTable, RowSet, RowsPool, RowsPools } from './row-set.ts'
import { compileSpanWalk, type SpanWalk } from './span-bytes-walk.ts'

export interface ClickHouseSinkOptions {
  /** Closed by {@link ClickHouseSink.close}. */
  client: ClickHouse
  /** The compiled schema of a record that was consumed, to rebuild a fragment's facts without its refused records. */
  recordTypes: (schemaId: number) => RecordType | undefined
  /** Rows of one insert. Default 100,000. */
  maxRowsPerInsert?: number
  /** Bytes that the rows of records may take which one write holds at a time, about. Default 64 MiB. */
  maxRowBytes?: number
  /** How records become rows: from their bytes where that can be, or all of them decoded to objects. Default `bytes`. */
  feeder?: 'bytes' | 'objects'
  /** Hears which records go by objects, and why. */
  observer?: ByObjectsObserver
}

/** The server's default of `max_partitions_per_insert_block`. */
const MAX_DAYS_PER_INSERT = 100
/** What is made before other work gets its turn: some milliseconds, more while the code is still cold. */
const ROWS_PER_TURN = 1_000
const FRAGMENTS_PER_TURN = 250
const MAX_ROW_BYTES = 64 * 1024 * 1024
/** A record whose rows take more is no record of a service, but would fill the disk. Its size in Kafka is bounded. */
const MAX_ROW_BYTES_OF_RECORD = 512 * 1024 * 1024

/** Why each refused record was refused. */
type Refusals = Map<FragmentRecord, string>

/** The records of an insert that was refused. */
interface Suspects {
  readonly table: RecordTable
  readonly records: readonly FragmentRecord[]
  readonly reason: string
}

/**
 * Writes fragments to the tables of ClickHouse: spans, logs, nodes and lookup rows at once, then the rows of `trace_fragments`, so that
 * a fragment that is there has all its rows. A row is a function of its record: writing a fragment again changes nothing that the exact
 * views show. A record of which the server refuses a row is left out of its fragment's facts and reported; of a refused log, the rows
 * in another table may stay.
 */
export class ClickHouseSink implements Sink {
  readonly name = 'clickhouse'
  readonly #client: ClickHouse
  readonly #recordTypes: (schemaId: number) => RecordType | undefined
  readonly #pools = new RowsPools()
  readonly #fragmentRows = new RowsPool(() => new FragmentRows(this.#pools.chunks))
  readonly #limits: BlockLimits
  readonly #maxRowBytes: number
  readonly #walks: SchemaWalks<SpanWalk> | undefined
  readonly #observer: ByObjectsObserver | undefined

  constructor(options: ClickHouseSinkOptions) {
    this.#client = options.client
    this.#recordTypes = options.recordTypes
    this.#walks =
      options.feeder === 'objects'
        ? undefined
        : new SchemaWalks(options.recordTypes, compileSpanWalk, options.observer)
    this.#observer = options.observer
    this.#limits = { maxDays: MAX_DAYS_PER_INSERT, maxRows: options.maxRowsPerInsert ?? 100_000 }
    this.#maxRowBytes = options.maxRowBytes ?? MAX_ROW_BYTES
  }

  async start(): Promise<void> {
    await this.#client.ping()
    const { missing } = await checkMigrations(this.#client, { database: this.#client.database })
    if (missing.length === 0) return
    throw new SiderealError(
      'SIDEREAL_CLICKHOUSE_FAILED',
      `The database ${this.#client.database} at ${this.#client.url} lacks migrations (${missing.join(', ')}). Run \`sidereal setup\`.`,
    )
  }

  async write(fragments: readonly Fragment[], signal: AbortSignal): Promise<WriteResult> {
    throwIfAborted(signal)
    const refusals: Refusals = new Map()
    await this.#writeRecords(
      fragments.flatMap((fragment) => fragment.records),
      RECORD_TABLES,
      refusals,
      signal,
    )
    await this.#writeFragments(fragments, refusals, signal)
    const refused: RefusedRecord[] = [...refusals].map(([record, reason]) => ({ record, reason }))
    return { refused }
  }

  async close(): Promise<void> {
    await this.#client.close()
  }

  /** Inserts the rows of records into the tables. When the server refuses a row, halves are tried until the record is found. */
  async #writeRecords(
    records: readonly FragmentRecord[],
    tables: readonly RecordTable[],
    refusals: Refusals,
    signal: AbortSignal,
  ): Promise<void> {
    const suspects: Suspects[] = []
    for (const part of rowParts(records, this.#maxRowBytes)) {
      suspects.push(...(await this.#writePart(part, tables, refusals, signal)))
    }
    for (const { table, records: suspected, reason } of suspects) {
      const [only] = suspected
      if (suspected.length === 1 && only !== undefined) {
        refusals.set(only, reason)
        continue
      }
      const middle = Math.ceil(suspected.length / 2)
      await this.#writeRecords(suspected.slice(0, middle), [table], refusals, signal)
      await this.#writeRecords(suspected.slice(middle), [table], refusals, signal)
    }
  }

  /** Resolves to the records of those inserts that were refused. */
  async #writePart(
    part: RowPart,
    tables: readonly RecordTable[],
    refusals: Refusals,
    signal: AbortSignal,
  ): Promise<Suspects[]> {
    // Parts of a batch that was refused are made again, table by table: each record counts once.
    const observer = tables === RECORD_TABLES ? this.#observer : undefined
    const rows = new RowSet(this.#pools, this.#limits, tables, this.#walks, observer)
    const suspects: Suspects[] = []
    try {
      await this.#fill(rows, part, refusals, signal)
      const inserts = rows.blocks().map(async ({ table, open }) => {
        const reason = await this.#insert(table, open.rows, signal)
        if (reason !== undefined) suspects.push({ table, records: open.records, reason })
      })
      await allSettledOrThrow(inserts)
      return suspects
    } finally {
      rows.release()
    }
  }

  async #fill(
    rows: RowSet,
    { records, range }: RowPart,
    refusals: Refusals,
    signal: AbortSignal,
  ): Promise<void> {
    let sinceTurn = 0
    for (const record of records) {
      if (rowBytes(record) > MAX_ROW_BYTES_OF_RECORD) {
        refusals.set(record, tooManyBytes(record))
        continue
      }
      try {
        rows.add(record, range)
      } catch (error) {
        if (!isSiderealError(error, 'SIDEREAL_RECORD_INVALID')) throw error
        refusals.set(record, error.message)
      }
      sinceTurn += record.rowCount
      if (sinceTurn < ROWS_PER_TURN) continue
      sinceTurn = 0
      await setImmediate()
      throwIfAborted(signal)
    }
  }

  /** Fragments whose rows are refused (by a constraint of the operator) have all their records refused. */
  async #writeFragments(
    fragments: readonly Fragment[],
    refusals: Refusals,
    signal: AbortSignal,
  ): Promise<void> {
    const blocks = new DayBlocks(() => this.#fragmentRows.take(), this.#limits)
    let reason: string | undefined
    let sinceTurn = 0
    try {
      for (const fragment of fragments) {
        if (sinceTurn++ >= FRAGMENTS_PER_TURN) {
          sinceTurn = 0
          await setImmediate()
          throwIfAborted(signal)
        }
        const [representative] = fragment.records
        if (representative === undefined) continue
        for (const facts of this.#factsWithout(fragment, refusals)) {
          blocks.rowsFor(receivedAtNs(facts.firstReceivedAtMs), representative).append(fragment, facts)
        }
      }
      const inserts = blocks.blocks.map(async ({ rows }) => {
        reason = (await this.#insert('trace_fragments', rows, signal)) ?? reason
      })
      await allSettledOrThrow(inserts)
    } finally {
      for (const { rows } of blocks.blocks) this.#fragmentRows.give(rows)
    }
    if (reason === undefined) return
    const suspects = fragments.filter(({ records }) => records.some((record) => !refusals.has(record)))
    const [only] = suspects
    if (suspects.length === 1 && only !== undefined) {
      for (const record of only.records) refusals.set(record, reason)
      return
    }
    const middle = Math.ceil(suspects.length / 2)
    await this.#writeFragments(suspects.slice(0, middle), refusals, signal)
    await this.#writeFragments(suspects.slice(middle), refusals, signal)
  }

  #factsWithout(fragment: Fragment, refusals: Refusals): readonly FragmentFacts[] {
    if (refusals.size === 0) return fragment.facts
    if (!fragment.records.some((record) => refusals.has(record))) return fragment.facts
    const collector = new FactsCollector()
    let isEmpty = true
    for (const record of fragment.records) {
      if (refusals.has(record)) continue
      const type = this.#recordTypes(record.schemaId)
      if (type === undefined)
        throw new Error(`The schema ${record.schemaId} of a consumed record is not known`)
      type.collect(record.bytes, record.bodyStart, record.bytes.byteLength, record.receivedAtMs, collector)
      isEmpty = false
    }
    return isEmpty ? [] : collector.build()
  }

  /** Resolves to the reason when the server refuses a row, and to undefined when all is stored. */
  async #insert(table: string, rows: Rows, signal: AbortSignal): Promise<string | undefined> {
    if (rows.block.rows === 0) return undefined
    const { block } = rows
    const name = `${quoteIdentifier(this.#client.database)}.${table}`
    try {
      await this.#client.insertNative(name, block.columnNames, block.finish(), signal)
      return undefined
    } catch (error) {
      if (isSiderealError(error, 'SIDEREAL_ROW_REFUSED')) return error.message
      throw error
    }
  }
}

function tooManyBytes({ repeatedBytes, rowCount }: FragmentRecord): string {
  return `each of its ${rowCount} rows would say ${repeatedBytes} bytes of resource, scope, uid and chat id again: ${MAX_ROW_BYTES_OF_RECORD} bytes in all are allowed. Shorten those, or send fewer spans a record`
}

function throwIfAborted(signal: AbortSignal): void {
  if (!signal.aborted) return
  throw new SiderealError('SIDEREAL_CLICKHOUSE_UNAVAILABLE', 'The write to ClickHouse was aborted.', {
    cause: signal.reason,
    retryable: true,
  })
}

/** Waits for all, since their bytes may be reused afterwards; then throws the first failure. */
async function allSettledOrThrow(promises: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(promises)) {
    if (result.status === 'rejected') throw result.reason
  }
}
