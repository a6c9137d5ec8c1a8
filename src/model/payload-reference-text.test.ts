import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isSiderealError } from './errors.ts'
import { PayloadReference } from './payload-reference.ts'
import { formatPayloadReference, parsePayloadReference } from './payload-reference-text.ts'

const reference = fc
  .record({
    key: fc.option(fc.string({ minLength: 1, unit: 'grapheme' })),
    offset: fc.nat(),
    length: fc.nat(),
    size: fc.nat(2 ** 31 - 1),
    sha256: fc.string({ minLength: 64, maxLength: 64, unit: fc.constantFrom(...'0123456789abcdef') }),
    encoding: fc.constantFrom('zstd' as const, 'identity' as const),
  })
  .map((fields) => new PayloadReference({ ...fields, preview: '' }))

test('a reference goes to text and back unchanged, whatever its key', () => {
  fc.assert(
    fc.property(reference, (ref) => {
      assert.deepEqual(parsePayloadReference(formatPayloadReference(ref)), ref)
    }),
  )
})

test('a cut value has an empty key in its text form', () => {
  const [ref] = fc.sample(reference, 1)
  const cut = new PayloadReference({ ...ref!, key: null })
  assert.match(formatPayloadReference(cut), /^#\d/)
  assert.equal(parsePayloadReference(formatPayloadReference(cut)).key, null)
})

test('any other text is refused', () => {
  const sha = 'a'.repeat(64)
  for (const text of [
    '',
    '#',
    'payloads/x',
    `k#1,2,3,${sha}`,
    `k#1,2,3,${sha},gzip`,
    `k#-1,2,3,${sha},zstd`,
    `k#1,2,3,${sha.toUpperCase()},zstd`,
    `k#1,2,3,${sha},zstd `,
  ]) {
    assert.throws(
      () => parsePayloadReference(text),
      (error) => isSiderealError(error, 'SIDEREAL_RECORD_INVALID'),
      text,
    )
  }
})
