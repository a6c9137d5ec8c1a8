import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, test } from 'node:test'
import { isSiderealError } from '../model/errors.ts'
import type { Fragment } from '../model/fragment.ts'
import type { Sink } from '../model/sink.ts'
import { testBatch, testFragment, testLog, testRecord, testSpan, testSpanId } from './fragments.testing.ts'

/** A span as a reader of the destination sees it. */
export interface StoredSpan {
  traceId: string
  spanId: string
  name: string
}

export interface SinkFixture {
  /** A started sink. Called once; the suite closes it. */
  open(): Promise<Sink>
  /** The spans of a SID as a careful reader sees them; one entry for each copy. */
  readSpans(sid: string): Promise<StoredSpan[]>
  /** True when a reader never sees the copies that a repeated write makes. */
  deduplicates: boolean
  /** Name of a span that the destination refuses for its content. Undefined when there is no such thing. */
  refusedName?: string
  /** Makes the destination unreachable, open connections included, and reachable again. */
  outage: { begin(): Promise<void>; end(): Promise<void> }
}

/** The promises that every sink keeps (see `Sink`). Call it at the top level of a test file. */
export function testSinkContract(name: string, fixture: SinkFixture): void {
  let opened: Promise<Sink> | undefined
  const open = (): Promise<Sink> => {
    opened ??= fixture.open()
    return opened
  }
  const write = async (fragments: readonly Fragment[], signal = new AbortController().signal) =>
    (await open()).write(fragments, signal)

  describe(`sink contract: ${name}`, () => {
    test('what a write acknowledged is there, of every fragment', async () => {
      const fragments = [fragmentOf(freshSid(), ['a', 'b']), fragmentOf(freshSid(), ['c'])]
      assert.deepEqual(await write(fragments), { refused: [] })
      assert.deepEqual(await namesOf(fragments[0]!.sid), ['a', 'b'])
      assert.deepEqual(await namesOf(fragments[1]!.sid), ['c'])
    })

    test('a write of nothing resolves', async () => {
      assert.deepEqual(await write([]), { refused: [] })
    })

    test('several writes may be in flight', async () => {
      const fragments = Array.from({ length: 8 }, () => fragmentOf(freshSid(), ['x', 'y', 'z']))
      await Promise.all(fragments.map((fragment) => write([fragment])))
      for (const { sid } of fragments) assert.deepEqual(await namesOf(sid), ['x', 'y', 'z'])
    })

    test('a repeated write loses nothing, and readers of a destination that deduplicates see each span once', async () => {
      const fragment = fragmentOf(freshSid(), ['a', 'b'])
      await write([fragment])
      await write([fragment])
      await write([fragment, fragment])
      const names = await namesOf(fragment.sid)
      assert.deepEqual(fixture.deduplicates ? names : [...new Set(names)], ['a', 'b'])
    })

    test('a fragment is not changed by a write', async () => {
      const fragment = fragmentOf(freshSid(), ['a'])
      const bytes = Buffer.from(fragment.records[0]!.bytes)
      const facts = structuredClone(fragment.facts)
      await write([fragment])
      assert.ok(bytes.equals(fragment.records[0]!.bytes))
      assert.deepEqual(fragment.facts, facts)
    })

    test('an aborted write rejects soon, and can be made again', async () => {
      const fragment = fragmentOf(freshSid(), ['a'])
      await assert.rejects(
        write([fragment], AbortSignal.abort()),
        (error) => isSiderealError(error) && error.retryable,
      )
      await write([fragment])
      assert.deepEqual(await namesOf(fragment.sid), ['a'])
    })

    test('a destination that is away makes a write reject as retryable, and nothing is lost once it is back', async () => {
      const fragment = fragmentOf(freshSid(), ['a', 'b'])
      await open()
      await fixture.outage.begin()
      try {
        await assert.rejects(write([fragment]), (error) => isSiderealError(error) && error.retryable)
      } finally {
        await fixture.outage.end()
      }
      await write([fragment])
      assert.deepEqual(await namesOf(fragment.sid), ['a', 'b'])
    })

    const { refusedName } = fixture
    test('refused records are reported, each alone, and all others are stored', {
      skip: refusedName === undefined ? 'this destination refuses no content' : false,
    }, async () => {
      const bad = refusedName ?? ''
      const good = Array.from({ length: 5 }, () => fragmentOf(freshSid(), ['a', 'b', 'c']))
      const mixed = fragmentOf(freshSid(), ['a', bad, 'b'])
      const spoiled = fragmentOf(freshSid(), [bad])
      const { refused } = await write([...good.slice(0, 2), mixed, ...good.slice(2), spoiled])
      assert.deepEqual(
        refused.map(({ record }) => record),
        [mixed.records[1], spoiled.records[0]],
      )
      for (const { reason } of refused) assert.ok(reason.length > 0 && !reason.includes(bad), reason)
      for (const { sid } of good) assert.deepEqual(await namesOf(sid), ['a', 'b', 'c'])
      assert.deepEqual(await namesOf(mixed.sid), ['a', 'b'])
      assert.deepEqual(await namesOf(spoiled.sid), [])
    })

    test('it closes', async () => {
      await (await open()).close()
    })
  })

  async function namesOf(sid: string): Promise<string[]> {
    return (await fixture.readSpans(sid)).map((span) => span.name).sort()
  }
}

function freshSid(): string {
  return `contract-${randomUUID()}`
}

/** A fragment with one record a span name, and a log. */
function fragmentOf(sid: string, names: readonly string[]): Fragment {
  const records = names.map((name, place) =>
    testRecord(testBatch({ sid, spans: [testSpan({ name, spanId: testSpanId(place + 1) })] }), {
      offset: place,
    }),
  )
  return testFragment([...records, testRecord(testLog({ sid }), { offset: names.length })])
}
