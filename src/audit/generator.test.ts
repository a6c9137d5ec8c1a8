import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { parseSid } from '../model/sid.ts'
import { expectedFacts } from './expected-facts.ts'
import { textOfSize } from './generated-text.ts'
import { generateTrace, sidPrefixOf } from './generator.ts'
import { expectedRevision, expectedSpans } from './load-ledger.ts'
import { type LoadPlan, SPANS_PER_RECORD } from './load-plan.ts'
import { SeededRandom } from './seeded-random.ts'

const plan: LoadPlan = {
  seed: 11,
  run: 0x1234,
  startMs: 1_750_000_000_000,
  traces: 500,
  spansPerTrace: 12,
  payloadShare: 0.1,
  hasLogs: true,
  openShare: 0,
  oddTimeShare: 0,
}

function factsOf(index: number, of: LoadPlan = plan) {
  const origin = { isAcknowledged: true }
  const { records } = generateTrace(of, index)
  const spans = records.flatMap((record) =>
    record.kind === 'spans' ? expectedSpans(record.batch, origin) : [],
  )
  const revisions = records.flatMap((record) =>
    record.kind === 'log' ? [expectedRevision(record.log, origin)] : [],
  )
  return expectedFacts(spans, revisions)
}

describe('generated traces', () => {
  test('are the same for the same plan, and others for another seed or run', () => {
    assert.deepEqual(generateTrace(plan, 7), generateTrace(plan, 7))
    assert.notDeepEqual(generateTrace(plan, 7).records, generateTrace({ ...plan, seed: 12 }, 7).records)
    assert.notEqual(generateTrace(plan, 7).sid, generateTrace({ ...plan, run: 0x1235 }, 7).sid)
  })

  test('have SIDs of their own that begin with the mark of the run', () => {
    const sids = Array.from({ length: plan.traces }, (_, index) => generateTrace(plan, index).sid)
    assert.equal(new Set(sids).size, plan.traces)
    for (const sid of sids) {
      assert.ok(sid.startsWith(sidPrefixOf(plan)))
      assert.ok(parseSid(sid).ok, sid)
    }
    assert.notEqual(generateTrace(plan, 0).sid, generateTrace(plan, 0x10000).sid)
  })

  test('are complete, and hold the spans that were asked for, four a record', () => {
    for (let index = 0; index < plan.traces; index++) {
      const facts = factsOf(index)
      assert.equal(facts.isComplete, true, `trace ${index}`)
      assert.equal(facts.spanCount, plan.spansPerTrace)
      for (const record of generateTrace(plan, index).records) {
        if (record.kind === 'spans') assert.ok(record.batch.spans.length <= SPANS_PER_RECORD)
      }
    }
  })

  test('are open in the share that was asked for: half of these miss a parent', () => {
    const open: LoadPlan = { ...plan, openShare: 1, hasLogs: false }
    const incomplete = Array.from({ length: 400 }, (_, index) => factsOf(index, open)).filter(
      (facts) => !facts.isComplete,
    )
    assert.ok(incomplete.length > 120 && incomplete.length < 280, `${incomplete.length} of 400`)
  })

  test('differ from each other: errors, payloads, apps, publications and trace ids', () => {
    const seen = { errors: 0, payloads: 0, twoApps: 0, revisions: 0, twoTraceIds: 0, noApp: 0 }
    for (let index = 0; index < plan.traces; index++) {
      const { records } = generateTrace(plan, index)
      const batches = records.flatMap((record) => (record.kind === 'spans' ? [record.batch] : []))
      seen.errors += factsOf(index).errorCount ?? 0
      seen.payloads += batches
        .flatMap(({ spans }) => spans)
        .filter(({ attributes }) => attributes.some(({ key }) => key === 'gen_ai.prompt')).length
      seen.twoApps += Number(new Set(batches.map(({ appId }) => appId)).size > 1)
      seen.noApp += Number(batches[0]?.appId === '')
      seen.revisions += Number(records.filter(({ kind }) => kind === 'log').length > 1)
      seen.twoTraceIds += Number(
        new Set(batches.flatMap(({ spans }) => spans.map(({ traceId }) => traceId))).size > 1,
      )
    }
    for (const [what, count] of Object.entries(seen)) assert.ok(count > 0, what)
  })
})

test('a payload has exactly the size that was asked for, in well-formed UTF-8', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 20, max: 20_000 }), (seed, bytes) => {
      const text = textOfSize(new SeededRandom(seed), bytes)
      assert.equal(Buffer.byteLength(text), bytes)
      assert.ok(text.isWellFormed())
    }),
  )
})
