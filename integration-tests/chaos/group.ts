import type { Admin, Kafka } from 'kafkajs'
import { createKafka } from '../../src/kafka/client.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'

const GROUP_OFFSETS = '__consumer_offsets'

export interface GroupOptions {
  readonly brokers: readonly string[]
  readonly topic: string
  readonly deadLetterTopic: string
  readonly groupId: string
}

/** What the brokers know of the group, asked past the doors. */
export class Group {
  readonly #options: GroupOptions
  readonly #kafka: Kafka
  readonly #admin: Admin

  constructor(options: GroupOptions) {
    this.#options = options
    this.#kafka = createKafka(
      { brokers: options.brokers },
      {
        clientId: 'chaos',
        logger: silentLogger,
        connectionTimeoutMs: 1_000,
        requestTimeoutMs: 5_000,
        retry: { retries: 2 },
      },
    )
    this.#admin = this.#kafka.admin()
  }

  get kafka(): Kafka {
    return this.#kafka
  }

  get topic(): string {
    return this.#options.topic
  }

  async connect(): Promise<void> {
    await this.#admin.connect()
  }

  async close(): Promise<void> {
    await this.#admin.disconnect()
  }

  /** Records that are in the topic, and those of them below no committed offset. Rejects while brokers are away. */
  async lag(): Promise<{ end: number; lag: number }> {
    const { topic, groupId } = this.#options
    const ends = await this.#admin.fetchTopicOffsets(topic)
    const [committed] = await this.#admin.fetchOffsets({ groupId, topics: [topic] })
    let end = 0
    let lag = 0
    for (const { partition, high, low } of ends) {
      const row = committed?.partitions.find((one) => one.partition === partition)
      end += Number(high)
      lag += Number(high) - Math.max(Number(row?.offset ?? -1), Number(low))
    }
    return { end, lag }
  }

  /** Place of the group's coordinator among the brokers, from 0. */
  async coordinator(): Promise<number> {
    const { topics } = await this.#admin.fetchTopicMetadata({ topics: [GROUP_OFFSETS] })
    const partitions = topics[0]?.partitions ?? []
    const wanted = Math.abs(javaHash(this.#options.groupId)) % partitions.length
    return (partitions.find(({ partitionId }) => partitionId === wanted)?.leader ?? 1) - 1
  }

  /** Whether every partition of ours and of the group's offsets has all its replicas in sync. */
  async isWhole(): Promise<boolean> {
    const { topic, deadLetterTopic } = this.#options
    try {
      const { topics } = await this.#admin.fetchTopicMetadata({
        topics: [topic, deadLetterTopic, GROUP_OFFSETS],
      })
      return topics.every(({ partitions }) =>
        partitions.every(({ isr, replicas }) => isr.length === replicas.length),
      )
    } catch {
      // A broker is away: that is a no.
      return false
    }
  }

  async setDeadLetterLimit(bytes: number): Promise<void> {
    await this.#admin.alterConfigs({
      validateOnly: false,
      resources: [
        {
          type: 2,
          name: this.#options.deadLetterTopic,
          configEntries: [
            { name: 'message.timestamp.type', value: 'LogAppendTime' },
            { name: 'max.message.bytes', value: String(bytes) },
            { name: 'min.insync.replicas', value: '2' },
          ],
        },
      ],
    })
  }
}

/** `String.hashCode`: by it the broker chooses the partition of a group's offsets. */
function javaHash(text: string): number {
  let hash = 0
  for (const unit of text) hash = (Math.imul(31, hash) + unit.charCodeAt(0)) | 0
  return hash
}
