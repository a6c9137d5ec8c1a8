import assert from 'node:assert/strict'
import { after, beforeEach, test } from 'node:test'
import { SpanStatusCode } from '@opentelemetry/api'
import { SamplingDecision, TracerProvider } from '@opentelemetry/sdk-trace'
import { NodeLog } from './node-log.ts'
import { recordSpans } from './recorded-spans.testing.ts'
import { Span } from './span.ts'
import { SpanLevel } from './span-level.ts'

const spans = recordSpans()
beforeEach(() => {
  spans.ended.length = 0
})
after(() => spans.close())

const newNode = () => new NodeLog({ nodeId: 'n', nodeType: 't', nodeName: 'n' })
const logLines = ({ logs }: NodeLog) =>
  logs.map((line) => {
    const { level, message } = JSON.parse(line) as Record<string, string>
    return `${level} ${message}`
  })

test('every method writes to the span, and the same to the NodeLog that it is given', () => {
  const node = newNode()
  const time = new Date(1_759_000_000_000)
  new Span().start('all', { attributes: { early: [1, 2], nothing: null } }, (span) => {
    span
      .setAttribute('model', { name: 'large' }, node)
      .setAttributes({ a: 1n, b: [1, 'x'], c: undefined, d: true }, node)
      .setCode(0, node)
      .setStatus({ code: SpanStatusCode.OK }, node)
      .addEvent(SpanLevel.WARN, { 'retry in': '1 s', detail: { n: 1 } }, time, node)
      .addInfoEvent('started', node)
      .addInfoEvents({ step: 1 }, time, node)
  })
  const { attributes, events, status } = spans.named('all')
  assert.deepEqual(
    { ...attributes },
    { early: [1, 2], model: '{"name": "large"}', a: '1', b: '[1, "x"]', d: true, code: 0 },
  )
  assert.equal(status.code, SpanStatusCode.OK)
  assert.deepEqual(
    events.map(({ name, attributes: own, time: at }) => [name, { ...own }, at[0] === 1_759_000_000]),
    [
      ['WARN', { 'retry in': '1 s', detail: '{"n": 1}' }, true],
      ['INFO', { 'INFO LOG': 'started' }, false],
      ['INFO', { step: 1 }, true],
    ],
  )
  assert.deepEqual(logLines(node), [
    'INFO set attribute: model={"name": "large"}',
    'INFO set attributes: {"a": 1, "b": [1, "x"], "d": true}',
    'INFO set attribute: code=0',
    'INFO set status: OK',
    'INFO WARN={"retry in": "1 s", "detail": {"n": 1}}',
    'INFO started',
    'INFO {"step": 1}',
  ])
  assert.equal(node.runningStatus, true)
})

test('errors end the NodeLog as failed, and mark the span: an event marks it by the attribute error, an exception by its status', () => {
  const tries: [string, string, (span: Span, node: NodeLog) => void][] = [
    ['ERROR', 'no route', (span, node) => void span.addErrorEvent('no route', node)],
    ['ERROR', '{"why": "x"}', (span, node) => void span.addErrorEvents({ why: 'x' }, undefined, node)],
    [
      'exception',
      'broken',
      (span, node) => void span.recordException(new Error('broken'), { 'tool.name': 't' }, node),
    ],
  ]
  for (const [event, line, tell] of tries) {
    spans.ended.length = 0
    const node = newNode()
    new Span().start('x', (span) => tell(span, node))
    const { attributes, events, status } = spans.named('x')
    assert.equal(events[0]?.name, event)
    if (event === 'ERROR') assert.deepEqual([attributes['error'], status.code], [true, SpanStatusCode.UNSET])
    else assert.deepEqual([events[0]?.attributes?.['tool.name'], status.code], ['t', SpanStatusCode.ERROR])
    assert.deepEqual([logLines(node), node.runningStatus, node.isEnded], [[`ERROR ${line}`], false, true])
  }
})

test('an INFO text of 10,240 bytes and more stands once, in the span: the NodeLog says where', () => {
  for (const [bytes, isLinked] of [
    [10_239, false],
    [10_240, true],
  ] as const) {
    spans.ended.length = 0
    const text = `${'你'.repeat(3_000)}${'x'.repeat(bytes - 9_000)}`
    const node = newNode()
    new Span().start('x', (span) => span.addInfoEvent(text, node))
    assert.equal(spans.named('x').events[0]?.attributes?.['INFO LOG'], text)
    const { traceId, spanId } = spans.named('x').spanContext()
    const [line] = logLines(node)
    if (isLinked)
      assert.match(
        line!,
        new RegExp(
          `^INFO trace_link: span/${traceId}/${spanId} \\(INFO event, 10240 bytes, sha256 [0-9a-f]{64}\\)$`,
        ),
      )
    else assert.equal(line, `INFO ${text}`)
  }
  const node = newNode()
  const list = { list: ['a', 'b'], text: 'x'.repeat(20_000) }
  new Span().start('x2', (span) => span.addInfoEvents(list, undefined, node))
  assert.match(logLines(node)[0]!, /^INFO trace_link: /)
})

test('an INFO text that no span will have whole stands whole in the NodeLog', () => {
  const text = 'x'.repeat(20_000)
  const providers = {
    'cut by a limit': new TracerProvider({ spanLimits: { attributeValueLengthLimit: 100 } }),
    'left out by a limit': new TracerProvider({ spanLimits: { eventCountLimit: 0 } }),
    'recorded and not sampled': new TracerProvider({
      sampler: { shouldSample: () => ({ decision: SamplingDecision.RECORD }) },
    }),
  }
  for (const [why, provider] of Object.entries(providers)) {
    const node = newNode()
    new Span({ tracer: provider.getTracer('x') }).start('x', (span) => span.addInfoEvent(text, node))
    assert.equal(logLines(node)[0], `INFO ${text}`, why)
  }
  const node = newNode()
  new Span().addInfoEvent(text, node)
  assert.equal(logLines(node)[0], `INFO ${text}`, 'outside any span')
})

test('an event without attributes is a line of the NodeLog, too', () => {
  const node = new NodeLog({ nodeId: 'n', nodeType: 't', nodeName: 'N' })
  new Span().start('alone', (span) => span.addEvent('cache miss', undefined, undefined, node))
  assert.match(node.logs[0] ?? '', /"message": "cache miss"/)
})
