import { type AnyValue, type KeyValue, KeyValueList } from '../model/any-value.ts'
import {
  FLAG_HAS_IS_REMOTE,
  FLAG_IS_REMOTE,
  type Span,
  type SpanBatch,
  type SpanEvent,
  STATUS_ERROR,
  STATUS_OK,
  STATUS_UNSET,
} from '../model/span.ts'
import { payloadSize, shortText, textOfSize } from './generated-text.ts'
import type { GeneratedIdentity } from './generator.ts'
import { SPANS_PER_RECORD } from './load-plan.ts'
import type { SeededRandom } from './seeded-random.ts'

const SERVICES = ['agent-entry', 'workflow-engine', 'tool-runner', 'knowledge-base'] as const
const MODELS = ['spark-4.0-ultra', 'deepseek-v3', 'qwen2.5-72b']
const NAMES = ['POST /v1/chat', 'workflow.run', 'node.execute', 'llm.stream', '检索知识库']
const SAMPLED = 1
const LOCAL_PARENT = SAMPLED | FLAG_HAS_IS_REMOTE
const REMOTE_PARENT = LOCAL_PARENT | FLAG_IS_REMOTE
const SPACING_NS = 2_000_000n

/** How the spans of a trace hang together. */
export interface SpanShape {
  readonly identity: GeneratedIdentity
  readonly startNs: bigint
  readonly spans: number
  readonly hasPayload: boolean
  /** `whole`, or what is referred to and never sent. */
  readonly missing: 'nothing' | 'parent' | 'remote-parent'
  /** Two trace ids under one SID: services of today pass the SID on, not the trace context. */
  readonly hasTwoTraceIds: boolean
  /** App of the last service, when it is another tenant's. */
  readonly otherAppId: string | undefined
  readonly hasOddTime: boolean
}

/** The span batches of one trace: {@link SPANS_PER_RECORD} spans a record, the services in turn, each record's first span the child of an earlier record's. */
export function generateSpanBatches(random: SeededRandom, shape: SpanShape): SpanBatch[] {
  const recordCount = Math.ceil(shape.spans / SPANS_PER_RECORD)
  const firstTraceId = random.hex(16)
  const secondTraceId = shape.hasTwoTraceIds ? random.hex(16) : firstTraceId
  const payloadSpan = shape.hasPayload ? random.integer(0, shape.spans - 1) : -1
  const oddSpan = shape.hasOddTime ? random.integer(0, shape.spans - 1) : -1
  const orphan = shape.missing === 'parent' ? shape.spans - 1 : -1
  const earlier = new Map<string, { spanId: string }[]>([
    [firstTraceId, []],
    [secondTraceId, []],
  ])
  const batches: SpanBatch[] = []
  for (let record = 0; record < recordCount; record++) {
    const traceId = record * 2 >= recordCount ? secondTraceId : firstTraceId
    const service = SERVICES[record % SERVICES.length]!
    const spans: Span[] = []
    const known = earlier.get(traceId) ?? []
    for (
      let place = record * SPANS_PER_RECORD;
      place < Math.min(shape.spans, (record + 1) * SPANS_PER_RECORD);
      place++
    ) {
      const isFirstOfRecord = spans.length === 0
      let parentSpanId =
        known.length === 0 ? null : random.pick(isFirstOfRecord ? known : known.slice(-spans.length)).spanId
      let flags = isFirstOfRecord && parentSpanId !== null ? REMOTE_PARENT : LOCAL_PARENT
      if (parentSpanId === null && shape.missing === 'remote-parent') {
        parentSpanId = random.hex(8)
        flags = REMOTE_PARENT
      }
      if (place === orphan && place > 0) {
        parentSpanId = random.hex(8)
        flags = LOCAL_PARENT
      }
      const startNs = shape.startNs + BigInt(place) * SPACING_NS + BigInt(random.integer(0, 999_999))
      const span = makeSpan(random, { traceId, spanId: random.hex(8), parentSpanId, flags, startNs, place })
      if (place === payloadSpan)
        span.attributes.push({ key: 'gen_ai.prompt', value: textOfSize(random, payloadSize(random)) })
      if (place === oddSpan) setOddTime(random, span)
      spans.push(span)
      known.push(span)
    }
    const isLastService = record === recordCount - 1 && recordCount > 1
    const identity =
      isLastService && shape.otherAppId !== undefined
        ? { ...shape.identity, appId: shape.otherAppId }
        : shape.identity
    batches.push({
      ...identity,
      batchId: random.hex(16),
      resource: resourceOf(random, service),
      scope: scopeOf(service),
      spans,
    })
  }
  return batches
}

const DAY_NS = 86_400_000_000_000n
const YEAR_NS = 365n * DAY_NS

function setOddTime(random: SeededRandom, span: Span): void {
  const { startTimeNs, endTimeNs } = span
  const start = random.pick([
    0n,
    -1n,
    YEAR_NS + 5n * DAY_NS,
    137n * YEAR_NS + 100n * DAY_NS,
    180n * YEAR_NS + 100n * DAY_NS,
    2n ** 63n - 1n - DAY_NS,
    startTimeNs - 40n * DAY_NS,
    endTimeNs + 1n,
  ])
  span.startTimeNs = start
  const duration = endTimeNs - startTimeNs
  if (random.chance(0.5)) span.endTimeNs = start === endTimeNs + 1n ? endTimeNs : start + duration
}

