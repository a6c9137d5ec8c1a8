import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { NodeLog, NodeTraceLog } from '../model/node-trace-log.ts'
import type { Span, SpanBatch } from '../model/span.ts'
import { anyNodeLog, anyNodeTraceLog, anySpan, anySpanBatch } from './arbitraries.testing.ts'
import { bundledSchema } from './bundled-schemas.ts'
import { FactsCollector } from './facts.ts'
import { compileRecordType } from './record-type.ts'
import { RecordWriter } from './record-writer.ts'
import { type ReceivedRecord, referenceCompleteness, referenceFacts } from './reference-facts.testing.ts'
import { BODY_START } from './wire.ts'

const options = { payloadLimitBytes: 5120 }
const spansType = compileRecordType(bundledSchema('sidereal.SpanBatch').json, 1, options)
const logType = compileRecordType(bundledSchema('sidereal.NodeTraceLog').json, 2, options)
const writer = new RecordWriter()
const facts = new FactsCollector()

function collect(records: readonly ReceivedRecord[]): FactsCollector {
  facts.reset()
  for (const { batch, log, receivedAtMs } of records) {
    const framed = batch ? writer.encodeSpanBatch(batch, 1) : writer.encodeNodeTraceLog(log, 2)
    const type = batch ? spansType : logType
    type.collect(framed, BODY_START, framed.length, receivedAtMs, facts)
  }
  return facts
}

const receivedAtMs = fc.integer({ min: 1_759_000_000_000, max: 1_759_000_000_003 })

/** Spans of few trace ids without odd contents, so that fragments are complete often enough. */
const tidySpan: fc.Arbitrary<Span> = fc
  .tuple(anySpan, fc.nat(1), fc.nat(3), fc.option(fc.nat(3)), fc.constantFrom(0, 0x100, 0x200, 0x300))
  .map(([span, trace, id, parent, flags]) => ({
    ...span,
    traceId: String(trace).padStart(32, '0'),
    spanId: String(id).padStart(16, '0'),
    parentSpanId: parent === null ? null : String(parent).padStart(16, '0'),
    flags,
  }))

const anyRecord: fc.Arbitrary<ReceivedRecord> = fc.oneof(
  fc
    .tuple(receivedAtMs, anySpanBatch, fc.option(fc.array(tidySpan, { maxLength: 4 })))
    .map(([at, batch, spans]) => ({ receivedAtMs: at, batch: spans === null ? batch : { ...batch, spans } })),
  fc.tuple(receivedAtMs, anyNodeTraceLog).map(([at, log]) => ({ receivedAtMs: at, log })),
)

test('the facts from bytes equal those taken plainly from objects, for any fragment', () => {
  fc.assert(
    fc.property(fc.array(anyRecord, { maxLength: 6 }), (records) => {
      const collected = collect(records)
      assert.equal(collected.completeness(), referenceCompleteness(records))
      assert.deepStrictEqual(collected.build(), referenceFacts(records))
    }),
    { numRuns: 500 },
  )
})

test('neither the order of the records nor their repetition counts', () => {
  const shuffled = fc
    .array(anyRecord, { minLength: 1, maxLength: 5 })
    .chain((records) =>
      fc.tuple(
        fc.constant(records),
        fc.shuffledSubarray([...records, ...records], { minLength: records.length * 2 }),
      ),
    )
  fc.assert(
    fc.property(shuffled, ([records, again]) => {
      const expected = collect(records).build()
      const verdict = facts.completeness()
      assert.deepStrictEqual(collect(again).build(), expected)
      assert.equal(facts.completeness(), verdict)
    }),
    { numRuns: 200 },
  )
})

