// A worker in a process of its own, for tests that kill it: reads, appends each group of offsets to a file, settles it.
import { appendFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeSource } from './source-for-tests.ts'
import { delayByKey, ToyHandler } from './toy-handler.ts'

const [brokers = '', topic = '', groupId = '', instanceId = '', file = ''] = process.argv.slice(2)

const source = makeSource(
  brokers.split(','),
  { topic, groupId, instanceId },
  (task) =>
    new ToyHandler(task, {
      delayOf: delayByKey,
      mayDeliver: () => source.mayDeliver(),
      onSkipped: (_, record) =>
        appendFileSync(file, `${JSON.stringify({ skipped: [task.partition, record.offset] })}\n`),
      store: async (_, offsets) => {
        await sleep(20 + Math.random() * 180)
        if (task.isAlive) appendFileSync(file, `${JSON.stringify({ partition: task.partition, offsets })}\n`)
      },
    }),
  (error) => {
    process.stderr.write(`${error.message}\n`)
    process.exit(1)
  },
)
await source.start()
// Timers of the clock do not keep a process alive.
setInterval(() => undefined, 1_000)
