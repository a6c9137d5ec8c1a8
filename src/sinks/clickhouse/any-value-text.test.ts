import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyValue } from '../../codec/arbitraries.testing.ts'
import { type AnyValue, type KeyValue, KeyValueList } from '../../model/any-value.ts'
import { PayloadReference } from '../../model/payload-reference.ts'
import { parseValueText, withoutReferences } from '../value-text.testing.ts'
import { pushValue, valueText } from './any-value-text.ts'
import { ChunkPool } from './native/chunk-pool.ts'
import { TextColumn } from './native/text-column.ts'

interface Written {
  letter: string
  text: string
  paths: string[]
}

function write(value: AnyValue): Written {
  const column = new TextColumn(new ChunkPool())
  const paths: string[] = []
  const code = pushValue(column, value, 'attributes.', 'k', { add: (path) => paths.push(path) })
  const out: Buffer[] = []
  column.writeData(out)
  const bytes = Buffer.concat(out)
  let prefix = 0
  while (bytes[prefix]! >= 0x80) prefix++
  return { letter: String.fromCharCode(code), text: bytes.toString('utf8', prefix + 1), paths }
}

const reference = new PayloadReference({
  key: 'k',
  offset: 0,
  length: 1,
  size: 6000,
  sha256: 'ab'.repeat(32),
  encoding: 'zstd',
  preview: 'pre',
})
const entry = (key: string, value: AnyValue): KeyValue => ({ key, value })

const FORMS: [AnyValue, string, string][] = [
  [null, 'n', ''],
  ['', 's', ''],
  ['天气', 's', '天气'],
  [5n, 'i', '5'],
  [-(2n ** 63n), 'i', '-9223372036854775808'],
  [5, 'd', '5'],
  [0.1, 'd', '0.1'],
  [1e21, 'd', '1e+21'],
  [5e-324, 'd', '5e-324'],
  [-0, 'd', '-0'],
  [Number.NaN, 'd', 'NaN'],
  [-Infinity, 'd', '-Infinity'],
  [true, 'b', 'true'],
  [false, 'b', 'false'],
  [new Uint8Array([0, 255, 16]), 'y', 'AP8Q'],
  [[], 'a', '[]'],
  [[1n, 1, -0, 'x', null, true], 'a', '[1,1.0,-0.0,"x",null,true]'],
  [[Number.NaN, new Uint8Array([1])], 'a', '[{"$double":"NaN"},{"$bytes":"AQ=="}]'],
  [new KeyValueList([entry('b', 1n), entry('a', 2n), entry('b', 3n)]), 'm', '{"b":1,"a":2,"b":3}'],
  [new KeyValueList([entry('$bytes', 'x'), entry('$', 'y')]), 'm', '{"$$bytes":"x","$$":"y"}'],
  [reference, 'p', 'pre'],
  [[reference], 'a', '[{"$payload":"pre"}]'],
]

for (const [value, letter, text] of FORMS) {
  test(`the text form of type ${letter} is as the docs say: ${text}`, () => {
    const written = write(value)
    assert.deepEqual([written.letter, written.text], [letter, text])
    assert.equal(valueText(value), text)
  })
}

test('every value can be read back from its letter and text, but for what a payload reference stands for', () => {
  fc.assert(
    fc.property(anyValue, (value) => {
      const { letter, text } = write(value)
      assert.deepStrictEqual(parseValueText(letter, text), withoutReferences(value))
    }),
    { numRuns: 500 },
  )
})

test('each payload reference is told with its path, however deep it lies', () => {
  const value = [new KeyValueList([entry('x.y', [1n, reference]), entry('z', reference)]), reference]
  assert.deepEqual(write(value).paths, ['attributes.k.0.x.y.1', 'attributes.k.0.z', 'attributes.k.1'])
  assert.deepEqual(write(reference).paths, ['attributes.k'])
})
