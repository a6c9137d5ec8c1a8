import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { Kafka, KafkaMessage } from 'kafkajs'
import { kafkaLibraries, silent } from '../../src/local/downloads.ts'

export interface ReadRecord {
  readonly partition: number
  readonly message: KafkaMessage
}

/** Reads a topic from its beginning until `count` records are there, each once: kafkajs begins anew after a crash of its own. */
export async function readTopic(
  kafka: Kafka,
  topic: string,
  count: number,
  timeoutMs = 60_000,
): Promise<ReadRecord[]> {
  const consumer = kafka.consumer({ groupId: `read-${randomUUID()}`, maxWaitTimeInMs: 100 })
  const records = new Map<string, ReadRecord>()
  let timer: NodeJS.Timeout | undefined
  try {
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(
        () => reject(new Error(`${records.size} of ${count} records of ${topic} in ${timeoutMs} ms`)),
        timeoutMs,
      )
      // On a broker that has just started the coordinator is still loading: kafkajs crashes, and restarts by itself.
      consumer.on(consumer.events.CRASH, ({ payload }) => {
        if (!payload.restart) reject(payload.error)
      })
      consumer
        .run({
          autoCommit: false,
          eachBatch: async ({ batch }) => {
            for (const message of batch.messages) {
              records.set(`${batch.partition}/${message.offset}`, { partition: batch.partition, message })
            }
            if (records.size >= count) resolve()
          },
        })
        .catch(reject)
    })
  } finally {
    clearTimeout(timer)
    await consumer.disconnect()
  }
  return [...records.values()]
}

/** All records of a topic that nobody writes to any more. */
export async function readWholeTopic(kafka: Kafka, topic: string): Promise<ReadRecord[]> {
  const admin = kafka.admin()
  await admin.connect()
  const offsets = await admin.fetchTopicOffsets(topic)
  await admin.disconnect()
  return await readTopic(
    kafka,
    topic,
    offsets.reduce((sum, { offset }) => sum + Number(offset), 0),
  )
}

/** Runs a class of Kafka's own jars and gives what it printed. */
export async function runJava(mainClass: string, args: readonly string[], input?: string): Promise<string> {
  const libraries = await kafkaLibraries(silent)
  const java = spawn(
    'java',
    [
      '-Xmx128m',
      '-XX:+UseSerialGC',
      '-XX:TieredStopAtLevel=1',
      '-cp',
      join(libraries, '*'),
      mainClass,
      ...args,
    ],
    {
      stdio: ['pipe', 'pipe', 'pipe'],
    },
  )
  const output: Buffer[] = []
  const errors: Buffer[] = []
  java.stdout.on('data', (chunk: Buffer) => output.push(chunk))
  java.stderr.on('data', (chunk: Buffer) => errors.push(chunk))
  java.stdin.end(input ?? '')
  const code = await new Promise<number | null>((resolve, reject) => {
    java.once('error', reject)
    java.once('close', resolve)
  })
  if (code !== 0)
    throw new Error(`${mainClass} ended with code ${code}: ${Buffer.concat(errors).toString().slice(-2_000)}`)
  return Buffer.concat(output).toString('utf8')
}
