import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Task } from '../../src/model/task.ts'
import type { Source } from '../../src/worker/source/source.ts'
import { freshName, freshTopic } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { isAllCommitted, logEnds, makeSource, produce, until, withAdmin } from './source-for-tests.ts'
import { delayByKey, ToyHandler } from './toy-handler.ts'

const servers = await useServers('kafka')
const { brokers } = servers

interface Member {
  readonly source: Source
  /** Offsets that each task was given, in order; a task that was lost and came back is another one. */
  readonly reads: Map<Task, number[]>
  readonly stored: [number, number][]
}

function startMember(topic: string, groupId: string): Member {
  const reads: Member['reads'] = new Map()
  const stored: Member['stored'] = []
  const source = makeSource(brokers, { topic, groupId, metadataMaxAgeMs: 2_000 }, (task) => {
    reads.set(task, [])
    return new ToyHandler(task, {
      delayOf: delayByKey,
      mayDeliver: () => source.mayDeliver(),
      onTaken: (_, record) => {
        reads.get(task)?.push(record.offset)
        return 'taken'
      },
      onSkipped: (_, record) => void reads.get(task)?.push(record.offset),
      store: async (_, offsets) => {
        if (task.isAlive) for (const offset of offsets) stored.push([task.partition, offset])
      },
    })
  })
  return { source, reads, stored }
}

test('members come and go: all is stored, and a partition that stays with its member is not read twice', async () => {
  const partitions = 6
  const topic = await freshTopic(servers, { partitions })
  const groupId = freshName('group')
  const producing = produce(brokers, topic, partitions, 15_000, 1_000)
  const ready = (member: Member) => member.source.stats().tasks.filter((task) => task.isReady).length

  const first = startMember(topic, groupId)
  await first.source.start()
  await until('the first member has all partitions', () => ready(first) === 6)
  const second = startMember(topic, groupId)
  await second.source.start()
  await until('two members share them', () => ready(first) === 3 && ready(second) === 3)
  const third = startMember(topic, groupId)
  await third.source.start()
  await until('three members share them', () => [first, second, third].every((member) => ready(member) === 2))
  second.source.stopIntake()
  await second.source.close()
  await until('two are left', () => ready(first) === 3 && ready(third) === 3)
  await third.source.close()
  await until('one is left', () => ready(first) === 6)
  await producing
  await until('all is committed', () => isAllCommitted(brokers, topic, groupId), 90_000)

  const members = [first, second, third]
  const seen = new Set(members.flatMap(({ stored }) => stored.map(([p, o]) => `${p}/${o}`)))
  for (const [partition, end] of await logEnds(brokers, topic)) {
    for (let offset = 0; offset < end; offset++) assert.ok(seen.has(`${partition}/${offset}`))
  }
  for (const { reads } of members) {
    for (const [task, offsets] of reads) {
      for (const [i, offset] of offsets.entries()) {
        if (i > 0) assert.equal(offset, offsets[i - 1]! + 1, `partition ${task.partition} read out of order`)
      }
    }
  }
  const stats = first.source.stats()
  assert.ok(stats.kept >= 6, `${stats.kept} partitions were kept`)
  assert.equal(stats.jumps, 0)
  const repeated = members.reduce((sum, { stored }) => sum + stored.length, 0) - seen.size
  process.stderr.write(
    `join and leave: ${seen.size} records, ${repeated} stored twice, first member kept ${stats.kept} and gained ${stats.gained} partitions in ${stats.rebalances} joins\n`,
  )
  await first.source.close()
})

test('partitions that are added are read from their beginning', async () => {
  const topic = await freshTopic(servers, { partitions: 2 })
  const groupId = freshName('group')
  const member = startMember(topic, groupId)
  await member.source.start()
  await produce(brokers, topic, 2, 200)
  await withAdmin(brokers, (admin) => admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] }))
  await produce(brokers, topic, 3, 300)
  await until('all is committed', () => isAllCommitted(brokers, topic, groupId))
  assert.equal(new Set(member.stored.map(([p, o]) => `${p}/${o}`)).size, 500)
  assert.ok(member.source.stats().kept >= 2)
  await member.source.close()
})
