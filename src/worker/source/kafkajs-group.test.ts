import assert from 'node:assert/strict'
import { test } from 'node:test'
import { splitCommit } from './kafkajs-group.ts'

test('a commit is split so that each request stays below the limit, and nothing is left out', () => {
  const entries = Array.from({ length: 300 }, (_, partition) => ({
    partition,
    offset: partition,
    metadata: '\u4e00'.repeat(partition * 13),
  }))
  const parts = splitCommit(entries, 64 * 1024)
  assert.deepEqual(parts.flat(), entries)
  assert.ok(parts.length > 5)
  for (const part of parts) {
    const bytes = part.reduce((sum, { metadata }) => sum + 16 + Buffer.byteLength(metadata), 0)
    assert.ok(bytes <= 64 * 1024)
  }
  assert.deepEqual(splitCommit([]), [])
})
