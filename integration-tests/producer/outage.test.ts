import assert from 'node:assert/strict'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createKafka } from '../../src/kafka/client.ts'
import { makeTemporaryFolder } from '../../src/local/local-folders.ts'
import { startStack } from '../../src/local/stack.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { droppedOf, LoadedService, type LoadedServiceLine } from './loaded-service.ts'
import { readNames } from './topic-names.ts'

const OUTAGE_MS = 20_000
const SPANS_PER_SECOND = '800'
const MIB = 1024 * 1024
/** So small that the outage is over it many times. */
const QUEUE_BYTES = 2 * MIB
const MISBEHAVE = fileURLToPath(new URL('../support/misbehave.ts', import.meta.url))

// `npm run bench:producer-outage -- --minutes 10` is the same for longer, with figures.
test('a broker that is dead for long under load, and a clock that is set back an hour meanwhile: calls go on, memory is bounded, every record is in Kafka or counted', async (t) => {
  const folder = makeTemporaryFolder('producer-outage')
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }))
  // A stack of its own: its broker is killed.
  await using stack = await startStack({
    servers: ['kafka', 'registry'],
    dataFolder: join(folder, 'stack'),
    onCrash: () => undefined,
  })
  const brokers = [stack.kafka!.address]
  const topics = ['memory', 'spool']
  await createTopics(brokers, topics)
  const spool = join(folder, 'spool')
  mkdirSync(spool)
  const start = (topic: string, env: Record<string, string>, nodeArgs: string[] = []) => {
    const service = new LoadedService({
      env: {
        ...stack.env,
        ...env,
        SERVICE_NAME: topic,
        SIDEREAL_TOPIC: topic,
        SPAN_NAME: topic,
        SPANS_PER_SECOND,
      },
      nodeArgs,
      onLine: ({ stats, thrown, inexact }) => {
        peaks[topic] = Math.max(peaks[topic] ?? 0, stats.queueBytes)
        faults.push(...(thrown + inexact > 0 ? [`${topic}: ${thrown} exceptions, ${inexact} inexact`] : []))
      },
    })
    t.after(() => service[Symbol.asyncDispose]())
    return service
  }
  const peaks: Record<string, number> = {}
  const faults: string[] = []
  const inMemory = start('memory', { SIDEREAL_PRODUCER_QUEUE_BYTES: String(QUEUE_BYTES) })
  const spooling = start('spool', { SIDEREAL_PRODUCER_SPOOL_DIR: spool, FAULT: 'clock:-3600000' }, [
    '--import',
    MISBEHAVE,
  ])
  const services = [inMemory, spooling]
  const all = (isTrue: (line: LoadedServiceLine) => boolean) =>
    Promise.all(services.map((service) => service.until(isTrue)))

  await all(({ stats }) => stats.spans.sent > 800)
  await stack.kafka!.brokers[0]!.kill()
  const before = await all(() => true)
  await spooling.until(({ stats }) => stats.spans.spooled > 0)
  spooling.signal('SIGUSR2')
  await sleep(OUTAGE_MS)
  await inMemory.until(({ stats }) => stats.spans.dropped.queue_full > 0)
  await spooling.until(({ clockOffMs }) => clockOffMs < -3_000_000)
  const during = await all(() => true)
  during.forEach(({ made, rssMb }, i) => {
    // The load goes on at its pace, which it could not if a call waited.
    assert.ok(
      made.spans - before[i]!.made.spans > 4_000,
      `${made.spans - before[i]!.made.spans} spans in the outage`,
    )
    assert.ok(rssMb < before[i]!.rssMb + 200, `${before[i]!.rssMb} MB before, then ${rssMb} MB`)
  })
  await stack.kafka!.brokers[0]!.start()
  await spooling.until(({ stats }) => stats.spans.spooled + stats.logs.spooled === 0)
  for (const service of services) service.say('stop')

  for (const [service, topic] of [
    [inMemory, 'memory'],
    [spooling, 'spool'],
  ] as const) {
    const { stats, made, isSafe } = await service.end()
    assert.equal(isSafe, true)
    const found = await readNames({ brokers, registryUrl: stack.registry!.address }, topic)
    for (const [kind, given, names, stem] of [
      [stats.spans, made.spans, found.spans, topic],
      [stats.logs, made.logs, found.logs, `${topic}-log`],
    ] as const) {
      const dropped = droppedOf(kind)
      assert.deepEqual([kind.accepted, kind.sent + dropped, kind.waiting, kind.spooled], [given, given, 0, 0])
      let missing = 0
      for (let i = 0; i < given; i++) if (!names.has(`${stem}-${i}`)) missing += 1
      assert.ok(missing <= dropped, `${missing} lost, ${dropped} counted as dropped`)
      assert.ok(topic === 'memory' || dropped === 0, `${dropped} dropped with room on disk`)
    }
  }
  // What is with Kafka when it dies, up to 4 MiB, is not dropped.
  assert.ok(peaks['memory']! <= 4 * MIB, `${peaks['memory']} bytes in the queue`)
  assert.deepEqual(faults, [])
})

async function createTopics(brokers: readonly string[], topics: readonly string[]): Promise<void> {
  const admin = createKafka({ brokers: [...brokers] }, { clientId: 'tests', logger: silentLogger }).admin()
  await admin.connect()
  await admin.createTopics({
    topics: topics.map((topic) => ({ topic, numPartitions: 3 })),
    waitForLeaders: true,
  })
  await admin.disconnect()
}
