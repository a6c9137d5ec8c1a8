import fc from 'fast-check'
import { type AnyValue, type KeyValue, KeyValueList } from '../model/any-value.ts'
import type { NodeLog, NodeTraceLog } from '../model/node-trace-log.ts'
import { PayloadReference } from '../model/payload-reference.ts'
import type { Span, SpanBatch } from '../model/span.ts'

/**
 * Any record of the model, for property tests of whatever takes records: all value types nested, int64 extremes, NaN, −0, bytes, repeated and empty keys,
 * multi-byte text.
 */

/** `fc.record` makes objects without a prototype at times, which the model never does. */
function object<T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(fields, { noNullPrototype: true }) as fc.Arbitrary<T>
}

const INT64_MIN = -(2n ** 63n)
const INT64_MAX = 2n ** 63n - 1n

export function hexId(bytes: number): fc.Arbitrary<string> {
  return fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((id) => Buffer.from(id).toString('hex'))
}

/** What {@link anyText} is often. */
export const FREQUENT_TEXTS = [
  'error',
  'code',
  'true',
  'service.name',
  '天气如何？',
  '\u0000',
  '__proto__',
] as const

/** Well-formed text: short, ASCII, multi-byte, and sometimes long enough for every length of a length prefix. */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.string({ maxLength: 12 }) },
  { weight: 3, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom('', ...FREQUENT_TEXTS),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom('x', 'é', '日', '😀'), fc.integer({ min: 15, max: 6000 }))
      .map(([unit, count]) => unit.repeat(count)),
  },
)

const anyInt64 = fc.oneof(
  fc.bigInt(INT64_MIN, INT64_MAX),
  fc.constantFrom(INT64_MIN, INT64_MAX, 0n, -1n, 63n, 64n, -64n, -65n),
)

const anyDouble = fc.oneof(
  fc.double(),
  fc.constantFrom(Number.NaN, -0, 0, 1, 1e22, 5e-324, Infinity, -Infinity),
)

const anySafeInteger = fc.oneof(
  fc.nat(100),
  fc.maxSafeInteger(),
  fc.constantFrom(2 ** 53 - 1, -(2 ** 53) + 1, 2 ** 31, -(2 ** 32)),
)

export const anyPayloadReference: fc.Arbitrary<PayloadReference> = object({
  key: fc.option(anyText),
  offset: fc.maxSafeNat(),
  length: fc.nat(),
  size: fc.maxSafeNat(),
  sha256: hexId(32),
  encoding: fc.constantFrom('zstd', 'identity'),
  preview: anyText,
}).map((fields) => new PayloadReference(fields))

const { value } = fc.letrec<{ value: AnyValue; entry: KeyValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.oneof(
      fc.constant(null),
      anyText,
      anyText,
      anyInt64,
      anyDouble,
      fc.boolean(),
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Uint8Array.from(bytes)),
      anyPayloadReference,
    ),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.array(tie('entry'), { maxLength: 4 }).map((entries) => new KeyValueList(entries)),
  ),
  entry: object({ key: anyText, value: tie('value') }),
}))

export const anyValue: fc.Arbitrary<AnyValue> = value

export const anyAttributes: fc.Arbitrary<KeyValue[]> = fc.array(object({ key: anyText, value }), {
  maxLength: 6,
})

export const anyOffloadable = fc.oneof({ weight: 3, arbitrary: anyText }, anyPayloadReference)

const sid = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 60 })
  .filter((text) => Buffer.byteLength(text) <= 256)

const anyTime = fc.oneof(fc.bigInt(1_700_000_000_000_000_000n, 1_800_000_000_000_000_000n), anyInt64)

/** Ids of a small set, so that spans of one fragment refer to one another, repeat and miss parents. */
const smallId = (bytes: number) => fc.nat(5).map((n) => n.toString(16).padStart(bytes * 2, '0'))

