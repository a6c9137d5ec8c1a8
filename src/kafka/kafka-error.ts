import { SiderealError } from '../model/errors.ts'
import { type TlsKeys, tlsFault } from '../model/tls-fault.ts'

/** For messages about TLS to the brokers. */
const KAFKA_TLS_KEYS: TlsKeys = {
  ca: 'SIDEREAL_KAFKA_TLS_CA',
  plain: 'set SIDEREAL_KAFKA_TLS=false',
  client: 'SIDEREAL_KAFKA_TLS_CERT and SIDEREAL_KAFKA_TLS_KEY',
}

/** What is wrong, by what a caller can do about it. */
export type KafkaFault =
  | 'too-large'
  | 'topic'
  | 'refused'
  | 'authentication'
  | 'authorization'
  | 'unavailable'

const UNAVAILABLE_NAMES = new Set([
  'KafkaJSConnectionError',
  'KafkaJSConnectionClosedError',
  'KafkaJSRequestTimeoutError',
  'KafkaJSBrokerNotFound',
  'KafkaJSNoBrokerAvailableError',
  'KafkaJSLockTimeout',
  'KafkaJSMetadataNotLoaded',
  'KafkaJSTopicMetadataNotLoaded',
])

interface KafkaErrorLike {
  readonly name?: unknown
  readonly message?: unknown
  readonly type?: unknown
  readonly retriable?: unknown
  readonly cause?: unknown
}

/** The error at the bottom: kafkajs wraps what it gave up on. */
export function rootKafkaError(error: unknown): KafkaErrorLike {
  let current = error
  for (let depth = 0; depth < 8; depth++) {
    if (typeof current !== 'object' || current === null) break
    const cause = (current as KafkaErrorLike).cause
    if (typeof cause !== 'object' || cause === null) break
    current = cause
  }
  return typeof current === 'object' && current !== null ? current : { message: String(current) }
}

export function kafkaFault(error: unknown): KafkaFault {
  const { name, type, retriable } = rootKafkaError(error)
  if (type === 'MESSAGE_TOO_LARGE' || type === 'RECORD_LIST_TOO_LARGE') return 'too-large'
  if (type === 'UNKNOWN_TOPIC_OR_PARTITION' || type === 'INVALID_TOPIC_EXCEPTION') return 'topic'
  if (name === 'KafkaJSSASLAuthenticationError') return 'authentication'
  if (typeof type === 'string' && type.endsWith('_AUTHORIZATION_FAILED')) return 'authorization'
  if (typeof name === 'string' && UNAVAILABLE_NAMES.has(name)) return 'unavailable'
  // Protocol errors know. What kafkajs throws by mistake (a TypeError on half-loaded metadata) passes with a fresh client.
  return type !== undefined && retriable === false ? 'refused' : 'unavailable'
}

/** True for what a broker has answered, false when there was no answer, or none that could be read. */
export function isBrokersAnswer(error: unknown): boolean {
  return rootKafkaError(error).type !== undefined
}

/** The SiderealError for a failed call to Kafka, with the next step in its message. */
export function kafkaError(
  error: unknown,
  where: { brokers: string; topic?: string; bytes?: number | undefined },
): SiderealError {
  const reason = String(rootKafkaError(error).message ?? error)
  const { topic = 'any', brokers } = where
  switch (kafkaFault(error)) {
    case 'too-large':
      return new SiderealError(
        'SIDEREAL_RECORD_TOO_LARGE',
        `a record of ${where.bytes ?? 'unknown'} bytes is over the limit of topic ${topic}: raise max.message.bytes of the topic, or send less in one record`,
        { cause: error },
      )
    case 'topic':
      return new SiderealError(
        'SIDEREAL_TOPIC_INVALID',
        `topic ${topic} does not exist at ${brokers}: create it with "sidereal setup", or check its name`,
        {
          cause: error,
        },
      )
    case 'authentication':
      return new SiderealError(
        'SIDEREAL_KAFKA_UNAVAILABLE',
        `the brokers ${brokers} refuse the credentials (${reason}): check SIDEREAL_KAFKA_SASL_MECHANISM, SIDEREAL_KAFKA_SASL_USERNAME and SIDEREAL_KAFKA_SASL_PASSWORD`,
        {
          cause: error,
        },
      )
    case 'authorization':
      return new SiderealError(
        'SIDEREAL_KAFKA_UNAVAILABLE',
        `the brokers ${brokers} do not allow this client what it asks for topic ${topic} (${reason}): give its user the rights on the topics and groups that it uses`,
        { cause: error },
      )
    case 'refused':
      return new SiderealError(
        'SIDEREAL_KAFKA_SEND_FAILED',
        `topic ${topic} refuses a record (${reason}): check the settings of the topic`,
        {
          cause: error,
        },
      )
    case 'unavailable':
      return new SiderealError(
        'SIDEREAL_KAFKA_UNAVAILABLE',
        unavailableText(error, brokers, topic === 'any' ? reason : `for topic ${topic}: ${reason}`),
        { cause: error, retryable: true },
      )
  }
}

/** What to say of brokers that cannot be talked to, with what to try; the text names the reason where it is one of TLS. */
export function unavailableText(error: unknown, brokers: string, reason: string): string {
  const fault = tlsFault(error, KAFKA_TLS_KEYS)
  return fault === undefined
    ? `Kafka at ${brokers} does not answer (${reason}): ${UNAVAILABLE_ADVICE}`
    : `Kafka at ${brokers} cannot be reached over TLS: ${fault}`
}

/** A broker does not answer either when its port wants TLS or SASL and the client does not offer it: it hangs up, or waits for ever. */
export const UNAVAILABLE_ADVICE =
  'check SIDEREAL_KAFKA_BROKERS, that the brokers run, that they can be reached from here, and whether this port wants TLS or SASL (SIDEREAL_KAFKA_TLS, SIDEREAL_KAFKA_SASL_MECHANISM)'