interface SpanSeed {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | null
  readonly flags: number
  readonly startNs: bigint
  readonly place: number
}

function makeSpan(random: SeededRandom, seed: SpanSeed): Span {
  const { startNs, place, ...ids } = seed
  const endTimeNs = startNs + BigInt(random.integer(1_000, 800_000_000))
  const error = random.chance(0.03) ? random.pick(['status', 'attribute', 'code', 'event'] as const) : 'none'
  const attributes = spanAttributes(random, place)
  if (error === 'attribute') attributes.push({ key: 'error', value: true })
  if (error === 'code') attributes.push({ key: 'code', value: BigInt(random.integer(10000, 10999)) })
  return {
    ...ids,
    name: random.pick(NAMES),
    kind: place % SPANS_PER_RECORD === 0 ? 2 : random.pick([0, 1, 3, 4, 5]),
    startTimeNs: startNs,
    endTimeNs,
    statusCode: error === 'status' ? STATUS_ERROR : random.pick([STATUS_OK, STATUS_UNSET]),
    statusMessage: error === 'status' ? 'upstream answered 503' : '',
    traceState: random.chance(0.1) ? 'vendor=a:1' : '',
    attributes,
    droppedAttributesCount: random.chance(0.05) ? random.integer(1, 9) : 0,
    events: spanEvents(random, startNs, error === 'event'),
    droppedEventsCount: random.chance(0.05) ? random.integer(1, 9) : 0,
    links: random.chance(0.1)
      ? [
          {
            traceId: random.hex(16),
            spanId: random.hex(8),
            traceState: '',
            attributes: keyValues([['link.kind', 'follows_from']]),
            droppedAttributesCount: 0,
            flags: SAMPLED,
          },
        ]
      : [],
    droppedLinksCount: 0,
  }
}

function spanEvents(random: SeededRandom, startNs: bigint, isError: boolean): SpanEvent[] {
  const event = (name: string, pairs: [string, AnyValue][]): SpanEvent => ({
    timeNs: startNs + BigInt(random.integer(1, 900_000)),
    name,
    attributes: keyValues(pairs),
    droppedAttributesCount: 0,
  })
  const events = random.chance(0.6) ? [event('INFO', [['INFO LOG', shortText(random)]])] : []
  if (random.chance(0.1))
    events.push(
      event('chunk', [
        ['index', 7n],
        ['bytes', new Uint8Array([0, 255, 10])],
        ['done', false],
      ]),
    )
  if (isError) {
    const isException = random.chance(0.5)
    events.push(
      isException
        ? event('exception', [
            ['exception.type', 'TimeoutError'],
            ['exception.message', '超时'],
          ])
        : event('ERROR', [['ERROR LOG', 'no answer']]),
    )
  }
  return events
}

function spanAttributes(random: SeededRandom, place: number): KeyValue[] {
  const attributes = keyValues([
    ['http.request.method', 'POST'],
    ['http.response.status_code', random.chance(0.01) ? 503n : 200n],
    ['node.id', `node-${place}:${random.integer(0, 63)}`],
    ['gen_ai.request.model', random.pick(MODELS)],
    ['gen_ai.usage.input_tokens', BigInt(random.integer(0, 4000))],
    ['first_frame_ms', random.integer(0, 9000) / 10],
    ['cache.hit', random.chance(0.3)],
  ])
  // Values that a careless text form, or JSON, would change.
  if (random.chance(0.15)) attributes.push({ key: `odd.${random.integer(0, 20)}`, value: oddValue(random) })
  if (random.chance(0.03)) attributes.push({ key: 'cache.hit', value: 'repeated key' })
  return attributes
}

function oddValue(random: SeededRandom): AnyValue {
  return random.pick<AnyValue>([
    null,
    '',
    '5',
    5n,
    5,
    -0,
    0.1,
    1e21,
    5e-324,
    Number.NaN,
    Number.NEGATIVE_INFINITY,
    -(2n ** 63n),
    2n ** 63n - 1n,
    'quote " backslash \\ tab \t newline \n null \u0000 end',
    '𝕏 emoji 👩‍👩‍👧 and 中文',
    new Uint8Array(),
    new Uint8Array([0, 1, 127, 128, 255]),
    [],
    [1n, 'a', 2.5, true, null, ['nested']],
    new KeyValueList([]),
    new KeyValueList(
      keyValues([
        ['a', 1n],
        ['a', 'again'],
        ['list', [1.5]],
      ]),
    ),
  ])
}

function resourceOf(random: SeededRandom, service: string): SpanBatch['resource'] {
  return {
    attributes: keyValues([
      ['service.name', service],
      ['service.version', '2.14.3'],
      ['service.instance.id', `${service}-${random.integer(0, 3)}`],
      ['process.pid', BigInt(random.integer(100, 110))],
    ]),
    droppedAttributesCount: 0,
    schemaUrl: 'https://opentelemetry.io/schemas/1.26.0',
    entityRefs: [],
  }
}

function scopeOf(service: string): SpanBatch['scope'] {
  return {
    name: `sidereal.load/${service}`,
    version: '1.0.0',
    attributes: keyValues([['scope.kind', 'load']]),
    droppedAttributesCount: 0,
    schemaUrl: '',
  }
}

export function keyValues(pairs: readonly (readonly [string, AnyValue])[]): KeyValue[] {
  return pairs.map(([key, value]) => ({ key, value }))
}