export const anySpan: fc.Arbitrary<Span> = object({
  traceId: fc.oneof(smallId(16), hexId(16)),
  spanId: fc.oneof(smallId(8), hexId(8)),
  parentSpanId: fc.option(fc.oneof(smallId(8), hexId(8))),
  flags: fc.oneof(fc.constantFrom(0, 1, 0x100, 0x300, 0x301), fc.nat(0xffffffff)),
  name: anyText,
  kind: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  startTimeNs: anyTime,
  endTimeNs: anyTime,
  statusCode: fc.oneof(fc.nat(2), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })),
  statusMessage: anyOffloadable,
  traceState: anyText,
  attributes: anyAttributes,
  droppedAttributesCount: fc.nat(0xffffffff),
  events: fc.array(
    object({
      timeNs: anyTime,
      name: fc.oneof(fc.constantFrom('ERROR', 'exception', 'INFO'), anyText),
      attributes: anyAttributes,
      droppedAttributesCount: fc.nat(0xffffffff),
    }),
    { maxLength: 3 },
  ),
  droppedEventsCount: fc.nat(0xffffffff),
  links: fc.array(
    object({
      traceId: hexId(16),
      spanId: hexId(8),
      traceState: anyText,
      attributes: anyAttributes,
      droppedAttributesCount: fc.nat(0xffffffff),
      flags: fc.nat(0xffffffff),
    }),
    { maxLength: 2 },
  ),
  droppedLinksCount: fc.nat(0xffffffff),
})

const identity = {
  sid,
  appId: fc.oneof(fc.constantFrom('', 'app-1', 'app-2'), anyText),
  uid: anyText,
  chatId: anyText,
}

export const anySpanBatch: fc.Arbitrary<SpanBatch> = object({
  ...identity,
  batchId: hexId(16),
  resource: object({
    attributes: anyAttributes,
    droppedAttributesCount: fc.nat(0xffffffff),
    schemaUrl: anyText,
    entityRefs: fc.array(
      object({
        schemaUrl: anyText,
        type: anyText,
        idKeys: fc.array(anyText, { maxLength: 2 }),
        descriptionKeys: fc.array(anyText, { maxLength: 2 }),
      }),
      { maxLength: 2 },
    ),
  }),
  scope: object({
    name: anyText,
    version: anyText,
    attributes: anyAttributes,
    droppedAttributesCount: fc.nat(0xffffffff),
    schemaUrl: anyText,
  }),
  spans: fc.array(anySpan, { maxLength: 5 }),
})

const usage = object({
  questionTokens: fc.nat(),
  promptTokens: fc.nat(),
  completionTokens: fc.nat(),
  totalTokens: anySafeInteger,
})

const nodeName = fc.oneof(
  fc.constantFrom('', 'n1', 'n2', 'n3', 'node-end', 'node-end:1', 'end', 'End'),
  anyText,
)
const timeMs = fc.oneof(
  fc.integer({ min: 1_700_000_000_000, max: 1_800_000_000_000 }),
  fc.constant(0),
  anySafeInteger,
)

export const anyNodeLog: fc.Arbitrary<NodeLog> = object({
  id: nodeName,
  sid: anyText,
  nodeId: nodeName,
  nodeType: nodeName,
  nodeName: anyText,
  funcId: anyText,
  funcType: anyText,
  funcName: anyText,
  nextLogIds: fc.array(nodeName, { maxLength: 3 }),
  startTimeMs: timeMs,
  endTimeMs: timeMs,
  durationMs: anySafeInteger,
  firstFrameDurationMs: anyDouble,
  nodeFirstCostTime: anyDouble,
  llmOutput: anyOffloadable,
  runningStatus: fc.boolean(),
  data: object({ input: anyAttributes, output: anyAttributes, config: anyAttributes, usage }),
  logs: fc.array(anyOffloadable, { maxLength: 3 }),
  extra: anyAttributes,
})

export const anyNodeTraceLog: fc.Arbitrary<NodeTraceLog> = object({
  ...identity,
  logId: fc.oneof(smallId(16), hexId(16)),
  revision: fc.oneof(fc.nat(3), fc.nat(2 ** 31 - 1)),
  traceId: fc.option(hexId(16)),
  spanId: fc.option(hexId(8)),
  serviceId: anyText,
  flowId: anyText,
  botId: anyText,
  sub: anyText,
  caller: anyText,
  logCaller: anyText,
  question: anyOffloadable,
  answer: anyOffloadable,
  startTimeMs: timeMs,
  endTimeMs: timeMs,
  durationMs: anySafeInteger,
  firstFrameDurationMs: anyDouble,
  srv: anyAttributes,
  srvTag: anyAttributes,
  status: object({ code: anySafeInteger, message: anyOffloadable }),
  usage,
  version: anyText,
  trace: fc.array(anyNodeLog, { maxLength: 4 }),
  extra: anyAttributes,
})
