import { randomUUID } from 'node:crypto'
import type { SeededRandom } from '../../src/audit/seeded-random.ts'
import type { CheckedProducer, OutgoingRecord } from '../../src/kafka/checked-producer.ts'
import type { Group } from './group.ts'
import { isPoison } from './poison.ts'

const RECORDS_A_PARTITION = 80
const READ_MS = 30_000

/** A producer that believes that nothing has arrived: reads the newest records of each partition, and sends them again in random order. */
export async function sendAgain(
  group: Group,
  producer: CheckedProducer,
  random: SeededRandom,
): Promise<number> {
  const records = await newestRecords(group)
  for (let last = records.length - 1; last > 0; last--) {
    const place = random.integer(0, last)
    const swapped = records[last]!
    records[last] = records[place]!
    records[place] = swapped
  }
  for (let start = 0; start < records.length; start += 100)
    await producer.send(group.topic, records.slice(start, start + 100))
  return records.length
}

async function newestRecords({ kafka, topic }: Group): Promise<OutgoingRecord[]> {
  const admin = kafka.admin()
  await admin.connect()
  const offsets = await admin.fetchTopicOffsets(topic).finally(() => admin.disconnect())
  const wanted = new Map<number, { start: number; end: number }>()
  for (const { partition, high, low } of offsets) {
    const end = Number(high)
    const start = Math.max(Number(low), end - RECORDS_A_PARTITION)
    if (start < end) wanted.set(partition, { start, end })
  }
  const records: OutgoingRecord[] = []
  const consumer = kafka.consumer({ groupId: `chaos-again-${randomUUID()}` })
  let timer: NodeJS.Timeout | undefined
  try {
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error('the newest records could not be read')), READ_MS)
      const eachMessage = async ({ partition, message }: { partition: number; message: Message }) => {
        const range = wanted.get(partition)
        const offset = Number(message.offset)
        if (range === undefined || offset < range.start) return
        if (!isPoison(message.headers)) records.push({ key: copy(message.key), value: copy(message.value) })
        if (offset + 1 >= range.end) wanted.delete(partition)
        if (wanted.size === 0) resolve()
      }
      consumer.run({ autoCommit: false, eachMessage }).catch(reject)
      for (const [partition, { start }] of wanted) consumer.seek({ topic, partition, offset: String(start) })
    })
  } finally {
    clearTimeout(timer)
    await consumer.disconnect()
  }
  return records
}

interface Message {
  readonly offset: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers?: Readonly<Record<string, unknown>>
}

function copy(bytes: Buffer | null): Buffer | null {
  return bytes === null ? null : Buffer.from(bytes)
}
