import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type CompatibilityLevel, canonicalText, incompatibilities } from './compatibility.ts'

const record = (...fields: object[]) => JSON.stringify({ type: 'record', name: 'test.R', fields })
const A = { name: 'a', type: 'string' }
const B = { name: 'b', type: 'string' }
const B_WITH_DEFAULT = { ...B, default: '' }

const isAllowed = (level: CompatibilityLevel, candidate: string, ...earlier: string[]) =>
  incompatibilities(
    level,
    candidate,
    earlier.map((schema, index) => ({ version: index + 1, schema })),
  ).length === 0

test('BACKWARD allows to add a field with a default and to remove any, not to add one without', () => {
  assert.equal(isAllowed('BACKWARD', record(A, B_WITH_DEFAULT), record(A)), true)
  assert.equal(isAllowed('BACKWARD', record(A), record(A, B)), true)
  assert.equal(isAllowed('BACKWARD', record(A, B), record(A)), false)
})

test('FORWARD allows to add any field and to remove one with a default, not to remove one without', () => {
  assert.equal(isAllowed('FORWARD', record(A, B), record(A)), true)
  assert.equal(isAllowed('FORWARD', record(A), record(A, B_WITH_DEFAULT)), true)
  assert.equal(isAllowed('FORWARD', record(A), record(A, B)), false)
})

test('FULL allows only what both directions allow', () => {
  assert.equal(isAllowed('FULL', record(A, B_WITH_DEFAULT), record(A)), true)
  assert.equal(isAllowed('FULL', record(A, B), record(A)), false)
  assert.equal(isAllowed('FULL', record(A), record(A, B)), false)
})

test('only the transitive levels look behind the latest version', () => {
  const first = record(A, B)
  const second = record(A)
  const asInteger = record(A, { name: 'b', type: 'int', default: 0 })
  assert.equal(isAllowed('BACKWARD', asInteger, first, second), true)
  assert.equal(isAllowed('BACKWARD_TRANSITIVE', asInteger, first, second), false)
  assert.equal(isAllowed('FULL', asInteger, first, second), true)
  assert.equal(isAllowed('FULL_TRANSITIVE', asInteger, first, second), false)
})

test('promotions count in the direction of the reader', () => {
  const asInt = record({ name: 'n', type: 'int' })
  const asLong = record({ name: 'n', type: 'long' })
  assert.equal(isAllowed('BACKWARD', asLong, asInt), true)
  assert.equal(isAllowed('BACKWARD', asInt, asLong), false)
  assert.equal(isAllowed('FORWARD', asInt, asLong), true)
})

test('a union does not grow under FULL', () => {
  const narrow = record({ name: 'v', type: ['null', 'string'] })
  const wide = record({ name: 'v', type: ['null', 'string', 'long'] })
  assert.equal(isAllowed('BACKWARD', wide, narrow), true)
  assert.equal(isAllowed('FORWARD', wide, narrow), false)
  assert.equal(isAllowed('FULL', wide, narrow), false)
})

test('NONE allows everything', () => {
  assert.equal(isAllowed('NONE', '"string"', record(A)), true)
})

test('white space and the order of keys do not make another schema, the order of fields does', () => {
  const spelled = '{"fields": [{"type":"string","name":"a"}], "name":"test.R", "type":"record"}'
  assert.equal(canonicalText(spelled), canonicalText(record(A)))
  assert.equal(canonicalText('{"type": "string"}'), '"string"')
  assert.notEqual(canonicalText(record(A, B)), canonicalText(record(B, A)))
})
