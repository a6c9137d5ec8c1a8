import type { Reader } from '../../codec/avro/readers.ts'
import { resource, scope } from '../../codec/model-readers.ts'
import type { RecordType } from '../../codec/record-type.ts'
import { isSiderealError } from '../../model/errors.ts'
import type { SpanBatch } from '../../model/span.ts'
import type { SpanBytes } from './span-bytes.ts'
import { SPAN_BYTES_DECLARATIONS, SPAN_BYTES_PARAMETERS, spanBytesPlan } from './span-bytes-plan.ts'

/** The walks of one writer schema from bytes to rows. Positions bound a value in the bytes. */
export interface SpanWalk {
  feed(bytes: Buffer, start: number, end: number, sink: SpanBytes): void
  decodeResource(bytes: Buffer, start: number, end: number): SpanBatch['resource']
  decodeScope(bytes: Buffer, start: number, end: number): SpanBatch['scope']
}

/** The walks by schema id, each compiled once. */
export class SpanWalks {
  readonly #recordTypes: (schemaId: number) => RecordType | undefined
  readonly #walks = new Map<number, SpanWalk | undefined>()

  constructor(recordTypes: (schemaId: number) => RecordType | undefined) {
    this.#recordTypes = recordTypes
  }

  /** Undefined when the writer lacks a field that the walk cannot do without: its records go by objects. */
  get(schemaId: number): SpanWalk | undefined {
    const known = this.#walks.get(schemaId)
    if (known !== undefined || this.#walks.has(schemaId)) return known
    const type = this.#recordTypes(schemaId)
    if (type === undefined) return undefined
    const walk = compileSpanWalk(type)
    this.#walks.set(schemaId, walk)
    return walk
  }
}

function compileSpanWalk(type: RecordType): SpanWalk | undefined {
  try {
    return {
      feed: type.compileWalk<SpanWalk['feed']>({
        plan: spanBytesPlan,
        parameters: SPAN_BYTES_PARAMETERS,
        declarations: SPAN_BYTES_DECLARATIONS,
      }),
      decodeResource: decoder<SpanBatch['resource']>(type, 'resource', resource),
      decodeScope: decoder<SpanBatch['scope']>(type, 'scope', scope),
    }
  } catch (error) {
    if (isSiderealError(error, 'SIDEREAL_SCHEMA_INCOMPATIBLE')) return undefined
    throw error
  }
}

function decoder<Value>(
  type: RecordType,
  field: string,
  reader: Reader,
): (bytes: Buffer, start: number, end: number) => Value {
  return type.compileWalk({ field, plan: (names) => reader.plan('result', names), result: true })
}
