import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Block } from './block.ts'
import { CHUNK_BYTES, ChunkPool } from './chunk-pool.ts'
import { type Column, varint } from './column.ts'
import { MapColumn } from './composite-columns.ts'
import { Int32Column, Int64Column } from './fixed-columns.ts'
import { LowCardinalityColumn } from './low-cardinality-column.ts'
import { TextColumn } from './text-column.ts'

function bytesOf(column: Column): Buffer {
  const out: Buffer[] = []
  column.writePrefix(out)
  column.writeData(out)
  return Buffer.concat(out)
}

const anyText = fc.oneof(
  fc.string({ maxLength: 6 }),
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc
    .tuple(fc.constantFrom('x', 'é', '日', '😀'), fc.integer({ min: 30, max: 20_000 }))
    .map(([unit, n]) => unit.repeat(n)),
)

test('a text column is length and bytes of each value, from strings and from bytes alike', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(anyText, fc.boolean()), { maxLength: 60 }), (values) => {
      const pool = new ChunkPool()
      const column = new TextColumn(pool)
      const expected: Buffer[] = []
      for (const [text, asBytes] of values) {
        const bytes = Buffer.from(`<${text}>`, 'utf8')
        if (asBytes) column.pushBytes(bytes, 1, bytes.byteLength - 1)
        else column.pushString(text)
        const inner = bytes.subarray(1, bytes.byteLength - 1)
        expected.push(varint(inner.byteLength), inner)
      }
      assert.equal(column.rows, values.length)
      assert.ok(bytesOf(column).equals(Buffer.concat(expected)))
      column.reset()
      assert.equal(bytesOf(column).byteLength, 0)
    }),
  )
})

test('values that end at, before and after the end of a chunk, or are larger than one, come out whole', () => {
  for (const length of [CHUNK_BYTES - 6, CHUNK_BYTES - 3, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES]) {
    const column = new TextColumn(new ChunkPool())
    const texts = ['a', 'b'.repeat(length), 'c', 'd'.repeat(39), 'é'.repeat(40)]
    for (const text of texts) column.pushString(text)
    const expected = texts.flatMap((text) => [varint(Buffer.byteLength(text)), Buffer.from(text)])
    assert.ok(bytesOf(column).equals(Buffer.concat(expected)), String(length))
  }
})

/** Reads a LowCardinality column back by the format's description. */
function readLowCardinality(bytes: Buffer): string[] {
  assert.equal(bytes.readBigUInt64LE(0), 1n)
  if (bytes.byteLength === 8) return []
  const flags = bytes.readBigUInt64LE(8)
  assert.equal(flags & ~3n, 0x600n)
  const width = 2 ** Number(flags & 3n)
  const size = Number(bytes.readBigUInt64LE(16))
  let at = 24
  const entries: string[] = []
  for (let i = 0; i < size; i++) {
    let length = 0
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!
      length |= (byte & 0x7f) << shift
      if (byte < 0x80) break
    }
    entries.push(bytes.toString('utf8', at, at + length))
    at += length
  }
  assert.equal(new Set(entries).size, size, 'each entry once')
  const rows = Number(bytes.readBigUInt64LE(at))
  at += 8
  assert.equal(bytes.byteLength, at + rows * width)
  return Array.from({ length: rows }, (_, row) => entries[bytes.readUIntLE(at + row * width, width)]!)
}

test('a low-cardinality column gives every value back, from strings and bytes mixed, with one entry a value', () => {
  const anyWord = fc.oneof(
    fc.constantFrom('a', 'b', '', '日本', 'x'.repeat(127), 'x'.repeat(128), 'x'.repeat(20_000)),
    anyText,
  )
  fc.assert(
    fc.property(
      fc.array(fc.tuple(anyWord, fc.boolean()), { maxLength: 100 }),
      fc.boolean(),
      (values, reused) => {
        const column = new LowCardinalityColumn()
        if (reused) {
          for (const [text] of values) column.pushString(`${text} before`)
          column.reset()
        }
        for (const [text, asBytes] of values) {
          const bytes = Buffer.from(text, 'utf8')
          if (asBytes) column.pushBytes(bytes, 0, bytes.byteLength)
          else column.pushString(text)
        }
        assert.deepEqual(
          readLowCardinality(bytesOf(column)),
          values.map(([text]) => text),
        )
      },
    ),
  )
})

