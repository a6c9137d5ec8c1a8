import { logKey, nodeKey, spanKey } from '../../src/codec/hash.ts'
import { SiderealError } from '../../src/model/errors.ts'
import type { CloseReason, FragmentFacts, LogFact } from '../../src/model/fragment.ts'
import type { ClickHouse } from '../../src/storage/clickhouse/client.ts'
import { type NativeRow, readNative } from './native-reader.ts'
import { logRowKey, REFUSED, spanRowKey, type TableName } from './records.ts'
import type { SimProcess } from './scheduler.ts'
import type { StoredFragment, StoredRow } from './tables.ts'
import type { World } from './world.ts'

/**
 * A ClickHouse server for the real sink: takes Native blocks, reads them with a reader of its own and puts the rows into the tables. A block
 * with a row that the server refuses is refused whole, as the real one does.
 */
export function clickHouseFor(world: World, process: SimProcess): ClickHouse {
  const client: Pick<ClickHouse, 'url' | 'database' | 'ping' | 'insertNative' | 'close'> = {
    url: 'http://simulated',
    database: 'sidereal',
    ping: async () => undefined,
    close: async () => undefined,
    insertNative: (name, _columns, chunks, signal) => {
      const table = name.slice(name.lastIndexOf('.') + 1)
      const rows = readNative(chunks)
      return new Promise<void>((resolve, reject) => {
        const failed = (cause: unknown): void =>
          reject(
            new SiderealError('SIDEREAL_CLICKHOUSE_UNAVAILABLE', `${table}: no answer`, {
              cause,
              retryable: true,
            }),
          )
        signal?.addEventListener('abort', () => failed(signal.reason))
        world.network.call({
          name: 'tables',
          process,
          timeoutMs: world.sinkTimeoutMs,
          serve: (share) => insert(world, table, rows.slice(0, Math.ceil(rows.length * share))),
          onAnswer: (isTaken) => {
            if (isTaken) resolve()
            else reject(new SiderealError('SIDEREAL_ROW_REFUSED', `a row of ${table} violates a constraint`))
          },
          onError: failed,
        })
      })
    },
  }
  // The sink uses these alone; the rest of the client speaks HTTP.
  return client as unknown as ClickHouse
}

const FORMS = new Map<string, { table: TableName; rowOf: (row: NativeRow) => StoredRow }>([
  ['spans', { table: 'spans', rowOf: spanRow }],
  ['node_trace_logs', { table: 'node_trace_logs', rowOf: logRow }],
  ['node_logs', { table: 'node_logs', rowOf: nodeRow }],
])

/** False = refused. */
function insert(world: World, table: string, rows: readonly NativeRow[]): boolean {
  if (rows.some((row) => (table === 'spans' ? row['name'] : row['question']) === REFUSED)) return false
  if (table === 'trace_fragments') for (const row of rows) world.insertFragment(fragmentRow(row))
  const form = FORMS.get(table)
  if (form === undefined) return true
  const stored = rows.map(form.rowOf)
  if (stored.some(({ key, version }) => world.deploy.refuses(form.table, key, version))) return false
  for (const row of stored) world.insertRow(form.table, row)
  return true
}

function spanRow(row: NativeRow): StoredRow {
  const traceId = str(row['trace_id'])
  const spanId = str(row['span_id'])
  return {
    key: spanRowKey(str(row['app_id']), str(row['sid']), traceId, spanId, row['start_time'] as bigint),
    version: row['version'] as bigint,
    factKey: spanKey(traceId, spanId),
    content: [
      row['parent_span_id'],
      row['name'],
      row['status_code'],
      textOf(row, 'status_message'),
      row['is_error'] === 1,
      row['uid'],
      row['chat_id'],
      row['service_name'],
      row['end_time'],
      row['batch_id'],
    ].join('|'),
  }
}

