import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isSiderealError, type SiderealError } from '../../src/model/errors.ts'
import type { SourceRecord, Task, TaskHandler } from '../../src/model/task.ts'
import { freshName, freshTopic } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { committed, deleteRecords, isAllCommitted, makeSource, produce, until } from './source-for-tests.ts'

const servers = await useServers('kafka')
const { brokers } = servers

/** Does with each record what the test says; settles nothing by itself. */
function handler(task: Task, calls: Partial<TaskHandler>): TaskHandler {
  const nothing = () => undefined
  return {
    onRecord: (record) => {
      task.settle([record.offset])
      return 'taken'
    },
    onSkipped: nothing,
    onQuiet: nothing,
    onTick: nothing,
    onLost: nothing,
    ...calls,
  }
}

test('records that retention deleted unread are counted, and everything else is read', async () => {
  const topic = await freshTopic(servers, { partitions: 1 })
  const groupId = freshName('group')
  const taken: number[] = []
  let isHeld = true
  const source = makeSource(brokers, { topic, groupId }, (task) =>
    handler(task, {
      onRecord: ({ offset }) => {
        taken.push(offset)
        if (!isHeld || offset < 50) task.settle([offset])
        return 'taken'
      },
      onTick: () => {
        if (!isHeld) task.settle(taken)
      },
    }),
  )
  await source.start()
  await produce(brokers, topic, 1, 100)
  await until('100 records are read', () => taken.length === 100)
  await until(
    'the first 50 are committed',
    async () => (await committed(brokers, topic, groupId)).get(0)?.offset === 50,
  )
  source.pause('test')
  await sleep(600)
  await produce(brokers, topic, 1, 500)
  await deleteRecords(brokers, topic, 400)
  source.resume('test')
  await until('the rest is read', () => taken.at(-1) === 599)
  assert.equal(source.stats().lostByRetention, 300)
  assert.deepEqual(taken, [
    ...Array.from({ length: 100 }, (_, i) => i),
    ...Array.from({ length: 200 }, (_, i) => 400 + i),
  ])
  await until('the ledger is there again', async () => {
    const row = (await committed(brokers, topic, groupId)).get(0)
    return row?.offset === 50 && row.settled.has(399) && !row.settled.has(99)
  })
  isHeld = false
  await produce(brokers, topic, 1, 10)
  await until('all is committed', () => isAllCommitted(brokers, topic, groupId))
  await source.close()
})

test('a start on a log that has lost its beginning since the last commit counts what is gone', async () => {
  const topic = await freshTopic(servers, { partitions: 1 })
  const groupId = freshName('group')
  await produce(brokers, topic, 1, 100)
  const first = makeSource(brokers, { topic, groupId }, (task) =>
    handler(task, {
      onRecord: ({ offset }) => {
        if (offset < 10 || offset === 20) task.settle([offset])
        return 'taken'
      },
    }),
  )
  await first.start()
  await until('10 are committed', async () => {
    const row = (await committed(brokers, topic, groupId)).get(0)
    return row?.offset === 10 && row.settled.has(20)
  })
  await first.close()
  await deleteRecords(brokers, topic, 60)
  const taken: number[] = []
  const second = makeSource(brokers, { topic, groupId }, (task) =>
    handler(task, {
      onRecord: ({ offset }) => {
        taken.push(offset)
        task.settle([offset])
        return 'taken'
      },
    }),
  )
  await second.start()
  await until('all is committed', () => isAllCommitted(brokers, topic, groupId))
  assert.deepEqual(
    taken,
    Array.from({ length: 40 }, (_, i) => 60 + i),
  )
  assert.equal(second.stats().lostByRetention, 49)
  assert.equal(second.stats().jumps, 0)
  await second.close()
})

test('a blocked record waits for unblock, and all come once and in order', async () => {
  const topic = await freshTopic(servers, { partitions: 2 })
  const groupId = freshName('group')
  await produce(brokers, topic, 2, 400)
  const taken = new Map<number, number[]>([
    [0, []],
    [1, []],
  ])
  const blockedOnce = new Set<string>()
  const source = makeSource(brokers, { topic, groupId }, (task) =>
    handler(task, {
      onRecord: ({ offset }) => {
        const id = `${task.partition}/${offset}`
        if (task.partition === 0 && offset % 40 === 0 && !blockedOnce.has(id)) {
          blockedOnce.add(id)
          setTimeout(() => task.unblock(), 40)
          return 'blocked'
        }
        taken.get(task.partition)?.push(offset)
        task.settle([offset])
        return 'taken'
      },
    }),
  )
  await source.start()
  await until('all is committed', () => isAllCommitted(brokers, topic, groupId))
  for (const offsets of taken.values())
    assert.deepEqual(
      offsets,
      Array.from({ length: 200 }, (_, i) => i),
    )
  assert.equal(source.stats().blocked, 5)
  assert.equal(source.stats().jumps, 0)
  await source.close()
})

