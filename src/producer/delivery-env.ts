import { COMPRESSIONS, type Compression } from '../kafka/codecs.ts'
import type { SpoolSettings } from './spool-overflow.ts'

type Env = Readonly<Record<string, string | undefined>>

/** How records are delivered, as far as the environment says. */
export interface DeliverySettings {
  readonly compression?: Compression
  readonly lingerMs?: number
  readonly maxQueueBytes?: number
  readonly spool?: SpoolSettings
}

const DEFAULT_BROKER = '127.0.0.1:9092'

/** Reads `SIDEREAL_PRODUCER_*`. A value that cannot be used is a problem and the default: no service fails for its tracing. */
export function deliveryFromEnv(env: Env, problems: string[]): DeliverySettings {
  const text = (name: string) => env[`SIDEREAL_PRODUCER_${name}`]?.trim() || undefined
  const number = (name: string, least: number): number | undefined => {
    const given = text(name)
    if (given === undefined) return undefined
    const value = Number(given)
    if (Number.isSafeInteger(value) && value >= least) return value
    problems.push(`SIDEREAL_PRODUCER_${name} is not a whole number from ${least} on: the default is used`)
    return undefined
  }
  const given = text('COMPRESSION')
  const compression = COMPRESSIONS.find((one) => one === given)
  if (given !== undefined && compression === undefined)
    problems.push(`SIDEREAL_PRODUCER_COMPRESSION is none of ${COMPRESSIONS.join(', ')}: the default is used`)
  const lingerMs = number('LINGER_MS', 0)
  const maxQueueBytes = number('QUEUE_BYTES', 1)
  const folder = text('SPOOL_DIR')
  const maxBytes = number('SPOOL_MAX_BYTES', 1)
  return {
    ...(compression === undefined ? {} : { compression }),
    ...(lingerMs === undefined ? {} : { lingerMs }),
    ...(maxQueueBytes === undefined ? {} : { maxQueueBytes }),
    ...(folder === undefined ? {} : { spool: { folder, ...(maxBytes === undefined ? {} : { maxBytes }) } }),
  }
}

/** Somebody who sets up TLS or SASL and no broker means another one than the default, which is not to be talked to in plain text. */
export function brokersForSecurity(env: Env, problems: string[]): string | undefined {
  const keys = Object.keys(env).filter((name) => /^SIDEREAL_KAFKA_(TLS|SASL)/.test(name) && env[name]?.trim())
  if (keys.length === 0) return undefined
  problems.push(
    `${keys.join(', ')}: TLS or SASL to Kafka is set, but no broker: set SIDEREAL_KAFKA_BROKERS; until then ${DEFAULT_BROKER} is tried, with these settings`,
  )
  return DEFAULT_BROKER
}
