import kafkajs, { type Kafka } from 'kafkajs'
import { kafkaError, kafkaFault, rootKafkaError, unavailableText } from '../../kafka/kafka-error.ts'
import type { Clock } from '../../model/clock.ts'
import { SiderealError } from '../../model/errors.ts'
import { within } from '../../model/within.ts'

const SETTING = 'message.timestamp.type'
const REQUIRED = 'LogAppendTime'

export interface CheckTopicDeps {
  readonly kafka: Kafka
  readonly topic: string
  /** For messages: where the brokers are. */
  readonly brokers: string
  readonly clock: Clock
  readonly timeoutMs: number
}

/**
 * Refuses to start on a topic that cannot be read rightly.
 *
 * @throws SiderealError SIDEREAL_KAFKA_UNAVAILABLE when no broker answers in time, SIDEREAL_TOPIC_INVALID when the topic does not
 * exist or does not carry the broker's append time; each says which, where, and what to try.
 */
export async function checkTopic(deps: CheckTopicDeps): Promise<void> {
  const admin = deps.kafka.admin({ retry: { retries: 2, initialRetryTime: 200, maxRetryTime: 1_000 } })
  const unavailable = (reason: string, cause?: unknown) =>
    new SiderealError('SIDEREAL_KAFKA_UNAVAILABLE', unavailableText(cause, deps.brokers, reason), {
      cause,
      retryable: true,
    })
  const check = async () => {
    await admin.connect()
    await admin.fetchTopicMetadata({ topics: [deps.topic] })
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: deps.topic, configNames: [SETTING] }],
    })
    return resources[0]?.configEntries.find((entry) => entry.configName === SETTING)?.configValue
  }
  let value: string | undefined
  try {
    value = await within(check(), deps.timeoutMs, deps.clock, () =>
      unavailable(`nothing within ${deps.timeoutMs} ms`),
    )
  } catch (cause) {
    if (cause instanceof SiderealError) throw cause
    const reason = String(rootKafkaError(cause).message ?? cause)
    const fault = kafkaFault(cause)
    if (fault === 'topic') {
      throw new SiderealError(
        'SIDEREAL_TOPIC_INVALID',
        `topic ${deps.topic} does not exist at ${deps.brokers}: create it with "sidereal setup", or check SIDEREAL_TOPIC`,
        { cause },
      )
    }
    if (fault === 'unavailable') throw unavailable(reason, cause)
    if (fault === 'authentication') throw kafkaError(cause, { brokers: deps.brokers })
    throw new SiderealError(
      'SIDEREAL_TOPIC_INVALID',
      `topic ${deps.topic} at ${deps.brokers} cannot be examined (${reason}): allow this client to describe it and its configuration`,
      { cause },
    )
  } finally {
    // A connection that hangs must not hold back the answer.
    admin.disconnect().catch(() => undefined)
  }
  if (value !== REQUIRED) {
    throw new SiderealError(
      'SIDEREAL_TOPIC_INVALID',
      `topic ${deps.topic} at ${deps.brokers} has ${SETTING}=${value ?? 'unknown'}, and Sidereal needs ${REQUIRED}: run "sidereal setup", or set it with kafka-configs.sh --alter --topic ${deps.topic} --add-config ${SETTING}=${REQUIRED}`,
    )
  }
}