function logRow(row: NativeRow): StoredRow {
  const logId = str(row['log_id'])
  return {
    key: logRowKey(str(row['app_id']), str(row['sid']), logId),
    version: row['version'] as bigint,
    factKey: logKey(logId),
    content: [
      row['revision'],
      row['uid'],
      row['chat_id'],
      row['service_id'],
      textOf(row, 'answer'),
      row['status_code'],
      row['question_tokens'],
      row['prompt_tokens'],
      row['completion_tokens'],
      row['total_tokens'],
      row['node_count'],
    ].join('|'),
  }
}

function nodeRow(row: NativeRow): StoredRow {
  const logId = str(row['log_id'])
  const place = Number(row['place'])
  return {
    key: `${logRowKey(str(row['app_id']), str(row['sid']), logId)}|${place}`,
    version: row['version'] as bigint,
    factKey: nodeKey(logId, place),
    content: [
      row['revision'],
      row['id'],
      row['node_id'],
      row['node_type'],
      row['running_status'] === 1,
      textOf(row, 'llm_output'),
      (row['next_log_ids'] as string[]).join(','),
      row['question_tokens'],
      row['prompt_tokens'],
      row['completion_tokens'],
      row['total_tokens'],
    ].join('|'),
  }
}

/** A payload is told by size and hash: `key#offset,length,size,sha256,encoding`. */
function textOf(row: NativeRow, column: string): string {
  const references = row['payload_refs'] as [string, string][]
  const reference = references.find(([path]) => path === column)?.[1]
  if (reference === undefined) return str(row[column])
  const [, , size, sha256] = reference.slice(reference.lastIndexOf('#') + 1).split(',')
  return `payload ${sha256} ${size}`
}

function fragmentRow(row: NativeRow): StoredFragment {
  const list = (name: string): BigUint64Array => BigUint64Array.from(row[name] as bigint[])
  const tuples = (name: string): unknown[][] => row[name] as unknown[][]
  const facts: FragmentFacts = {
    appId: str(row['app_id']),
    firstReceivedAtMs: toMs(row['first_received_at']),
    lastReceivedAtMs: toMs(row['received_at']),
    startTimeNs: row['start_time'] as bigint,
    endTimeNs: row['end_time'] as bigint,
    traceIds: row['trace_ids'] as string[],
    services: row['services'] as string[],
    rootName: str(row['root_name']),
    rootService: str(row['root_service']),
    rootStartTimeNs: row['root_start_time'] as bigint,
    remoteRoots: tuples('remote_roots').map(([startTimeNs, name, service, parentKey]) => ({
      startTimeNs: startTimeNs as bigint,
      name: str(name),
      service: str(service),
      parentKey: parentKey as bigint,
    })),
    identities: tuples('identities').map(([service, uid, chatId]) => ({
      service: str(service),
      uid: str(uid),
      chatId: str(chatId),
    })),
    spanKeys: list('span_keys'),
    errorKeys: list('error_keys'),
    missingParents: list('missing_parents'),
    traceKeys: list('trace_keys'),
    rootedTraceKeys: list('rooted_trace_keys'),
    nodes: factsOf(list('node_keys'), tuples('node_facts')),
    logs: factsOf(list('log_keys'), tuples('log_facts')),
    nodeIdKeys: list('node_id_keys'),
    announced: tuples('announced').map(([log, node]) => ({ logKey: log as bigint, nodeKey: node as bigint })),
    endedLogKeys: list('ended_logs'),
  }
  return {
    sid: str(row['sid']),
    id: row['fragment_id'] as bigint,
    reason: str(row['reason']) as CloseReason,
    facts,
  }
}

function factsOf(keys: BigUint64Array, tuples: readonly unknown[][]): LogFact[] {
  return tuples.map(([version, isError, question, prompt, completion, total], i) => ({
    key: keys[i]!,
    version: version as bigint,
    isError: isError === 1,
    tokens: {
      question: Number(question),
      prompt: Number(prompt),
      completion: Number(completion),
      total: Number(total),
    },
  }))
}

function toMs(ns: unknown): number {
  return Number((ns as bigint) / 1_000_000n)
}

function str(value: unknown): string {
  return String(value)
}
