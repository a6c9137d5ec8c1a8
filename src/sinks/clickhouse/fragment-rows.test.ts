import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testBatch, testFragment, testLog, testRecord, testSpan } from '../fragments.testing.ts'
import { FragmentIds } from './fragment-id.ts'

const ids = new FragmentIds()

test('the id of a fragment row depends on its facts and its reason, and on nothing else', () => {
  const records = [testRecord(testBatch()), testRecord(testLog(), { offset: 1 })]
  const facts = testFragment(records).facts[0]!
  const id = ids.of('idle', facts)
  assert.equal(ids.of('idle', testFragment([...records].reverse()).facts[0]!), id)
  assert.equal(ids.of('idle', testFragment([...records, ...records]).facts[0]!), id)
  assert.ok(id >= 0n && id < 2n ** 64n)

  const others = [
    ids.of('late', facts),
    ids.of('idle', testFragment(records.slice(0, 1)).facts[0]!),
    ids.of('idle', testFragment([testRecord(testBatch({ uid: 'u' })), records[1]!]).facts[0]!),
    ids.of(
      'idle',
      testFragment([testRecord(testBatch({ spans: [testSpan({ statusCode: 2 })] })), records[1]!]).facts[0]!,
    ),
    ids.of('idle', testFragment([records[0]!, testRecord(testLog({ revision: 1 }))]).facts[0]!),
  ]
  assert.equal(new Set([id, ...others]).size, 6)
})

test('a key does not pass from one list of the facts to the next unseen', () => {
  const facts = testFragment([testRecord(testBatch())]).facts[0]!
  const none = new BigUint64Array(0)
  const one = { ...facts, missingParents: facts.spanKeys, errorKeys: none }
  const other = { ...facts, missingParents: none, errorKeys: facts.spanKeys }
  assert.notEqual(ids.of('idle', one), ids.of('idle', other))
})
