import { setTimeout as sleep } from 'node:timers/promises'
import type { Admin, Kafka } from 'kafkajs'
import { createKafka } from '../../src/kafka/client.ts'
import { systemClock } from '../../src/model/clock.ts'
import type { SiderealError } from '../../src/model/errors.ts'
import type { TaskHandlerFactory } from '../../src/model/task.ts'
import { createLogger, type Logger, silentLogger } from '../../src/telemetry/logger.ts'
import { decodeLedger } from '../../src/worker/source/ledger.ts'
import type { SettledSet } from '../../src/worker/source/settled-set.ts'
import { Source } from '../../src/worker/source/source.ts'
import type { SourceOptions } from '../../src/worker/source/source-options.ts'

/** Short sessions, so that a test of a dead member does not take half a minute. */
const FAST: Partial<SourceOptions> = {
  sessionTimeoutMs: 6_000,
  rebalanceTimeoutMs: 10_000,
  heartbeatMs: 500,
  commitIntervalMs: 300,
}

const logger: Logger = process.env['SOURCE_TEST_LOG'] === undefined ? silentLogger : createLogger()

export function kafkaFor(brokers: readonly string[], clientId = 'sidereal-test'): Kafka {
  return createKafka({ brokers }, { clientId, logger })
}

export function makeSource(
  brokers: readonly string[],
  options: SourceOptions,
  createHandler: TaskHandlerFactory,
  onFatal: (error: SiderealError) => void = (error) => failures.push(error),
  createKafka: (clientId: string) => Kafka = (clientId) => kafkaFor(brokers, clientId),
): Source {
  return new Source(
    { ...FAST, ...options },
    {
      clock: systemClock,
      logger,
      random: Math.random,
      createKafka,
      brokers: brokers.join(','),
      createHandler,
      onFatal,
    },
  )
}

/** Sources that were lost and should not have been. */
const failures: SiderealError[] = []

/** Waits for a condition, with a deadline that is generous. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 60_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await condition())) {
    if (failures.length > 0) throw failures[0]
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await sleep(50)
  }
}

export async function withAdmin<T>(
  brokers: readonly string[],
  work: (admin: Admin) => Promise<T>,
): Promise<T> {
  const admin = kafkaFor(brokers).admin()
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.disconnect()
  }
}

/** Sends `count` records, round-robin over the partitions, ten of a key in each. */
export async function produce(
  brokers: readonly string[],
  topic: string,
  partitions: number,
  count: number,
  perSecond = Number.POSITIVE_INFINITY,
): Promise<void> {
  const producer = kafkaFor(brokers).producer({ allowAutoTopicCreation: false })
  await producer.connect()
  try {
    const chunk = Math.min(count, perSecond === Number.POSITIVE_INFINITY ? 5_000 : Math.ceil(perSecond / 10))
    for (let sent = 0; sent < count; sent += chunk) {
      const messages = Array.from({ length: Math.min(chunk, count - sent) }, (_, i) => {
        const n = sent + i
        return {
          partition: n % partitions,
          key: `${n % partitions}-${Math.floor(n / partitions / 10)}-${n % 3}`,
          value: String(n),
        }
      })
      await producer.send({ topic, messages })
      if (perSecond !== Number.POSITIVE_INFINITY) await sleep((1_000 * chunk) / perSecond)
    }
  } finally {
    await producer.disconnect()
  }
}

export async function deleteRecords(
  brokers: readonly string[],
  topic: string,
  before: number,
): Promise<void> {
  await withAdmin(brokers, async (admin) => {
    // kafkajs looks for the leader in metadata that only another call loads.
    await admin.fetchTopicOffsets(topic)
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(before) }] })
  })
}

export async function logEnds(brokers: readonly string[], topic: string): Promise<Map<number, number>> {
  const offsets = await withAdmin(brokers, (admin) => admin.fetchTopicOffsets(topic))
  return new Map(offsets.map(({ partition, offset }) => [partition, Number(offset)]))
}

/** What the group has committed: watermark and ledger of each partition. */
export async function committed(
  brokers: readonly string[],
  topic: string,
  groupId: string,
): Promise<Map<number, { offset: number; settled: SettledSet; metadata: string }>> {
  const [rows] = await withAdmin(brokers, (admin) => admin.fetchOffsets({ groupId, topics: [topic] }))
  return new Map(
    (rows?.partitions ?? []).map(({ partition, offset, metadata }) => {
      const { set } = decodeLedger(metadata, { topic, partition }, Math.max(0, Number(offset)))
      return [partition, { offset: Number(offset), settled: set, metadata: metadata ?? '' }]
    }),
  )
}

export async function isAllCommitted(
  brokers: readonly string[],
  topic: string,
  groupId: string,
): Promise<boolean> {
  const [ends, rows] = [await logEnds(brokers, topic), await committed(brokers, topic, groupId)]
  return [...ends].every(([partition, end]) => end === 0 || rows.get(partition)?.offset === end)
}
