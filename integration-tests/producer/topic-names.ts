import { randomUUID } from 'node:crypto'
import { SchemaRegistry } from '../../src/codec/schema-registry.ts'
import { BODY_START, readFrame } from '../../src/codec/wire.ts'
import { createKafka } from '../../src/kafka/client.ts'
import type { NodeTraceLog } from '../../src/model/node-trace-log.ts'
import type { SpanBatch } from '../../src/model/span.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'

/** What a topic holds, by content. */
export interface TopicNames {
  /** Names of spans. */
  readonly spans: ReadonlySet<string>
  /** Questions of NodeTraceLogs. */
  readonly logs: ReadonlySet<string>
  /** Spans and logs in the topic, those that are there twice twice. */
  readonly total: number
}

/** Reads a topic that nobody writes to any more, from its beginning to its end. */
export async function readNames(
  { brokers, registryUrl }: { readonly brokers: readonly string[]; readonly registryUrl: string },
  topic: string,
  timeoutMs = 120_000,
): Promise<TopicNames> {
  const kafka = createKafka({ brokers: [...brokers] }, { clientId: 'tests', logger: silentLogger })
  const registry = new SchemaRegistry({ url: registryUrl, timeoutMs: 10_000, payloadLimitBytes: 5_120 })
  const admin = kafka.admin()
  await admin.connect()
  const ends = await admin.fetchTopicOffsets(topic)
  await admin.disconnect()
  const left = new Map(
    ends.filter(({ high }) => Number(high) > 0).map(({ partition, high }) => [partition, high]),
  )
  const spans = new Set<string>()
  const logs = new Set<string>()
  let total = 0
  if (left.size === 0) return { spans, logs, total }
  const next = new Map<number, bigint>()
  const consumer = kafka.consumer({ groupId: `names-${randomUUID()}`, maxWaitTimeInMs: 100 })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const timer = setTimeout(() => reject(new Error(`${left.size} partitions of ${topic} not read`)), timeoutMs)
  try {
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    // On a broker that has just started the coordinator is still loading: kafkajs crashes, and restarts by itself.
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      if (!payload.restart) reject(payload.error)
    })
    const run = consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch: { partition, messages } }) => {
        for (const { offset, value } of messages) {
          if (BigInt(offset) < (next.get(partition) ?? 0n)) continue
          next.set(partition, BigInt(offset) + 1n)
          const type = await registry.fetch(readFrame(value!))
          const record = type.decode(value!, BODY_START, value!.length) as SpanBatch | NodeTraceLog
          if ('spans' in record) for (const { name } of record.spans) spans.add(name)
          else logs.add(String(record.question))
          total += 'spans' in record ? record.spans.length : 1
          if (BigInt(offset) + 1n >= BigInt(left.get(partition) ?? '0')) left.delete(partition)
        }
        if (left.size === 0) resolve()
      },
    })
    run.catch(reject)
    await promise
  } finally {
    clearTimeout(timer)
    await consumer.disconnect()
  }
  return { spans, logs, total }
}
