import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ReadableSpan } from '@opentelemetry/sdk-trace'
import fc from 'fast-check'
import { hexId } from '../codec/arbitraries.testing.ts'
import { RecordWriter } from '../codec/record-writer.ts'
import { toModelResource, toModelScope, toModelSpan } from './model-span.ts'
import { SpanWriter } from './span-writer.ts'

const text = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.constantFrom('é'.repeat(24), '\ud800', 'x'.repeat(5_000)),
)
const number = fc.oneof(
  fc.integer(),
  fc.double(),
  fc.constantFrom(-0, 2 ** 53, -(2 ** 63), 2 ** 63, 1e300, Number.NaN, Number.MAX_SAFE_INTEGER, 0.5),
)
const value: fc.Arbitrary<unknown> = fc.oneof(
  text,
  text,
  number,
  number,
  fc.boolean(),
  fc.constantFrom(undefined, null, 5n, new Date(0), new Map([['a', 1]]), Uint8Array.of(1, 2)),
  fc.array(fc.oneof(text, number, fc.constant(null)), { maxLength: 3 }),
  fc.dictionary(text, number, { maxKeys: 3 }),
)
const attributes = fc.oneof(
  { weight: 9, arbitrary: fc.dictionary(text, value, { maxKeys: 6, noNullPrototype: true }) },
  {
    weight: 1,
    arbitrary: fc.constant({
      before: 1,
      get own(): never {
        throw new Error('a getter of the application')
      },
    }),
  },
)
const time = fc.oneof(
  fc.tuple(fc.integer({ min: 0, max: 4_611_686_018 }), fc.integer({ min: 0, max: 999_999_999 })),
  fc.tuple(
    fc.integer({ min: 1_700_000_000, max: 1_900_000_000 }),
    fc.double({ min: 0, max: 1e9, noNaN: true }),
  ),
  fc.constantFrom(
    [0, 0],
    [4_294_967_295, 999_999_999],
    [4_611_686_018, 427_387_904],
    [9_223_372_036, 854_775_807],
    [-1, -5],
    [1, 2e9],
    [Number.NaN, Number.NaN],
    [Number.POSITIVE_INFINITY, 0],
  ),
)
const context = fc.record({
  traceId: hexId(16),
  spanId: hexId(8),
  traceFlags: fc.nat(300),
  isRemote: fc.constantFrom(true, false, undefined),
  traceState: fc.option(
    text.map((state) => ({ serialize: () => state })),
    { nil: undefined },
  ),
})
/** Now and then none that the schema holds. */
const dropped = fc.oneof({ weight: 30, arbitrary: fc.nat(5) }, { weight: 1, arbitrary: fc.constant(0.5) })
const span = fc
  .record({
    context,
    parentSpanContext: fc.option(context, { nil: undefined }),
    name: fc.oneof(text, fc.constantFrom(5, undefined)),
    kind: fc.nat(4),
    startTime: time,
    endTime: time,
    status: fc.record({ code: fc.nat(2), message: fc.option(text, { nil: undefined }) }),
    attributes,
    droppedAttributesCount: dropped,
    events: fc.array(
      fc.record({
        time,
        name: text,
        attributes: fc.option(attributes, { nil: undefined }),
        droppedAttributesCount: fc.option(dropped, { nil: undefined }),
      }),
      { maxLength: 3 },
    ),
    droppedEventsCount: dropped,
    links: fc.array(
      fc.record({
        context,
        attributes: fc.option(attributes, { nil: undefined }),
        droppedAttributesCount: fc.option(dropped, { nil: undefined }),
      }),
      { maxLength: 2 },
    ),
    droppedLinksCount: dropped,
  })
  .map(({ context: own, ...fields }) => ({ ...fields, spanContext: () => own }) as unknown as ReadableSpan)

const HEADER = { sid: 's', appId: 'a', uid: '', chatId: '', batchId: '00'.repeat(16) }
const resource = toModelResource({
  attributes: { 'service.name': 'svc' },
} as unknown as ReadableSpan['resource'])
const scope = toModelScope({ name: 'scope' })

test('whatever the spans, a batch of spans that were written one by one has the bytes of the batch of their models', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(span, fc.boolean()), { minLength: 1, maxLength: 8 }), (spans) => {
      const records = new RecordWriter()
      const writer = new SpanWriter()
      const starts: number[] = []
      const ends: number[] = []
      const models: ReturnType<typeof toModelSpan>[] = []
      for (const [one, isOfBatch] of spans) {
        const start = writer.position
        let model: ReturnType<typeof toModelSpan> | undefined
        try {
          model = toModelSpan(one)
          records.encodeSpanBatch({ ...HEADER, resource, scope, spans: [model] }, 7)
        } catch {
          // What the schema cannot hold must fail here as well, and leave nothing.
          assert.throws(() => writer.write(one))
          assert.equal(writer.position, start)
          continue
        }
        writer.write(one)
        if (!isOfBatch) continue
        starts.push(start)
        ends.push(writer.position)
        models.push(model)
      }
      if (models.length === 0) return
      const origin = records.encodeOrigin(resource, scope)
      assert.deepEqual(
        records.encodeSpanBatchOf(HEADER, origin, { source: writer.memory, starts, ends }, 7),
        records.encodeSpanBatch({ ...HEADER, resource, scope, spans: models }, 7),
      )
    }),
    { numRuns: 400 },
  )
})
