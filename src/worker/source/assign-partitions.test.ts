import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { assignPartitions } from './assign-partitions.ts'

const members = (count: number, prefix = 'worker') =>
  Array.from({ length: count }, (_, i) => ({ memberId: `m-${i}`, instanceId: `${prefix}-${i}` }))
const range = (count: number) => Array.from({ length: count }, (_, i) => i)

/** Partitions that stay with the same member. */
function moved(before: Map<string, number[]>, after: Map<string, number[]>): number {
  let count = 0
  for (const [member, partitions] of after) {
    for (const partition of partitions) if (!before.get(member)?.includes(partition)) count += 1
  }
  return count
}

test('every partition has exactly one owner, and no member has two more than another', () => {
  fc.assert(
    fc.property(fc.nat(60), fc.integer({ min: 1, max: 20 }), (partitionCount, memberCount) => {
      const result = assignPartitions('t', range(partitionCount), members(memberCount))
      assert.deepEqual(
        [...result.values()].flat().sort((a, b) => a - b),
        range(partitionCount),
      )
      const loads = [...result.values()].map((own) => own.length)
      assert.ok(Math.max(...loads) - Math.min(...loads) <= 1)
    }),
  )
})

test('the order of members and partitions does not matter', () => {
  const straight = assignPartitions('t', range(24), members(5))
  const turned = assignPartitions('t', range(24).reverse(), members(5).reverse())
  assert.deepEqual(new Map([...turned].sort()), straight)
})

test('few partitions move when a member comes or goes', () => {
  for (const [partitionCount, from, to, most] of [
    [6, 3, 2, 4],
    [12, 2, 3, 7],
    [24, 3, 4, 12],
    [48, 8, 9, 16],
  ] as const) {
    const before = assignPartitions('t', range(partitionCount), members(from))
    const after = assignPartitions('t', range(partitionCount), members(to))
    const count = moved(before, after)
    assert.ok(count <= most, `${partitionCount} partitions, ${from} to ${to} members: ${count} moved`)
  }
})

test('two processes with one instance id share the partitions instead of failing', () => {
  const twins = [
    { memberId: 'a', instanceId: 'same' },
    { memberId: 'b', instanceId: 'same' },
  ]
  const result = assignPartitions('t', range(6), twins)
  assert.equal(result.get('a')?.length, 3)
  assert.equal(result.get('b')?.length, 3)
})