test('a dictionary may have more than 256 and more than 65,536 entries', () => {
  for (const count of [256, 257, 65_536, 65_537]) {
    const column = new LowCardinalityColumn()
    const values = Array.from({ length: count + 10 }, (_, n) => `value-${n % count}`)
    for (const [n, value] of values.entries()) {
      if (n % 2 === 0) column.pushString(value)
      else column.pushBytes(Buffer.from(value), 0, value.length)
    }
    assert.deepEqual(readLowCardinality(bytesOf(column)), values)
  }
})

test('64-bit values come out the same from bigints, halves and numbers', () => {
  fc.assert(
    fc.property(fc.array(fc.maxSafeInteger()), (values) => {
      const expected = Buffer.alloc(values.length * 8)
      values.forEach((value, at) => {
        expected.writeBigInt64LE(BigInt(value), at * 8)
      })
      const columns = [new Int64Column(), new Int64Column(), new Int64Column()] as const
      for (const value of values) {
        columns[0].push(BigInt(value))
        columns[1].pushNumber(value)
        columns[2].pushHalves(Number(BigInt(value) >> 32n), Number(BigInt(value) & 0xffffffffn))
      }
      for (const column of columns) assert.ok(bytesOf(column).equals(expected))
    }),
  )
})

test('an encoded row of a map equals the same row written again', () => {
  const written = new MapColumn(new LowCardinalityColumn(), new TextColumn(new ChunkPool()))
  const repeated = new MapColumn(new LowCardinalityColumn(), new TextColumn(new ChunkPool()))
  const entries = [
    ['a', '1'],
    ['b', 'x'.repeat(500)],
    ['a', ''],
  ] as const
  const row = (column: MapColumn) => {
    for (const [key, value] of entries) {
      column.keys.pushString(key)
      column.values.pushString(value)
    }
    column.endRow()
  }
  row(written)
  row(repeated)
  const values = new TextColumn(new ChunkPool())
  for (const [, value] of entries) values.pushString(value)
  const keys = Uint32Array.from(entries, ([key]) => repeated.keys.intern(key))
  for (let i = 0; i < 4; i++) row(written)
  repeated.pushTimes({ keys, values: values.encoded() }, 4)
  assert.equal(repeated.rows, 5)
  assert.ok(bytesOf(repeated).equals(bytesOf(written)))
})

test('text from UTF-8, hex and integers equals the same text as a string; what is not UTF-8 becomes U+FFFD', () => {
  const anyBytes = fc.oneof(
    fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes)),
    anyText.map((text) => Buffer.from(text)),
  )
  const anyInteger = fc.oneof(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), fc.bigInt(-1000n, 10n ** 10n))
  fc.assert(
    fc.property(fc.array(fc.tuple(anyBytes, anyInteger), { maxLength: 40 }), (rows) => {
      const column = new TextColumn(new ChunkPool())
      const expected = new TextColumn(new ChunkPool())
      const dictionary = new LowCardinalityColumn()
      const expectedDictionary = new LowCardinalityColumn()
      for (const [bytes, integer] of rows) {
        column.pushUtf8(bytes, 0, bytes.length)
        expected.pushString(bytes.toString('utf8'))
        dictionary.pushBytes(bytes, 0, bytes.length)
        expectedDictionary.pushString(bytes.toString('utf8'))
        const id = bytes.subarray(0, 16)
        column.pushHex(id, 0, id.length)
        expected.pushString(id.toString('hex'))
        column.pushInteger(Number(integer >> 32n), Number(integer & 0xffffffffn))
        expected.pushString(integer.toString())
      }
      assert.equal(column.rows, expected.rows)
      assert.ok(bytesOf(column).equals(bytesOf(expected)))
      assert.ok(bytesOf(dictionary).equals(bytesOf(expectedDictionary)))
    }),
  )
})

