import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AnyValue } from '../../model/any-value.ts'
import { KnownFields, wholeNumber } from './known-fields.ts'
import { Block } from './native/block.ts'
import { ChunkPool } from './native/chunk-pool.ts'
import { LowCardinalityColumn } from './native/low-cardinality-column.ts'

const TYPES = { model: 'LowCardinality(String)', tokens: 'Int64', status: 'UInt16' } as const
const MODEL_FIELD = 0

interface Row {
  model?: string
  tokens?: bigint
  status?: number
}

/** What stands in the columns when the rows are fed, beside a block that gets `expected` directly. */
function assertRows(rows: [string, AnyValue][][], expected: Row[], fill = ''): void {
  const fed = new Block(TYPES, new ChunkPool(), ['model', 'tokens', 'status'])
  const c = fed.columns
  const keys = new LowCardinalityColumn()
  const fields = new KnownFields(
    [
      { column: c.model, type: 'text', keys: ['gen_ai.request.model', 'model'] },
      { column: c.tokens, type: 'int64', keys: ['tokens'] },
      { column: c.status, type: 'uint16', keys: ['status'] },
    ],
    keys,
  )
  for (const asBytes of [false, true]) {
    for (const row of rows) {
      const record = Buffer.from(row.map(([, value]) => (typeof value === 'string' ? value : '')).join(''))
      let at = 0
      for (const [key, value] of row) {
        const role = fields.roleOf(keys.pushString(key))
        if (role < 0) continue
        if (asBytes && typeof value === 'string') fields.setText(role, at, Buffer.byteLength(value))
        else if (asBytes && typeof value === 'bigint') {
          fields.setInteger(role, Number(value >> 32n), Number(value & 0xffffffffn))
        } else fields.set(role, value)
        if (typeof value === 'string') at += Buffer.byteLength(value)
      }
      fields.fillText(MODEL_FIELD, fill)
      fields.pushRow(fed.rows, record)
      fed.endRow()
    }
    const direct = new Block(TYPES, new ChunkPool())
    for (const row of expected) {
      direct.columns.model.pushString(row.model ?? '')
      direct.columns.tokens.push(row.tokens ?? 0n)
      direct.columns.status.push(row.status ?? 0)
      direct.endRow()
    }
    assert.deepEqual(Buffer.concat(fed.finish()), Buffer.concat(direct.finish()))
    fed.reset()
    keys.reset()
    fields.endBlock()
  }
}

test('the best key wins whatever the order, and the first of a repeated one', () => {
  assertRows(
    [
      [
        ['model', 'b'],
        ['gen_ai.request.model', 'a'],
        ['gen_ai.request.model', 'c'],
      ],
    ],
    [{ model: 'a' }],
  )
  assertRows(
    [
      [
        ['gen_ai.request.model', 'a'],
        ['model', 'b'],
        ['other', 'd'],
      ],
    ],
    [{ model: 'a' }],
  )
})

test('a row forgets the one before it, and a block the dictionary of the one before', () => {
  assertRows(
    [
      [
        ['model', 'x'],
        ['tokens', 5n],
      ],
      [],
      [['tokens', 7n]],
      [['model', 'y']],
    ],
    [{ model: 'x', tokens: 5n }, {}, { tokens: 7n }, { model: 'y' }],
  )
})

test('values come in the form of their column, whatever their type', () => {
  assertRows(
    [
      [
        ['model', 5n],
        ['tokens', '12'],
        ['status', 404n],
      ],
      [
        ['model', true],
        ['tokens', 'x'],
        ['status', 65_536n],
      ],
      [
        ['model', null],
        ['tokens', -3n],
        ['status', '200'],
      ],
      [
        ['tokens', 2.5],
        ['status', -1n],
      ],
    ],
    [{ model: '5', tokens: 12n, status: 404 }, { model: 'true' }, { tokens: -3n, status: 200 }, {}],
  )
})

test('a field is filled only where no attribute has said something', () => {
  assertRows(
    [[], [['model', '']], [['model', null]], [['model', 'm']], [['model', 0n]]],
    [{ model: 'filled' }, { model: 'filled' }, { model: 'filled' }, { model: 'm' }, { model: '0' }],
    'filled',
  )
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
  for (const [value, expected] of cases) assert.equal(wholeNumber(value), expected, String(value))
})
