import { FactsCollector } from '../../src/codec/facts.ts'
import { logKey, nodeKey, spanKey } from '../../src/codec/hash.ts'
import { SiderealError } from '../../src/model/errors.ts'
import type { Fragment, FragmentFacts, FragmentRecord } from '../../src/model/fragment.ts'
import type { RefusedRecord, Sink, WriteResult } from '../../src/model/sink.ts'
import { FragmentIds } from '../../src/sinks/clickhouse/fragment-id.ts'
import { ClickHouseSink } from '../../src/sinks/clickhouse/sink.ts'
import { clickHouseFor } from './clickhouse-server.ts'
import { deliveredText, REFUSED, rowsOf, type TableName } from './records.ts'
import type { SimProcess } from './scheduler.ts'
import type { StoredFragment, StoredRow } from './tables.ts'
import type { World } from './world.ts'

/** The tables behind the real ClickHouse sink, or behind a lean one of the same contract. */
export function tableSink(world: World, process: SimProcess): Sink {
  const sink =
    world.options.tables === 'clickhouse'
      ? new ClickHouseSink({
          client: clickHouseFor(world, process),
          recordTypes: (id) => world.recordTypes.get(id),
        })
      : new LeanTableSink(world, process)
  return {
    name: 'clickhouse',
    start: async () => undefined,
    close: async () => undefined,
    write: (fragments, signal) => {
      world.oracle.onWrite(process, 'clickhouse', fragments)
      for (const fragment of fragments) world.oracle.onFragment(fragment)
      return sink.write(fragments, signal)
    },
  }
}

interface RowToWrite {
  readonly table: TableName
  readonly row: StoredRow
}

/** Writes rows, then fragments; refuses records by a name in them. Cheaper than Native blocks, and the same promises. */
class LeanTableSink implements Pick<Sink, 'write'> {
  readonly #ids = new FragmentIds()
  readonly #world: World
  readonly #process: SimProcess

  constructor(world: World, process: SimProcess) {
    this.#world = world
    this.#process = process
  }

  async write(fragments: readonly Fragment[], signal: AbortSignal): Promise<WriteResult> {
    const refused: RefusedRecord[] = []
    const rows: RowToWrite[] = []
    const stored: StoredFragment[] = []
    for (const fragment of fragments) {
      const kept: FragmentRecord[] = []
      for (const record of fragment.records) {
        const taken = this.#rowsToWrite(record)
        if (taken === undefined) {
          refused.push({ record, reason: 'a constraint' })
        } else {
          kept.push(record)
          rows.push(...taken)
        }
      }
      const facts = kept.length === fragment.records.length ? fragment.facts : this.#factsOf(kept)
      const { sid, reason } = fragment
      for (const one of facts) stored.push({ sid, reason, facts: one, id: this.#ids.of(reason, one) })
    }
    await this.#send(signal, rows, ({ table, row }) => this.#world.insertRow(table, row))
    await this.#send(signal, stored, (fragment) => this.#world.insertFragment(fragment))
    return { refused }
  }

  #send<One>(signal: AbortSignal, all: readonly One[], insert: (one: One) => void): Promise<void> {
    return request(this.#world, this.#process, 'tables', signal, (share) => {
      for (const one of all.slice(0, Math.ceil(all.length * share))) insert(one)
    })
  }

  /** Undefined = the server refuses a row of it. */
  #rowsToWrite(record: FragmentRecord): RowToWrite[] | undefined {
    const model = record.decode()
    const isSpans = 'spans' in model
    if (isSpans ? model.spans.some(({ name }) => name === REFUSED) : model.question === REFUSED)
      return undefined
    const version = (BigInt(isSpans ? 0 : model.revision) << 48n) + BigInt(record.receivedAtMs)
    const rows = rowsOf(model, deliveredText)
    if (rows.some(({ table, key }) => this.#world.deploy.refuses(table, key, version))) return undefined
    return rows.map(({ table, key, content }, i) => {
      const factKey = isSpans
        ? spanKey(model.spans[i]!.traceId, model.spans[i]!.spanId)
        : i === 0
          ? logKey(model.logId)
          : nodeKey(model.logId, i - 1)
      return { table, row: { key, content, version, factKey } }
    })
  }

  #factsOf(records: readonly FragmentRecord[]): readonly FragmentFacts[] {
    if (records.length === 0) return []
    const collector = new FactsCollector()
    for (const { bytes, bodyStart, receivedAtMs, schemaId } of records) {
      this.#world.recordTypes.get(schemaId)!.collect(bytes, bodyStart, bytes.length, receivedAtMs, collector)
    }
    return collector.build()
  }
}

/** A destination that only knows which records it was given: the archive, an OTLP receiver. */
export function recordSink(world: World, process: SimProcess, name: 'archive' | 'otlp'): Sink {
  const store = name === 'archive' ? world.archived : world.exported
  return {
    name,
    start: async () => undefined,
    close: async () => undefined,
    write: async (fragments, signal) => {
      world.oracle.onWrite(process, name, fragments)
      const places = fragments.flatMap(({ records }) =>
        records.map(({ partition, offset, receivedAtMs }) => placeOf(partition, offset, receivedAtMs)),
      )
      if (name === 'otlp' && world.options.bestEffortNeverAnswers) {
        await new Promise((_, reject) =>
          signal.addEventListener('abort', () => reject(unavailable(name, signal.reason))),
        )
      }
      await request(world, process, name, signal, (share) => {
        for (const place of places.slice(0, Math.ceil(places.length * share))) store.add(place)
      })
      return { refused: [] }
    },
  }
}

/** An offset alone may name two records, where an unclean election cut the log. */
export function placeOf(partition: number, offset: number, appendTimeMs: number): string {
  return `${partition}/${offset}/${appendTimeMs}`
}

function request(
  world: World,
  process: SimProcess,
  name: 'tables' | 'archive' | 'otlp',
  signal: AbortSignal,
  serve: (share: number) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(unavailable(name, signal.reason))
      return
    }
    signal.addEventListener('abort', () => reject(unavailable(name, signal.reason)))
    world.network.call({
      name,
      process,
      timeoutMs: world.sinkTimeoutMs,
      serve,
      onAnswer: resolve,
      onError: (error) => reject(unavailable(name, error)),
    })
  })
}

function unavailable(name: string, cause: unknown): SiderealError {
  return new SiderealError('SIDEREAL_CLICKHOUSE_UNAVAILABLE', `${name} did not answer`, {
    cause,
    retryable: true,
  })
}
