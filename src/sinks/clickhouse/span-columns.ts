import { SPANS_COLUMNS } from '../../storage/clickhouse/columns.ts'
import { type KnownField, KnownFields } from './known-fields.ts'
import { Block, type BlockColumns } from './native/block.ts'
import type { ChunkPool } from './native/chunk-pool.ts'
import { ArrayColumn } from './native/composite-columns.ts'
import type { Int32Column } from './native/fixed-columns.ts'
import { uint32 } from './record-context.ts'

/** Columns in which most rows have nothing. */
const SPARSE_COLUMNS = [
  'time_flags',
  'start_time_original',
  'end_time_original',
  'status_message',
  'level',
  'code',
  'error_type',
  'http_method',
  'http_route',
  'http_status_code',
  'rpc_service',
  'rpc_method',
  'db_system',
  'messaging_destination',
  'server_address',
  'gen_ai_system',
  'gen_ai_operation',
  'model',
  'input_tokens',
  'output_tokens',
  'total_tokens',
  'dropped_attributes_count',
  'events.time',
  'events.name',
  'events.attributes',
  'events.attribute_types',
  'events.dropped_attributes_count',
  'dropped_events_count',
  'links.trace_id',
  'links.span_id',
  'links.trace_state',
  'links.attributes',
  'links.attribute_types',
  'links.dropped_attributes_count',
  'links.flags',
  'dropped_links_count',
  'trace_state',
  'payload_refs',
] as const satisfies readonly (keyof typeof SPANS_COLUMNS)[]

export type SpanBlock = Block<typeof SPANS_COLUMNS>
export type SpanColumns = BlockColumns<typeof SPANS_COLUMNS>

/** An empty block of `spans`. */
export function createSpanBlock(pool: ChunkPool): SpanBlock {
  return new Block(SPANS_COLUMNS, pool, SPARSE_COLUMNS)
}

/** Arrays that have the same length in each row: those of the events of a span, or of its links. */
export class ArrayGroup {
  readonly #columns: readonly ArrayColumn[]

  /** @param prefix of the names of the columns, such as `events.` */
  constructor(c: SpanColumns, prefix: 'events.' | 'links.') {
    this.#columns = Object.entries(c).flatMap(([name, column]) =>
      name.startsWith(prefix) && column instanceof ArrayColumn ? [column] : [],
    )
  }

  /** Before the first element of the row `row` is pushed: most rows have none. */
  beginRow(row: number): void {
    for (const column of this.#columns) column.pad(row)
  }

  endRow(): void {
    for (const column of this.#columns) column.endRow()
  }
}

/** Adds a count to a sparse column, in the row `row`. OTLP's counts are uint32, Avro's long is wider. */
export function pushSparseCount(column: Int32Column, count: number, row: number): void {
  if (count === 0) return
  column.pad(row)
  column.push(uint32(count))
}

/** Place of `level` among the known fields: it is filled from events too, where no attribute says it. */
export const LEVEL_FIELD = 0

/** Attributes of a span with a column of their own. */
export function createKnownFields(c: SpanColumns): KnownFields {
  const fields: KnownField[] = [
    { column: c.level, type: 'text', keys: ['level'] },
    { column: c.code, type: 'int64', keys: ['code'] },
    { column: c.error_type, type: 'text', keys: ['error.type', 'exception.type'] },
    { column: c.http_method, type: 'text', keys: ['http.request.method', 'http.method'] },
    { column: c.http_route, type: 'text', keys: ['http.route'] },
    {
      column: c.http_status_code,
      type: 'uint16',
      keys: ['http.response.status_code', 'http.status_code'],
    },
    { column: c.rpc_service, type: 'text', keys: ['rpc.service'] },
    { column: c.rpc_method, type: 'text', keys: ['rpc.method'] },
    { column: c.db_system, type: 'text', keys: ['db.system.name', 'db.system'] },
    {
      column: c.messaging_destination,
      type: 'text',
      keys: ['messaging.destination.name', 'messaging.destination'],
    },
    { column: c.server_address, type: 'text', keys: ['server.address', 'net.peer.name'] },
    {
      column: c.gen_ai_system,
      type: 'text',
      keys: ['gen_ai.provider.name', 'gen_ai.system', 'llm.provider', 'llm.system', 'llm.vendor'],
    },
    {
      column: c.gen_ai_operation,
      type: 'text',
      keys: ['gen_ai.operation.name', 'openinference.span.kind', 'llm.request.type'],
    },
    {
      column: c.model,
      type: 'text',
      keys: [
        'gen_ai.request.model',
        'gen_ai.response.model',
        'llm.model_name',
        'llm.request.model',
        'llm.model',
        'model',
      ],
    },
    {
      column: c.input_tokens,
      type: 'int64',
      keys: [
        'gen_ai.usage.input_tokens',
        'gen_ai.usage.prompt_tokens',
        'llm.token_count.prompt',
        'llm.usage.prompt_tokens',
      ],
    },
    {
      column: c.output_tokens,
      type: 'int64',
      keys: [
        'gen_ai.usage.output_tokens',
        'gen_ai.usage.completion_tokens',
        'llm.token_count.completion',
        'llm.usage.completion_tokens',
      ],
    },
    {
      column: c.total_tokens,
      type: 'int64',
      keys: ['gen_ai.usage.total_tokens', 'llm.token_count.total', 'llm.usage.total_tokens'],
    },
  ]
  return new KnownFields(fields, c.attributes.keys)
}
