import { resource, scope } from '../../codec/model-readers.ts'
import type { RecordType } from '../../codec/record-type.ts'
import { fieldDecoder } from '../../codec/schema-walks.ts'
import type { SpanBatch } from '../../model/span.ts'
import type { SpanBytes } from './span-bytes.ts'
import { SPAN_BYTES_DECLARATIONS, SPAN_BYTES_PARAMETERS, spanBytesPlan } from './span-bytes-plan.ts'

/** The walks of one writer schema from bytes to rows. Positions bound a value in the bytes. */
export interface SpanWalk {
  feed(bytes: Buffer, start: number, end: number, sink: SpanBytes): void
  decodeResource(bytes: Buffer, start: number, end: number): SpanBatch['resource']
  decodeScope(bytes: Buffer, start: number, end: number): SpanBatch['scope']
}

export function compileSpanWalk(type: RecordType): SpanWalk {
  return {
    feed: type.compileWalk<SpanWalk['feed']>({
      plan: spanBytesPlan,
      parameters: SPAN_BYTES_PARAMETERS,
      declarations: SPAN_BYTES_DECLARATIONS,
    }),
    decodeResource: fieldDecoder(type, 'resource', resource),
    decodeScope: fieldDecoder(type, 'scope', scope),
  }
}
