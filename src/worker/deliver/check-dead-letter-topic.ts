import type { Kafka } from 'kafkajs'
import { kafkaError } from '../../kafka/kafka-error.ts'

/**
 * Rejects when the dead-letter topic is not there: a worker without it would stand still at the first bad record.
 *
 * @throws SiderealError SIDEREAL_KAFKA_UNAVAILABLE or SIDEREAL_TOPIC_INVALID
 */
export async function checkDeadLetterTopic(kafka: Kafka, topic: string, brokers: string): Promise<void> {
  const admin = kafka.admin({ retry: { retries: 2, initialRetryTime: 200, maxRetryTime: 1_000 } })
  try {
    await admin.connect()
    await admin.fetchTopicMetadata({ topics: [topic] })
  } catch (error) {
    throw kafkaError(error, { topic, brokers })
  } finally {
    // A connection that hangs must not hold back the answer, and its end changes nothing.
    admin.disconnect().catch(() => undefined)
  }
}
