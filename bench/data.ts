import { SeededRandom } from '../src/audit/seeded-random.ts'
import type { AnyValue, KeyValue } from '../src/model/any-value.ts'
import type { Span, SpanBatch } from '../src/model/span.ts'
import { STATUS_ERROR, STATUS_OK } from '../src/model/span.ts'

/** Shape of the reference job: what the figures of other systems were taken with. */
export const SPANS_PER_RECORD = 4
export const SERVICES = ['agent-entry', 'workflow-engine', 'tool-runner'] as const
export const SPANS_PER_TRACE = SPANS_PER_RECORD * SERVICES.length

const MODELS = ['spark-4.0-ultra', 'spark-lite', 'deepseek-v3', 'qwen2.5-72b']
const NODE_TYPES = ['spark-llm', 'knowledge-base', 'plugin', 'message', 'if-else', 'code']
const SPAN_NAMES = ['POST /v1/chat', 'workflow.run', 'node.execute', 'llm.stream']
const SPAN_SPACING_NS = 2_000_000n

/** What differs between kinds of spans. */
export interface SpanShape {
  resourceOf(service: string, index: number): KeyValue[]
  /** @param place of the span in its trace */
  attributesOf(random: SeededRandom, sid: string, place: number): KeyValue[]
  readonly eventText: string
}

/** The reference job: 11 attributes and one event a span, six resource attributes. */
export const PLAIN_SHAPE: SpanShape = {
  resourceOf: (service, index) => resourceAttributes(service, index % 12),
  attributesOf: plainAttributes,
  eventText:
    'node finished in time; its output, three documents, was passed on to the next node of the workflow',
}

/** One trace: three records of four spans, one record a service. */
export function benchTrace(
  index: number,
  seed: number,
  startNs: bigint,
  shape: SpanShape = PLAIN_SHAPE,
): SpanBatch[] {
  const random = new SeededRandom(seed, index)
  const traceId = random.hex(16)
  const identity = benchIdentity(random, index)
  const batches: SpanBatch[] = []
  let parent: string | null = null
  SERVICES.forEach((service, serviceIndex) => {
    const spans: Span[] = []
    for (let i = 0; i < SPANS_PER_RECORD; i++) {
      const spanId = random.hex(8)
      const place = serviceIndex * SPANS_PER_RECORD + i
      const start = startNs + BigInt(place) * SPAN_SPACING_NS + BigInt(Math.floor(random.next() * 1e6))
      const isError = random.chance(0.01)
      spans.push({
        traceId,
        spanId,
        parentSpanId: parent,
        flags: 0x101,
        name: SPAN_NAMES[i % SPAN_NAMES.length]!,
        kind: i === 0 ? 2 : 1,
        startTimeNs: start,
        endTimeNs: start + BigInt(1_000_000 + Math.floor(random.next() * 8e8)),
        statusCode: isError ? STATUS_ERROR : STATUS_OK,
        statusMessage: isError ? 'upstream answered 503' : '',
        traceState: '',
        attributes: shape.attributesOf(random, identity.sid, place),
        droppedAttributesCount: 0,
        events: [
          {
            timeNs: start + 500_000n,
            name: 'INFO',
            attributes: [{ key: 'INFO LOG', value: shape.eventText }],
            droppedAttributesCount: 0,
          },
        ],
        droppedEventsCount: 0,
        links: [],
        droppedLinksCount: 0,
      })
      parent = spanId
    }
    batches.push({
      ...identity,
      batchId: random.hex(16),
      resource: {
        attributes: shape.resourceOf(service, index),
        droppedAttributesCount: 0,
        schemaUrl: '',
        entityRefs: [],
      },
      scope: {
        name: 'sidereal.bench',
        version: '1.0.0',
        attributes: [],
        droppedAttributesCount: 0,
        schemaUrl: '',
      },
      spans,
    })
  })
  return batches
}

/** Who a request is: 40 apps, 5,000 users. */
export function benchIdentity(
  random: SeededRandom,
  index: number,
): Pick<SpanBatch, 'sid' | 'appId' | 'uid' | 'chatId'> {
  const sid = `spf0${(index & 0xff).toString(16).padStart(3, '0')}${(index >>> 8).toString(16).padStart(4, '0')}@hf${random.hex(8).slice(0, 11)}0a0c782`
  return {
    sid,
    appId: `app-${String(index % 40).padStart(3, '0')}`,
    uid: `user-${Math.floor(random.next() * 5000)}`,
    chatId: `chat-${random.hex(4)}`,
  }
}

/** @param pod its number: how many different resources there are */
export function resourceAttributes(service: string, pod: number): KeyValue[] {
  return keyValues([
    ['service.name', service],
    ['service.version', '2.14.3'],
    ['service.instance.id', `${service}-7d9f8b6c5d-${pod}`],
    ['host.name', `node-${pod % 4}.cluster.local`],
    ['deployment.environment', 'production'],
    ['telemetry.sdk.language', 'nodejs'],
  ])
}

function plainAttributes(random: SeededRandom, sid: string, place: number): KeyValue[] {
  const position = place % SPANS_PER_RECORD
  const prompt = Math.floor(random.next() * 4000)
  const completion = Math.floor(random.next() * 900)
  return keyValues([
    ['sid', sid],
    ['http.request.method', 'POST'],
    ['url.full', 'http://workflow.prod.svc.cluster.local:7880/workflow/v1/chat/completions'],
    ['http.response.status_code', random.chance(0.01) ? 503n : 200n],
    ['node.type', random.pick(NODE_TYPES)],
    ['node.id', `node-${position}:${Math.floor(random.next() * 64)}`],
    ['gen_ai.request.model', random.pick(MODELS)],
    ['gen_ai.usage.input_tokens', BigInt(prompt)],
    ['gen_ai.usage.output_tokens', BigInt(completion)],
    ['first_frame_ms', Math.floor(random.next() * 9000) / 10],
    ['cache.hit', random.chance(0.3)],
  ])
}

export function keyValues(pairs: [string, AnyValue][]): KeyValue[] {
  return pairs.map(([key, value]) => ({ key, value }))
}
