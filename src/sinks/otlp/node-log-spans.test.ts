import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyNodeTraceLog } from '../../codec/arbitraries.testing.ts'
import { OtlpTraceMessages } from '../../codec/otlp-trace-messages.ts'
import type { AnyValue } from '../../model/any-value.ts'
import type { Span } from '../../model/span.ts'
import { testLog, testNode, testSpanId, testTraceId } from '../fragments.testing.ts'
import { nodeLogSpans } from './node-log-spans.ts'
import { ProtoWriter } from './proto-writer.ts'
import { writeResourceSpans } from './span-encoder.ts'

const attributesOf = (span: Span | undefined): Record<string, AnyValue> =>
  Object.fromEntries(span?.attributes.map(({ key, value }) => [key, value]) ?? [])

test('a log is a span below the one that was active, and its nodes are spans below that', () => {
  const log = testLog({
    trace: [testNode({ nodeName: 'Start' }), testNode({ nodeName: '', nodeType: 'llm' })],
  })
  const { spans, resource } = nodeLogSpans(log)
  const [root, first, second] = spans
  assert.deepEqual(resource.attributes, [{ key: 'service.name', value: 'workflow' }])
  assert.deepEqual(
    spans.map((span) => [span.traceId, span.parentSpanId, span.name]),
    [
      [testTraceId(1), testSpanId(1), 'workflow flow-1'],
      [testTraceId(1), root?.spanId, 'Start'],
      [testTraceId(1), root?.spanId, 'llm'],
    ],
  )
  assert.notEqual(first?.spanId, second?.spanId)
  assert.deepEqual(
    [root?.startTimeNs, root?.endTimeNs],
    [1_781_524_800_000_000_000n, 1_781_524_801_000_000_000n],
  )
})

test('tokens, type, first frame, inputs and outputs are attributes', () => {
  const node = testNode({
    nodeType: 'llm',
    firstFrameDurationMs: 180.5,
    llmOutput: '晴',
    nextLogIds: ['node-end:1'],
    data: {
      input: [{ key: 'query', value: '天气' }],
      output: [{ key: 'n', value: 3n }],
      config: [{ key: 'temperature', value: 0.5 }],
      usage: { questionTokens: 1, promptTokens: 20, completionTokens: 8, totalTokens: 28 },
    },
  })
  const [, span] = nodeLogSpans(testLog({ trace: [node] })).spans
  const attributes = attributesOf(span)
  for (const [key, value] of Object.entries({
    sid: 'sid-1',
    place: 0n,
    node_type: 'llm',
    first_frame_duration_ms: 180.5,
    llm_output: '晴',
    'data.input.query': '天气',
    'data.output.n': 3n,
    'data.config.temperature': 0.5,
    'usage.prompt_tokens': 20n,
    'usage.completion_tokens': 8n,
    'usage.total_tokens': 28n,
    next_log_ids: ['node-end:1'],
  })) {
    assert.deepEqual(attributes[key], value, key)
  }
  assert.deepEqual(
    span?.events.map((event) => [event.name, event.timeNs]),
    [['first_frame', 1_781_524_800_180_500_000n]],
  )
})

test('ids of a log without a trace are functions of SID, log id and place, so that a later revision has the same ones', () => {
  const log = testLog({ traceId: null, spanId: null, trace: [testNode(), testNode()] })
  const idsOf = (changes: Partial<typeof log>) =>
    nodeLogSpans({ ...log, ...changes }).spans.map((span) => [span.traceId, span.spanId, span.parentSpanId])
  const ids = idsOf({})
  assert.deepEqual(
    idsOf({ revision: 3, answer: 'other', trace: [testNode(), testNode(), testNode()] }).slice(0, 3),
    ids,
  )
  assert.match(String(ids[0]?.[0]), /^[0-9a-f]{32}$/)
  assert.equal(ids[0]?.[2], null)
  assert.notEqual(idsOf({ sid: 'sid-2' })[0]?.[1], ids[0]?.[1])
  assert.notEqual(idsOf({ logId: '0'.repeat(32) })[0]?.[0], ids[0]?.[0])
})

test('a failed log and a failed node are errors; a start behind the end gives no negative interval', () => {
  const log = testLog({
    status: { code: 500, message: 'no answer' },
    startTimeMs: 2_000,
    endTimeMs: 1_000,
    trace: [testNode({ runningStatus: false, startTimeMs: 9, endTimeMs: 3 }), testNode()],
  })
  const [root, bad, good] = nodeLogSpans(log).spans
  assert.deepEqual([root?.statusCode, root?.statusMessage], [2, 'no answer'])
  assert.deepEqual([bad?.statusCode, good?.statusCode], [2, 0])
  assert.deepEqual([root?.startTimeNs, root?.endTimeNs], [2_000_000_000n, 2_000_000_000n])
  assert.deepEqual([bad?.startTimeNs, bad?.endTimeNs], [9_000_000n, 9_000_000n])
})

test('a node that has not ended is no error yet, as in the tables', () => {
  const pending = testNode({ runningStatus: false, endTimeMs: 0 })
  assert.equal(nodeLogSpans(testLog({ trace: [pending] })).spans[1]?.statusCode, 0)
})

test('any log can be sent: one span for it and one a node, with ids of the right length and different', () => {
  const messages = new OtlpTraceMessages()
  const writer = new ProtoWriter()
  fc.assert(
    fc.property(anyNodeTraceLog, (log) => {
      const group = nodeLogSpans(log)
      writeResourceSpans(writer, group, 0, group.spans.length)
      const spans = messages.decodeRequest(writer.take()).resourceSpans[0]?.scopeSpans[0]?.spans ?? []
      assert.equal(spans.length, 1 + log.trace.length)
      assert.ok(spans.every((span) => span.traceId.length === 16 && span.spanId.length === 8))
      assert.equal(new Set(spans.map((span) => span.spanId.toString('hex'))).size, spans.length)
      assert.ok(spans.every((span) => BigInt(span.endTimeUnixNano) >= BigInt(span.startTimeUnixNano)))
    }),
    { numRuns: 300 },
  )
})