const sample = <T>(arbitrary: fc.Arbitrary<T>) => fc.sample(arbitrary, { numRuns: 1, seed: 4 })[0]!
const plainSpan: Span = {
  ...sample(anySpan),
  traceId: '0a'.repeat(16),
  attributes: [],
  events: [],
  statusCode: 0,
  flags: 0,
  parentSpanId: null,
  startTimeNs: 1_759_000_000_000_000_000n,
  endTimeNs: 1_759_000_001_000_000_000n,
}
const plainBatch: SpanBatch = { ...sample(anySpanBatch), spans: [] }
const plainLog: NodeTraceLog = { ...sample(anyNodeTraceLog), trace: [] }
const plainNode: NodeLog = {
  ...sample(anyNodeLog),
  id: 'x',
  nodeId: 'y',
  nodeType: 'llm',
  nextLogIds: [],
  endTimeMs: 1,
}

const id = (n: number) => n.toString(16).padStart(16, '0')
const span = (own: number, parent: number | null, change: Partial<Span> = {}): Span => ({
  ...plainSpan,
  spanId: id(own),
  parentSpanId: parent === null ? null : id(parent),
  ...change,
})
const verdictOf = (spans: Span[], trace: NodeLog[] = []) =>
  collect([
    { receivedAtMs: 1, batch: { ...plainBatch, spans } },
    { receivedAtMs: 1, log: { ...plainLog, trace } },
  ]).completeness()

test('a trace is complete when each trace id has a root and every local parent is there', () => {
  assert.equal(verdictOf([span(1, null), span(2, 1), span(3, 2)]), 'complete')
  assert.equal(verdictOf([span(2, 1)]), 'incomplete')
  assert.equal(verdictOf([span(1, null), span(3, 2)]), 'incomplete')
  assert.equal(verdictOf([span(1, 2), span(2, 1)]), 'incomplete', 'a circle has no root')
  assert.equal(
    verdictOf([span(1, null), span(2, 1, { traceId: '0b'.repeat(16) })]),
    'incomplete',
    'a parent of another trace id',
  )
  assert.equal(
    verdictOf([span(1, null), span(2, 1, { flags: 0x200 })]),
    'complete',
    'unknown remoteness is local',
  )
})

test('roots with remote parents are complete only after the idle time, and are none once the parent is there', () => {
  const remote = { flags: 0x300 }
  assert.equal(verdictOf([span(2, 1, remote), span(3, 2)]), 'complete_if_idle')
  assert.equal(verdictOf([span(1, null), span(2, 1, remote)]), 'complete')
  assert.equal(
    verdictOf([span(1, null), span(2, 9, remote)]),
    'complete',
    'the trace id has a true root as well',
  )
  assert.equal(verdictOf([span(1, 2, remote), span(2, 1, remote)]), 'incomplete')
})

test('an announced node is outstanding until it is there, by id or node id, or an end node ended', () => {
  const announcing = { ...plainNode, nextLogIds: ['next', ''] }
  assert.equal(verdictOf([], [announcing]), 'incomplete')
  assert.equal(verdictOf([], [announcing, { ...plainNode, id: 'next' }]), 'complete')
  assert.equal(verdictOf([], [announcing, { ...plainNode, nodeId: 'next' }]), 'complete')
  for (const end of [
    { nodeType: 'END' },
    { nodeType: 'Node-End' },
    { id: 'node-end:1' },
    { nodeId: 'node-end' },
  ]) {
    assert.equal(verdictOf([], [announcing, { ...plainNode, ...end }]), 'complete')
    assert.equal(verdictOf([], [announcing, { ...plainNode, ...end, endTimeMs: 0 }]), 'incomplete')
  }
  assert.equal(
    verdictOf([], [announcing, { ...plainNode, nodeType: 'node-ending', id: 'my-node-end' }]),
    'incomplete',
  )
})

test('the earliest root does not depend on the order of records, whatever the two have in common', () => {
  const of = (service: string): ReceivedRecord => ({
    receivedAtMs: 1,
    batch: {
      ...plainBatch,
      resource: { ...plainBatch.resource, attributes: [{ key: 'service.name', value: service }] },
      spans: [span(1, null, { name: 'same' })],
    },
  })
  assert.equal(collect([of('a'), of('b')]).build()[0]?.rootService, 'a')
  assert.equal(collect([of('b'), of('a')]).build()[0]?.rootService, 'a')
})

