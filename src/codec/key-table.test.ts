import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { KeyList, KeyTable } from './key-table.ts'

const half = fc.oneof(fc.nat(3), fc.integer({ min: 0, max: 0xffffffff }))
const keys = fc.array(fc.tuple(half, half), { maxLength: 400 })

test('a reused key table holds exactly what was added since it was cleared, in the order of arrival', () => {
  const table = new KeyTable()
  fc.assert(
    fc.property(keys, keys, (added, others) => {
      table.clear()
      const expected = new Map<string, number>()
      for (const [high, low] of added) {
        const name = `${high}/${low}`
        if (!expected.has(name)) expected.set(name, expected.size)
        assert.equal(table.add(high, low), expected.get(name))
      }
      assert.equal(table.size, expected.size)
      for (const [high, low] of [...added, ...others]) {
        const index = expected.get(`${high}/${low}`) ?? -1
        assert.equal(table.find(high, low), index)
        if (index >= 0) assert.deepEqual([table.highAt(index), table.lowAt(index)], [high, low])
      }
    }),
  )
})

test('a reused key list gives its keys sorted, each once', () => {
  const list = new KeyList()
  fc.assert(
    fc.property(keys, (added) => {
      for (const [high, low] of added) list.push(high, low)
      const expected = [...new Set(added.map(([high, low]) => (BigInt(high) << 32n) | BigInt(low)))]
      expected.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
      assert.deepEqual([...list.take()], expected)
      assert.equal(list.take().length, 0)
    }),
  )
})
