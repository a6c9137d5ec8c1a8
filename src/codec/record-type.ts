import { SiderealError } from '../model/errors.ts'
import type { NodeTraceLog } from '../model/node-trace-log.ts'
import type { SpanBatch } from '../model/span.ts'
import { isTimeInRange } from '../model/time.ts'
import type { Plan } from './avro/plan.ts'
import type { Reader } from './avro/readers.ts'
import { type AvroRecord, parseAvroSchema } from './avro/schema.ts'
import { WalkCompiler } from './avro/walk.ts'
import { compileInspect } from './compile-inspect.ts'
import { compileWalk, type WalkRequest } from './compile-walk.ts'
import type { Refuse } from './decode-runtime.ts'
import type { FactsCollector } from './facts.ts'
import { nodeTraceLogReader, spanBatchReader } from './model-readers.ts'
import type { RecordHeader } from './record-header.ts'
import {
  COLLECT_DECLARATIONS,
  collectNodeTraceLogPlan,
  collectSpanBatchPlan,
  inspectPlan,
  SPAN_DAY,
} from './record-plans.ts'
import type { WatchedKeys } from './watched-keys.ts'

/**
 * One writer schema, compiled. `start` and `end` bound the Avro value in `bytes` (behind the frame: `BODY_START`). All three throw a
 * SiderealError `SIDEREAL_RECORD_INVALID` for bytes that are not a value of the schema; what `inspect` takes, the others take as well.
 *
 * Fields that the writer lacks get a default, fields that are not known are skipped, and their order does not matter.
 */
export interface RecordType {
  readonly kind: 'spans' | 'log'
  /** Full name of the record: `sidereal.SpanBatch` or `sidereal.NodeTraceLog`. */
  readonly name: string
  readonly schemaId: number
  /** Fields of the record in the writer's order. */
  readonly fieldNames: readonly string[]
  /**
   * Validates every length, tag and number and that the value ends exactly at `end`, and fills the header. Strings other than the
   * SID are not checked to be UTF-8: where they are not, `decode` gives U+FFFD.
   */
  inspect(bytes: Buffer, start: number, end: number, header: RecordHeader): void
  /** Adds the record to the facts of its fragment. */
  collect(bytes: Buffer, start: number, end: number, receivedAtMs: number, facts: FactsCollector): void
  /** The record as an object that shares no memory with `bytes`. */
  decode(bytes: Buffer, start: number, end: number): SpanBatch | NodeTraceLog
  /** Compiles a walk of the caller's own over values of this schema: {@link compileWalk}. It may count on what `inspect` has taken. */
  compileWalk<Walk>(request: WalkRequest): Walk
}

export interface RecordTypeOptions {
  /** Strings of more UTF-8 bytes than this make `hasLargeValue`. */
  payloadLimitBytes: number
  /** Keys whose occurrences `inspect` tells (`RecordHeader.hasWatchedKey`). Without any, it is compiled as if there were no such thing. */
  watchedKeys?: WatchedKeys
}

interface RecordPlans {
  kind: RecordType['kind']
  inspect: Plan
  collect: Plan
  reader: Reader
}

const RECORD_PLANS: Record<string, RecordPlans> = {
  'sidereal.SpanBatch': {
    kind: 'spans',
    inspect: inspectPlan('batch_id', 'spans', SPAN_DAY),
    collect: collectSpanBatchPlan,
    reader: spanBatchReader,
  },
  'sidereal.NodeTraceLog': {
    kind: 'log',
    inspect: inspectPlan('log_id', 'trace'),
    collect: collectNodeTraceLogPlan,
    reader: nodeTraceLogReader,
  },
}

/**
 * Compiles the walks over one writer schema.
 * @param schemaJson the writer schema as the registry gives it
 * @throws SiderealError `SIDEREAL_SCHEMA_INCOMPATIBLE` when it is not a schema of a Sidereal record, `SIDEREAL_CONFIG_INVALID` when
 * the watched keys are not a set (`listWatchedKeys`)
 */
export function compileRecordType(
  schemaJson: string,
  schemaId: number,
  options: RecordTypeOptions,
): RecordType {
  const schema = parseAvroSchema(schemaJson)
  const plans =
    schema.kind === 'record' && Object.hasOwn(RECORD_PLANS, schema.name)
      ? RECORD_PLANS[schema.name]
      : undefined
  if (schema.kind !== 'record' || plans === undefined) {
    throw new SiderealError(
      'SIDEREAL_SCHEMA_INCOMPATIBLE',
      `schema ${schemaId} is of ${schema.kind === 'record' ? `the record "${schema.name}"` : `a ${schema.kind}`}; expected ${Object.keys(RECORD_PLANS).join(' or ')}`,
    )
  }
  const bad: Refuse = (position, what) => {
    throw new SiderealError(
      'SIDEREAL_RECORD_INVALID',
      `the bytes are not a ${schema.name} of schema ${schemaId}: ${what} (near byte ${position})`,
    )
  }
  return {
    kind: plans.kind,
    name: schema.name,
    schemaId,
    fieldNames: schema.fields.map((field) => field.name),
    inspect: compileInspect(plans.kind, schema, plans.inspect, bad, options),
    collect: compileCollect(schema, plans.collect, bad),
    decode: compileWalk(schema, { plan: (names) => plans.reader.plan('result', names), result: true }, bad),
    compileWalk: (request) => compileWalk(schema, request, bad),
  }
}

function compileCollect(schema: AvroRecord, plan: Plan, bad: Refuse): RecordType['collect'] {
  const compiler = new WalkCompiler(schema)
  compiler.entry('collect', ['receivedAtMs', 'facts'], plan)
  const factory = new Function('bad', 'isTimeInRange', compiler.source(COLLECT_DECLARATIONS, 'collect')) as (
    bad: Refuse,
    isInRange: typeof isTimeInRange,
  ) => RecordType['collect']
  return factory(bad, isTimeInRange)
}
