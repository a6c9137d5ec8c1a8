import fc from 'fast-check'
import { rewriteSchema, type SchemaField } from './rewrite-schema.testing.ts'

/** Fields without which a record makes no sense, or no row: no writer is made that lacks them. */
const KEPT: Record<string, readonly string[]> = {
  SpanBatch: ['sid', 'batch_id', 'resource', 'scope', 'spans'],
  NodeTraceLog: ['sid', 'log_id', 'trace'],
  Span: ['trace_id', 'span_id', 'start_time', 'attributes'],
  Event: ['attributes'],
  Link: ['trace_id', 'span_id', 'attributes'],
  KeyValue: ['key', 'value'],
  ArrayValue: ['values'],
  KeyValueList: ['values'],
  PayloadReference: ['sha256', 'encoding'],
}

/** Writer schemas that may come of a schema: in each record some fields gone, some unknown ones of any Avro type there, all in any order. */
export function anyWriterSchema(json: string): fc.Arbitrary<string> {
  return fc.array(fc.nat(), { minLength: 300, maxLength: 300 }).map((choices) => {
    let next = 0
    const choose = (count: number): number => choices[next++ % choices.length]! % count
    return rewriteSchema(json, (record, fields) => {
      const left = fields.filter(
        (field) => KEPT[record]?.includes(field.name) || defaultOf(field) === undefined || choose(5) > 0,
      )
      const all = choose(3) === 0 ? [...left, unknownFields(record)[choose(UNKNOWN_FIELDS)]!] : left
      // One writer in four keeps the order.
      return choose(4) === 0 ? all : shuffled(all, choose)
    })
  })
}

/** The schema with a default for each field that a writer may lack: Avro's own way of saying what our readers do. */
export function withDefaults(json: string): string {
  return rewriteSchema(json, (_record, fields) =>
    fields.map((field) => {
      const value = defaultOf(field)
      return value === undefined ? field : { ...field, default: value }
    }),
  )
}

/** What the source description calls "not known" where that is not zero. */
const SPECIAL_DEFAULTS: Record<string, unknown> = {
  first_frame_duration: -1,
  running_status: true,
}

function defaultOf({ name, type }: SchemaField): unknown {
  if (Object.hasOwn(SPECIAL_DEFAULTS, name)) return SPECIAL_DEFAULTS[name]
  const first: unknown = Array.isArray(type) ? type[0] : type
  const kind = typeof first === 'object' && first !== null && 'type' in first ? first.type : first
  switch (kind) {
    case 'null':
      return null
    case 'string':
      return ''
    case 'boolean':
      return false
    case 'array':
      return []
    case 'int':
    case 'long':
    case 'double':
      return 0
    default:
      return undefined
  }
}

const UNKNOWN_FIELDS = 7

/** Fields that no reader knows, each with a default, which writers write. */
function unknownFields(record: string): SchemaField[] {
  const chain = {
    type: 'record',
    name: `Chain${record}`,
    fields: [{ name: 'next', type: ['null', `Chain${record}`], default: null }],
  }
  return [
    { name: 'unknown', type: ['null', 'string'], default: null },
    { name: 'unknown', type: 'float', default: 1.5 },
    { name: 'unknown', type: 'string', default: '天气' },
    {
      name: 'unknown',
      type: { type: 'map', values: { type: 'array', items: 'int' } },
      default: { a: [1, -70_000], b: [] },
    },
    {
      name: 'unknown',
      type: { type: 'enum', name: `Colour${record}`, symbols: ['RED', 'GREEN'] },
      default: 'GREEN',
    },
    { name: 'unknown', type: { type: 'fixed', name: `Three${record}`, size: 3 }, default: 'abc' },
    { name: 'unknown', type: ['null', chain], default: null },
  ]
}

function shuffled<T>(items: readonly T[], choose: (count: number) => number): T[] {
  const rest = [...items]
  return items.map(() => rest.splice(choose(rest.length), 1)[0]!)
}