test('a value for several rows equals the value pushed as often, through the ends of chunks and from memory used before', () => {
  const anyBytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    anyText.map((text) => Buffer.from(text)),
  )
  const anyCount = fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 30, max: 70 }))
  const pool = new ChunkPool()
  const once = { text: new TextColumn(pool), low: new LowCardinalityColumn() }
  const often = { text: new TextColumn(pool), low: new LowCardinalityColumn() }
  const numbers = { once: new Int64Column(), often: new Int64Column() }
  const counts = { once: new Int32Column(), often: new Int32Column() }
  const columns = [once, often, numbers, counts].flatMap((pair): Column[] => Object.values(pair))
  fc.assert(
    fc.property(fc.array(fc.tuple(anyBytes, anyCount), { maxLength: 40 }), (rows) => {
      for (const [bytes, count] of rows) {
        const id = bytes.subarray(0, 16)
        once.text.pushUtf8Times(bytes, 0, bytes.length, count)
        once.text.pushHexTimes(id, 0, id.length, count)
        once.low.pushTimes(once.low.internBytes(bytes, 0, bytes.length), count)
        numbers.once.pushTimes(BigInt(bytes.length) << 40n, count)
        counts.once.pushTimes(bytes.length, count)
        for (let i = 0; i < count; i++) {
          often.text.pushUtf8(bytes, 0, bytes.length)
          often.low.pushTimes(often.low.internBytes(bytes, 0, bytes.length), 1)
          numbers.often.push(BigInt(bytes.length) << 40n)
          counts.often.push(bytes.length)
        }
        for (let i = 0; i < count; i++) often.text.pushHex(id, 0, id.length)
        if (count === 0) often.low.internBytes(bytes, 0, bytes.length)
      }
      assert.equal(once.text.rows, often.text.rows)
      assert.ok(bytesOf(once.text).equals(bytesOf(often.text)))
      assert.ok(bytesOf(once.low).equals(bytesOf(often.low)))
      assert.ok(bytesOf(numbers.once).equals(bytesOf(numbers.often)))
      assert.ok(bytesOf(counts.once).equals(bytesOf(counts.often)))
      for (const column of columns) column.reset()
    }),
  )
})

test('a padded column equals one with the default value in each row', () => {
  const types = {
    text: 'String',
    low: 'LowCardinality(String)',
    map: 'Map(LowCardinality(String), String)',
    flag: 'UInt8',
    status: 'UInt16',
    count: 'UInt32',
    code: 'Int64',
    ratio: 'Float64',
    list: 'Array(UInt8)',
  } as const
  const pool = new ChunkPool()
  const sparse = new Block(types, pool, Object.keys(types) as (keyof typeof types)[])
  const dense = new Block(types, pool)
  // Twice, for memory that was used before.
  for (const rows of [CHUNK_BYTES + 100, 70]) {
    for (let row = 0; row < rows; row++) {
      const isSet = row % 50_000 === 7 || row < 3
      if (isSet) {
        for (const column of Object.values(sparse.columns)) column.pad(row)
      }
      for (const block of isSet ? [sparse, dense] : [dense]) {
        const c = block.columns
        c.text.pushString(isSet ? 'x' : '')
        c.low.pushString(isSet ? `low ${row}` : '')
        if (isSet) {
          c.map.keys.pushString('key')
          c.map.values.pushString('value')
          c.list.items.push(9)
        }
        c.map.endRow()
        c.list.endRow()
        c.flag.push(isSet ? 1 : 0)
        c.status.push(isSet ? 404 : 0)
        c.count.push(isSet ? 0xffffffff : 0)
        c.code.push(isSet ? -5n : 0n)
        c.ratio.push(isSet ? 0.5 : 0)
      }
      sparse.endRow()
      dense.endRow()
    }
    assert.ok(Buffer.concat(sparse.finish()).equals(Buffer.concat(dense.finish())))
    sparse.reset()
    dense.reset()
  }
})

test('a block with a column out of step is never given out', () => {
  const block = new Block({ a: 'String', b: 'UInt8' } as const, new ChunkPool())
  block.columns.a.pushString('x')
  block.endRow()
  assert.throws(() => block.finish(), /Column b has 0 values/)
})

test('a block starts with its counts, and names each column and its type', () => {
  const block = new Block({ a: 'String', 'b.c': 'Array(UInt8)' } as const, new ChunkPool())
  block.columns.a.pushString('x')
  block.columns['b.c'].items.push(7)
  block.columns['b.c'].endRow()
  block.endRow()
  const expected = Buffer.concat([
    Buffer.from([2, 1]),
    Buffer.from('\u0001a\u0006String\u0001x', 'latin1'),
    Buffer.from('\u0003b.c\u000cArray(UInt8)', 'latin1'),
    Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 7]),
  ])
  assert.ok(Buffer.concat(block.finish()).equals(expected))
})
