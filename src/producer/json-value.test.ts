import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AnyValue, KeyValueList } from '../model/any-value.ts'
import { toAnyValue, toKeyValues } from './json-value.ts'
import { pythonJson } from './python-json.ts'

test('numbers are int64 where OpenTelemetry sends an int that fits, else double', () => {
  const cases: [unknown, AnyValue][] = [
    [5, 5n],
    [-0, 0n],
    [2 ** 53, 2n ** 53n],
    [-(2 ** 63), -(2n ** 63n)],
    [2 ** 63, 2 ** 63],
    [1e300, 1e300],
    [0.5, 0.5],
    [Number.NaN, Number.NaN],
    [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
    [2n ** 63n - 1n, 2n ** 63n - 1n],
    [2n ** 64n, '18446744073709551616'],
  ]
  for (const [value, expected] of cases) assert.deepEqual(toAnyValue(value), expected)
})

test('objects keep order and keys of any name, undefined fields are left out, nothing throws', () => {
  const value = JSON.parse('{"__proto__": 1, "b": [null, {"constructor": "x"}], "a": true}')
  value.gone = undefined
  assert.deepEqual(
    toAnyValue(value),
    new KeyValueList([
      { key: '__proto__', value: 1n },
      { key: 'b', value: [null, new KeyValueList([{ key: 'constructor', value: 'x' }])] },
      { key: 'a', value: true },
    ]),
  )
  const cycle: unknown[] = []
  cycle.push(cycle)
  assert.doesNotThrow(() => toAnyValue(cycle))
  const throwing = {
    get bad(): string {
      throw new Error('no')
    },
  }
  assert.deepEqual(toKeyValues(throwing), [{ key: 'bad', value: '[Error: no]' }])
  assert.equal(toAnyValue(new Date(Number.NaN)), null)
  assert.equal(toAnyValue(Symbol('x')), null)
})

test('objects that point at one another end: what is on the way already is null, and so is what comes after a million values', () => {
  const node: Record<string, unknown> = { name: 'root' }
  node['left'] = node
  node['right'] = [node, { parent: node, name: 'child' }]
  assert.deepEqual(
    toAnyValue(node),
    new KeyValueList([
      { key: 'name', value: 'root' },
      { key: 'left', value: null },
      {
        key: 'right',
        value: [
          null,
          new KeyValueList([
            { key: 'parent', value: null },
            { key: 'name', value: 'child' },
          ]),
        ],
      },
    ]),
  )
  // Twelve people who know one another: half a billion ways through them, none of which meets anybody twice.
  const people = Array.from({ length: 12 }, (_, i) => ({ name: `p${i}`, friends: [] as object[] }))
  for (const person of people) person.friends.push(...people)
  const [first] = toKeyValues({ people })
  assert.ok(Array.isArray(first?.value) && first.value.length === 12)
})

test('a value that throws when it is looked at is a text that says so, and takes nothing with it', () => {
  const throwing = new Proxy({}, { ownKeys: () => assert.fail('no keys') })
  const withoutText = Object.create(null) as object
  assert.deepEqual(
    toKeyValues({
      throwing,
      map: new Map([[withoutText, 1]]),
      // biome-ignore lint/suspicious/noSparseArray: callers have them
      list: [, 'second'],
      last: 'here',
    }),
    [
      { key: 'throwing', value: '[AssertionError [ERR_ASSERTION]: no keys]' },
      { key: 'map', value: new KeyValueList([{ key: '[no text]', value: 1n }]) },
      { key: 'list', value: [null, 'second'] },
      { key: 'last', value: 'here' },
    ],
  )
})

test('an error is its name and message, what has toJSON is what that gives, and one that throws says so', () => {
  class Money {
    toJSON(): unknown {
      return { amount: 5 }
    }
  }
  const throwing = {
    toJSON(): never {
      throw new TypeError('no')
    },
  }
  const itself = {
    toJSON(): unknown {
      return itself
    },
  }
  assert.deepEqual(
    toAnyValue([new RangeError('too far'), new URL('http://x/y'), new Money(), throwing, itself]),
    [
      'RangeError: too far',
      'http://x/y',
      new KeyValueList([{ key: 'amount', value: 5n }]),
      '[TypeError: no]',
      null,
    ],
  )
  const faults = { nonFinite: 0, replacedSurrogates: 0 }
  assert.equal(
    pythonJson({ error: new RangeError('too far'), url: new URL('http://x/y'), money: new Money() }, faults),
    '{"error": "RangeError: too far", "url": "http://x/y", "money": {"amount": 5}}',
  )
})
