import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Cluster } from 'kafkajs'
import { KafkajsGroup, splitCommit } from './kafkajs-group.ts'

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

test('what kafkajs commits of its own accord, when an offset is out of range, is told; what the source commits is not', async () => {
  let fails = false
  const broker = {
    joinGroup: async () => ({ memberId: 'm', generationId: 1 }),
    offsetCommit: async () => {
      if (fails) throw new Error('no answer')
    },
  }
  const cluster = {
    findBroker: async () => broker,
    findGroupCoordinator: () => cluster.findBroker(),
  }
  const wiped: number[] = []
  const group = new KafkajsGroup(cluster as unknown as Cluster, 'g', 't', (partition) =>
    wiped.push(partition),
  )
  const entries = [{ partition: 3, offset: 7, metadata: '' }]
  const { confirmed } = await group.commit({ id: 1, memberId: 'm', generation: 1, entries })
  assert.deepEqual([confirmed, wiped], [entries, []])
  // As OffsetManager.setDefaultOffset does it, with the broker that it looks up anew when its connection was closed.
  const coordinator = (await cluster.findBroker()) as unknown as {
    offsetCommit(request: object): Promise<void>
  }
  const request = { topics: [{ topic: 't', partitions: [{ partition: 5, offset: -2 }] }] }
  await coordinator.offsetCommit(request)
  assert.deepEqual(wiped, [5])
  fails = true
  await assert.rejects(coordinator.offsetCommit(request), /no answer/)
  assert.deepEqual(wiped, [5, 5], 'done or not: nobody knows')
})
