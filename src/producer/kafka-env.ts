import type { KafkaConnection } from '../kafka/client.ts'
import { SiderealError } from '../model/errors.ts'
import { booleanOf, type Env, firstSet, listOf, textOf } from './env-texts.ts'

const DEFAULT_BROKER = '127.0.0.1:9092'
const TLS = 'SIDEREAL_KAFKA_TLS'
const MECHANISM = 'SIDEREAL_KAFKA_SASL_MECHANISM'
const CREDENTIALS = ['SIDEREAL_KAFKA_SASL_USERNAME', 'SIDEREAL_KAFKA_SASL_PASSWORD'] as const

/**
 * The connection to Kafka; undefined: nothing is said of it. Whoever sets up TLS or SASL, and makes a mistake in it, is told; he is never answered with
 * a connection in plain text.
 * @throws SiderealError SIDEREAL_CONFIG_INVALID for an unknown SASL mechanism
 */
export function kafkaFromEnv(env: Env, problems: string[]): KafkaConnection | undefined {
  const brokers = brokersOf(env, problems)
  if (brokers === undefined) return undefined
  const connection = { brokers, tls: tlsOf(env, problems) }
  const sasl = saslOf(env, problems)
  return sasl === undefined ? connection : { ...connection, sasl }
}

function brokersOf(env: Env, problems: string[]): string[] | undefined {
  const name = firstSet(env, ['SIDEREAL_KAFKA_BROKERS', 'KAFKA_SERVERS'])
  if (name !== undefined) return listOf(env, name)
  // Another broker is meant than the default, which is not to be talked to in plain text.
  const keys = Object.keys(env).filter((key) => /^SIDEREAL_KAFKA_(TLS|SASL)/.test(key) && env[key]?.trim())
  if (keys.length === 0) return undefined
  problems.push(
    `${keys.join(', ')}: TLS or SASL to Kafka is set, but no broker: set SIDEREAL_KAFKA_BROKERS; until then ${DEFAULT_BROKER} is tried, with these settings`,
  )
  return [DEFAULT_BROKER]
}

function tlsOf(env: Env, problems: string[]): KafkaConnection['tls'] {
  const [caPath, certPath, keyPath] = ['CA', 'CERT', 'KEY'].map((file) => textOf(env, `${TLS}_${file}`))
  const hasFile = [caPath, certPath, keyPath].some((path) => path !== undefined)
  const isSet = textOf(env, TLS) !== undefined
  const isTls = isSet ? booleanOf(env, TLS, problems, true) : hasFile
  if (hasFile && !isSet) problems.push(`${TLS}_* files are set, and ${TLS} is not: TLS is used`)
  if (hasFile && !isTls) problems.push(`${TLS}_* files do nothing, since ${TLS} is false`)
  return isTls ? { caPath, certPath, keyPath } : undefined
}

function saslOf(env: Env, problems: string[]): KafkaConnection['sasl'] {
  const mechanism = textOf(env, MECHANISM)?.toLowerCase()
  const [username, password] = CREDENTIALS
  if (mechanism === undefined) {
    const set = CREDENTIALS.filter((name) => textOf(env, name) !== undefined)
    if (set.length > 0) problems.push(`${set.join(', ')}: nothing is done with it without ${MECHANISM}`)
    return undefined
  }
  if (mechanism !== 'plain' && mechanism !== 'scram-sha-256' && mechanism !== 'scram-sha-512') {
    throw new SiderealError(
      'SIDEREAL_CONFIG_INVALID',
      `${MECHANISM} is none of plain, scram-sha-256, scram-sha-512`,
    )
  }
  const missing = CREDENTIALS.filter((name) => textOf(env, name) === undefined)
  if (missing.length > 0) problems.push(`${MECHANISM} needs ${missing.join(' and ')}`)
  return { mechanism, username: textOf(env, username) ?? '', password: env[password] ?? '' }
}
