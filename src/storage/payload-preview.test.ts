import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { previewOf } from './payload-preview.ts'

test('a preview is the longest beginning of the text that fits and splits no character', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 60 }), fc.nat(80), (text, maxBytes) => {
      const preview = previewOf(Buffer.from(text), maxBytes)
      const characters = [...text]
      let expected = ''
      for (const character of characters) {
        if (Buffer.byteLength(expected + character) > maxBytes) break
        expected += character
      }
      assert.equal(preview, expected)
    }),
  )
})

test('256 bytes cut inside a Chinese sign give 255', () => {
  assert.equal(Buffer.byteLength(previewOf(Buffer.from('请'.repeat(2_000)))), 255)
})
