import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AnyValue } from '../../model/any-value.ts'
import { KnownFields } from './known-fields.ts'

const KEYS = { model: ['gen_ai.request.model', 'model'], tokens: ['tokens'] } as const
const MODEL = 0
const TOKENS = 1

/** Feeds a row as the map's writer does: an index for each distinct key. */
function feed(fields: KnownFields, dictionary: string[], entries: [string, AnyValue][]): void {
  for (const [key, value] of entries) {
    const known = dictionary.indexOf(key)
    const index = known >= 0 ? known : dictionary.push(key) - 1
    fields.onEntry(index, key, value)
  }
}

test('the best key wins whatever the order, and the first of a repeated one', () => {
  for (const entries of [
    [
      ['model', 'b'],
      ['gen_ai.request.model', 'a'],
      ['gen_ai.request.model', 'c'],
    ],
    [
      ['gen_ai.request.model', 'a'],
      ['model', 'b'],
      ['other', 'd'],
    ],
  ] satisfies [string, string][][]) {
    const fields = new KnownFields(KEYS)
    feed(fields, [], entries)
    assert.equal(fields.text(MODEL), 'a')
    assert.equal(fields.text(TOKENS), '')
  }
})

test('a row forgets the one before it, and a block the dictionary of the one before', () => {
  const fields = new KnownFields(KEYS)
  const dictionary: string[] = []
  feed(fields, dictionary, [
    ['model', 'x'],
    ['tokens', 5n],
  ])
  fields.endRow()
  assert.deepEqual([fields.text(MODEL), fields.integer(TOKENS)], ['', 0n])
  feed(fields, dictionary, [['tokens', 7n]])
  assert.deepEqual([fields.text(MODEL), fields.integer(TOKENS)], ['', 7n])
  fields.endRow()
  fields.endBlock()
  feed(
    fields,
    [],
    [
      ['tokens', 9n],
      ['model', 'y'],
    ],
  )
  assert.deepEqual([fields.text(MODEL), fields.integer(TOKENS)], ['y', 9n])
})

test('whole numbers come from ints, whole doubles and digits; anything else is 0', () => {
  const cases: [AnyValue, bigint][] = [
    [2n ** 63n - 1n, 2n ** 63n - 1n],
    [200, 200n],
    [2.5, 0n],
    [Number.NaN, 0n],
    ['404', 404n],
    ['-1', -1n],
    ['4e2', 0n],
    ['', 0n],
    [true, 0n],
    [null, 0n],
    [[1n], 0n],
  ]
  for (const [value, expected] of cases) {
    const fields = new KnownFields(KEYS)
    fields.onEntry(0, 'tokens', value)
    assert.equal(fields.integer(TOKENS), expected, String(value))
  }
})
