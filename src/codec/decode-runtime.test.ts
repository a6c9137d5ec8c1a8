import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createTextReader } from './decode-runtime.ts'

test('text is read as it is, although short strings are looked up in a table in which they meet', () => {
  const read = createTextReader(2)
  const unit = fc.constantFrom('a', 'b', 'é', '日', '\u00e9', '\u0080')
  const word = fc.oneof(fc.string({ unit, maxLength: 8 }), fc.string({ unit, minLength: 30, maxLength: 60 }))
  fc.assert(
    fc.property(fc.array(word, { maxLength: 30 }), (words) => {
      const bytes = Buffer.from(`x${words.join('')}x`)
      let at = 1
      for (const expected of words) {
        const length = Buffer.byteLength(expected)
        assert.equal(read(bytes, at, length), expected)
        at += length
      }
    }),
  )
})

test('bytes that are not UTF-8 become U+FFFD, also where a string of the same codes was read before', () => {
  const read = createTextReader(1)
  assert.equal(read(Buffer.from('é'), 0, 2), 'é')
  assert.equal(read(Buffer.from([0xe9]), 0, 1), '\ufffd')
  assert.equal(read(Buffer.from([0xff, 0x41]), 0, 2), '\ufffdA')
})