test('a paused source stays in its group beyond the session timeout and goes on where it was', async () => {
  const topic = await freshTopic(servers, { partitions: 1 })
  const groupId = freshName('group')
  let count = 0
  const source = makeSource(brokers, { topic, groupId }, (task) =>
    handler(task, {
      onRecord: ({ offset }) => {
        assert.equal(offset, count)
        count += 1
        task.settle([offset])
        return 'taken'
      },
    }),
  )
  await source.start()
  await produce(brokers, topic, 1, 100)
  await until('100 are read', () => count === 100)
  source.pause('memory')
  await sleep(600)
  await produce(brokers, topic, 1, 100)
  await sleep(7_000)
  assert.equal(count, 100)
  assert.equal(source.mayDeliver(), true)
  source.resume('memory')
  await until('all is read', () => count === 200)
  assert.equal(source.stats().rebalances, 1)
  await source.close()
})

test('a ledger beyond 4,096 base64 characters goes out with 14 bits a character and is believed by the next owner', async () => {
  const topic = await freshTopic(servers, { partitions: 1 })
  const groupId = freshName('group')
  const count = 60_000
  await produce(brokers, topic, 1, count)
  const bits = Buffer.concat(
    Array.from({ length: count / 480 }, (_, i) =>
      createHash('sha512').update(`block ${i}`).digest().subarray(0, 60),
    ),
  )
  const isSettled = (offset: number) => ((bits[offset >> 3]! >> (offset & 7)) & 1) === 1
  const taken = { first: 0, second: new Set<number>() }
  const first = makeSource(brokers, { topic, groupId }, (task) =>
    handler(task, {
      onRecord: ({ offset }) => {
        taken.first += 1
        if (offset !== 0 && isSettled(offset)) task.settle([offset])
        return 'taken'
      },
    }),
  )
  await first.start()
  await until('all are read', () => taken.first === count)
  await first.close()
  const row = (await committed(brokers, topic, groupId)).get(0)!
  assert.match(row.metadata, /^s1[pq][\u4e00-\u8dff]+$/)
  assert.ok(row.metadata.length <= 4_096 && row.metadata.length > 3_700, `${row.metadata.length} characters`)
  assert.ok(row.settled.countAbove > 10_000)

  const second = makeSource(brokers, { topic, groupId }, (task) =>
    handler(task, {
      onRecord: ({ offset }) => {
        taken.second.add(offset)
        task.settle([offset])
        return 'taken'
      },
    }),
  )
  await second.start()
  await until('all is committed', () => isAllCommitted(brokers, topic, groupId))
  assert.equal(second.stats().skipped, row.settled.countAbove)
  for (let offset = 0; offset < count; offset++) {
    assert.ok(taken.second.has(offset) || isSettled(offset), `${offset} was skipped and never settled`)
  }
  await second.close()
})

test('a bug in the handler ends the source with one line that says where', async () => {
  const topic = await freshTopic(servers, { partitions: 1 })
  await produce(brokers, topic, 1, 10)
  const fatal: SiderealError[] = []
  const fail = ({ offset }: SourceRecord): 'taken' => {
    if (offset === 5) throw new TypeError('a bug')
    return 'taken'
  }
  const source = makeSource(
    brokers,
    { topic, groupId: freshName('group') },
    (task) => handler(task, { onRecord: fail }),
    (error) => fatal.push(error),
  )
  await source.start()
  await until('the source ends', () => fatal.length > 0)
  assert.equal(fatal[0]?.code, 'SIDEREAL_SOURCE_LOST')
  assert.match(fatal[0].message, /partition 0 near offset 5/)
  assert.equal(source.mayDeliver(), false)
  await source.close()
  assert.equal(fatal.length, 1)
})

test('a topic with CreateTime, a missing topic and a wrong broker are refused in time, each by name', async () => {
  const options = { groupId: freshName('group') }
  const start = async (at: readonly string[], topic: string) => {
    const source = makeSource(at, { ...options, topic, startTimeoutMs: 5_000 }, (task) => handler(task, {}))
    const startedAt = performance.now()
    const error = await source.start().then(
      () => assert.fail('it started'),
      (reason: unknown) => reason,
    )
    assert.ok(performance.now() - startedAt < 15_000)
    assert.ok(isSiderealError(error))
    return error
  }
  const created = await freshTopic(servers, {
    partitions: 1,
    config: { 'message.timestamp.type': 'CreateTime' },
  })
  const wrongTime = await start(brokers, created)
  assert.equal(wrongTime.code, 'SIDEREAL_TOPIC_INVALID')
  assert.match(wrongTime.message, new RegExp(`${created}.*message.timestamp.type=CreateTime.*LogAppendTime`))

  const missing = await start(brokers, 'no-such-topic')
  assert.equal(missing.code, 'SIDEREAL_TOPIC_INVALID')
  assert.ok(missing.message.includes(`no-such-topic does not exist at ${brokers.join(',')}`), missing.message)

  const nowhere = await start(['127.0.0.1:9'], created)
  assert.equal(nowhere.code, 'SIDEREAL_KAFKA_UNAVAILABLE')
  assert.match(nowhere.message, /127\.0\.0\.1:9/)
})
