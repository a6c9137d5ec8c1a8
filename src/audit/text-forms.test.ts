import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type AnyValue, KeyValueList } from '../model/any-value.ts'
import { PayloadReference } from '../model/payload-reference.ts'
import { TYPE_LETTERS, valueText } from '../sinks/clickhouse/any-value-text.ts'
import { RowComparison } from './row-comparison.ts'
import { ParsedMap, parseTextForm, StoredText } from './text-forms.ts'

const { value: anyValue } = fc.letrec<{ value: AnyValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    fc.constant(null),
    fc.string({ unit: 'binary' }).map((text) => text.toWellFormed()),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.double(),
    fc.boolean(),
    fc.uint8Array({ maxLength: 20 }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc
      .array(
        fc.record({
          key: fc.oneof(fc.string(), fc.constantFrom('$bytes', '$double', '$payload', '$')),
          value: tie('value'),
        }),
        { maxLength: 4 },
      )
      .map((entries) => new KeyValueList(entries)),
  ),
}))

function letterOf(value: AnyValue): string {
  if (value === null) return TYPE_LETTERS.null
  if (value instanceof Uint8Array) return TYPE_LETTERS.bytes
  if (value instanceof KeyValueList) return TYPE_LETTERS.map
  if (value instanceof PayloadReference) return TYPE_LETTERS.payload
  if (typeof value === 'object') return TYPE_LETTERS.array
  if (typeof value === 'bigint') return TYPE_LETTERS.int
  if (typeof value === 'number') return TYPE_LETTERS.double
  return typeof value === 'boolean' ? TYPE_LETTERS.bool : TYPE_LETTERS.string
}

function differences(expected: AnyValue, letter: string, text: string): string[] {
  const comparison = new RowComparison({ keys: [], values: [] })
  comparison.values('attributes', [{ key: 'k', value: expected }], { keys: ['k'], values: [text] }, letter)
  return comparison.differences
}

test('every value that the sink writes reads back as equal to what was sent', () => {
  fc.assert(
    fc.property(anyValue, (value) =>
      assert.deepEqual(differences(value, letterOf(value), valueText(value)), []),
    ),
  )
})

test('two values that differ are never taken for the same', () => {
  fc.assert(
    fc.property(anyValue, anyValue, (sent, written) => {
      const areSame = letterOf(sent) === letterOf(written) && valueText(sent) === valueText(written)
      assert.equal(differences(sent, letterOf(written), valueText(written)).length === 0, areSame)
    }),
  )
})

test('the text forms are those of the documentation', () => {
  assert.equal(parseTextForm('i', '5'), 5n)
  assert.equal(parseTextForm('d', '5'), 5)
  assert.ok(Object.is(parseTextForm('d', '-0'), -0))
  assert.ok(Number.isNaN(parseTextForm('d', 'NaN')))
  assert.deepEqual(parseTextForm('a', '[1,1.0,{"$double":"NaN"},null]'), [1n, 1, Number.NaN, null])
  assert.deepEqual(
    parseTextForm('m', '{"a":1,"a":"x","$$b":true}'),
    new ParsedMap([
      ['a', 1n],
      ['a', 'x'],
      ['$b', true],
    ]),
  )
  assert.deepEqual(parseTextForm('a', '[{"$payload":"begin"}]'), [new StoredText('begin')])
})

test('a text that is no form of its type is a difference and not an error', () => {
  for (const [letter, text] of [
    ['i', '5.0'],
    ['i', ''],
    ['d', 'five'],
    ['b', 'yes'],
    ['y', '*'],
    ['a', '[1'],
    ['a', '["\\x"]'],
    ['m', '[]'],
    ['n', 'null'],
    ['z', '1'],
  ] as const) {
    assert.equal(parseTextForm(letter, text), undefined, `${letter} ${text}`)
  }
})
