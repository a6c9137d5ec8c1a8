import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anySpan } from '../../codec/arbitraries.testing.ts'
import type { AnyValue } from '../../model/any-value.ts'
import { testBatch, testFragment, testRecord, testSpan } from '../fragments.testing.ts'
import { eventLevel, isErrorSpan } from './span-error.ts'

const anySuspect = fc.record({
  key: fc.constantFrom('error', 'code', 'errors', ''),
  value: fc.oneof(
    fc.constantFrom<AnyValue>(true, false, 'true', 'false', 'yes', 0n, 1n, -1n, 0, 1, null, '1', [true]),
    fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
  ),
})

test('a row says that a span is an error exactly when the facts of its fragment do', () => {
  fc.assert(
    fc.property(anySpan, fc.array(anySuspect, { maxLength: 3 }), (span, suspects) => {
      const suspected = { ...span, attributes: [...span.attributes, ...suspects] }
      const record = testRecord(testBatch({ spans: [suspected] }))
      const isError = testFragment([record]).facts[0]!.errorKeys.length === 1
      assert.equal(isErrorSpan(suspected), isError)
    }),
    { numRuns: 500 },
  )
})

test('the level of a span is the most severe among the names of its events', () => {
  const levelOf = (...names: string[]) =>
    eventLevel(
      testSpan({
        events: names.map((name) => ({ name, timeNs: 0n, attributes: [], droppedAttributesCount: 0 })),
      }),
    )
  assert.equal(levelOf(), '')
  assert.equal(levelOf('started'), '')
  assert.equal(levelOf('INFO', 'DEBUG', 'other'), 'INFO')
  assert.equal(levelOf('INFO', 'exception', 'WARN'), 'ERROR')
})