test('a root without a parent goes before those with a remote parent, however early these began', () => {
  const early = { flags: 0x300, startTimeNs: plainSpan.startTimeNs - 5n, name: 'early' }
  const rootsOf = (...spans: Span[]) => {
    const [built] = collect([{ receivedAtMs: 1, batch: { ...plainBatch, spans } }]).build()
    return [built?.rootName, built?.rootStartTimeNs, built?.remoteRoots.map(({ name }) => name)]
  }
  const first = span(1, null, { name: 'first' })
  assert.deepEqual(rootsOf(first, span(2, 9, early)), ['first', plainSpan.startTimeNs, []])
  assert.deepEqual(rootsOf(span(2, 9, early), span(3, 8, { ...early, startTimeNs: 1n, name: 'late' })), [
    'early',
    plainSpan.startTimeNs - 5n,
    ['early', 'late'],
  ])
  assert.deepEqual(rootsOf(span(2, 1)), ['', 0n, []])
})

test('an error is any of the four signs, and nothing that only looks like one', () => {
  const errorsOf = (change: Partial<Span>) =>
    collect([{ receivedAtMs: 1, batch: { ...plainBatch, spans: [span(1, null, change)] } }]).build()[0]
      ?.errorKeys.length
  const attribute = (key: string, value: Span['attributes'][number]['value']) => ({
    attributes: [{ key, value }],
  })
  const event = (name: string) => ({
    events: [{ timeNs: 0n, name, attributes: [], droppedAttributesCount: 0 }],
  })
  for (const sign of [
    { statusCode: 2 },
    attribute('error', true),
    attribute('error', 'true'),
    attribute('code', -1n),
    event('ERROR'),
    event('exception'),
  ]) {
    assert.equal(errorsOf(sign), 1)
  }
  for (const other of [
    { statusCode: 1 },
    attribute('error', false),
    attribute('error', 'TRUE'),
    attribute('code', 0n),
    attribute('code', '5'),
    attribute('code', 5),
    attribute('Error', true),
    event('error'),
    event('ERROR '),
  ]) {
    assert.equal(errorsOf(other), 0)
  }
})

test('a fragment of 20,000 spans keeps every key', () => {
  const spans = Array.from({ length: 20_000 }, (_, i) => span(i + 1, i === 0 ? null : Math.floor(i / 2) + 1))
  const records = [0, 1, 2, 3].map((part) => ({
    receivedAtMs: part,
    batch: { ...plainBatch, spans: spans.filter((_, i) => i % 4 === part) },
  }))
  assert.equal(collect(records).completeness(), 'complete')
  const [built] = facts.build()
  assert.equal(built?.spanKeys.length, 20_000)
  assert.deepStrictEqual(facts.build(), referenceFacts(records))
  assert.equal(
    collect([{ receivedAtMs: 1, batch: { ...plainBatch, spans: [span(2, 1)] } }]).completeness(),
    'incomplete',
  )
})

test('identities of very many records are each there once, sorted', () => {
  const collector = new FactsCollector()
  const uids: string[] = []
  for (let i = 0; i < 2_000; i++) {
    const uid = `user-${(i * 7_919) % 701}`
    uids.push(uid)
    const text = Buffer.from(`app${uid}chatservice`)
    const chatAt = 3 + uid.length
    collector.endBatch(text, 0, 3, 3, uid.length, chatAt, 4, chatAt + 4, 7, 1_000, 0)
  }
  const [facts] = collector.build()
  const expected = [...new Set(uids)].sort().map((uid) => ({ service: 'service', uid, chatId: 'chat' }))
  assert.ok(expected.length > 600)
  assert.deepEqual(facts?.identities, expected)
})
