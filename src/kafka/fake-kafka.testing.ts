import assert from 'node:assert/strict'
import type { Admin, Message, Producer, ProducerRecord, RecordMetadata } from 'kafkajs'
import { silentLogger } from '../telemetry/logger.ts'
import { CheckedProducer, type CheckedProducerOptions } from './checked-producer.ts'
import { BatchMessage } from './produce-request.ts'
import type { KafkaClients } from './producer-connection.ts'

/**
 * FAKE of kafkajs, for faults that a real broker cannot be made to show: a `send` that resolves although partitions
 * were never sent, and one that rejects although they were. It keeps a log for each partition.
 */
export class FakeKafka implements KafkaClients {
  readonly logs = new Map<number, string[]>()
  readonly requests: Message[][] = []
  readonly inFlight = new Map<number, number>()
  maxInFlight = 0
  /** What becomes of each partition of a request, and whether the reply is lost. */
  behave: (request: number, partition: number) => 'written' | 'dropped' = () => 'written'
  fail: (request: number, messages: readonly Message[]) => { error: Error; isWritten: boolean } | undefined =
    () => undefined
  readonly #partitions: number

  constructor(partitions: number) {
    this.#partitions = partitions
  }

  producer(): Producer {
    const send = (record: ProducerRecord) => this.#send(record)
    return { connect: async () => undefined, disconnect: async () => undefined, send } as unknown as Producer
  }

  admin(): Admin {
    const partitions = Array.from({ length: this.#partitions }, (_, partitionId) => ({
      partitionId,
      leader: 1,
    }))
    const fetchTopicMetadata = async ({ topics }: { topics: string[] }) => ({
      topics: topics.map((name) => ({ name, partitions })),
    })
    return {
      connect: async () => undefined,
      disconnect: async () => undefined,
      fetchTopicMetadata,
    } as unknown as Admin
  }

  async #send({ topic, messages: sent }: ProducerRecord): Promise<RecordMetadata[]> {
    const messages = sent.flatMap(messagesOf)
    const number = this.requests.push(messages)
    const partitions = [...new Set(messages.map(({ partition }) => partition ?? -1))]
    for (const partition of partitions) {
      const count = (this.inFlight.get(partition) ?? 0) + 1
      this.inFlight.set(partition, count)
      this.maxInFlight = Math.max(this.maxInFlight, count)
    }
    // Decided when it comes: a test that mends its cluster meanwhile must not find what it counts as failed written all the same.
    const failure = this.fail(number, messages)
    const written = new Set(partitions.filter((partition) => this.behave(number, partition) === 'written'))
    await new Promise((resolve) => setImmediate(resolve))
    for (const partition of partitions) this.inFlight.set(partition, this.inFlight.get(partition)! - 1)
    if (failure !== undefined && !failure.isWritten) throw failure.error
    const reply: RecordMetadata[] = []
    for (const partition of partitions) {
      if (!written.has(partition)) continue
      const log = this.logs.get(partition) ?? []
      this.logs.set(partition, log)
      reply.push({ topicName: topic, partition, errorCode: 0, baseOffset: String(log.length) })
      for (const message of messages) if (message.partition === partition) log.push(String(message.value))
    }
    if (failure !== undefined) throw failure.error
    return reply
  }
}

function messagesOf(message: Message): Message[] {
  assert.ok(message instanceof BatchMessage)
  return message.records.map(({ key, value }) => ({ key, value, partition: message.partition }))
}

export function openFake(
  kafka: KafkaClients,
  options: Partial<CheckedProducerOptions> = {},
): CheckedProducer {
  return new CheckedProducer({
    kafka,
    brokers: ['fake:1'],
    logger: silentLogger,
    compression: 'none',
    retryPauseMs: 1,
    ...options,
  })
}

export const record = (key: string, value: string) => ({ key: Buffer.from(key), value: Buffer.from(value) })
export const kafkaError = (fields: { name?: string; type?: string; retriable: boolean }) =>
  Object.assign(new Error('fake'), { name: 'KafkaJSProtocolError', ...fields })
