import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AnyValue, KeyValueList } from '../model/any-value.ts'
import { toAnyValue, toKeyValues } from './json-value.ts'

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
