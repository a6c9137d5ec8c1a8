import { COMPRESSIONS, type Compression } from '../kafka/codecs.ts'
import { type Env, isWholeNumber, textOf } from './env-texts.ts'
import type { SpoolSettings } from './spool-overflow.ts'

/** How records are delivered, as far as the environment says. */
export interface DeliverySettings {
  readonly compression?: Compression
  readonly lingerMs?: number
  readonly maxQueueBytes?: number
  readonly spool?: SpoolSettings
}

/** Reads `SIDEREAL_PRODUCER_*`. A value that cannot be used is a problem and the default: no service fails for its tracing. */
export function deliveryFromEnv(env: Env, problems: string[]): DeliverySettings {
  const text = (name: string) => textOf(env, `SIDEREAL_PRODUCER_${name}`)
  const number = (name: string, least: number): number | undefined => {
    const given = text(name)
    if (given === undefined) return undefined
    const value = Number(given)
    if (isWholeNumber(given) && value >= least) return value
    // For the linger time, another variable may say it.
    problems.push(`SIDEREAL_PRODUCER_${name} is not a whole number from ${least} on: it is left out`)
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
  if (folder === undefined && maxBytes !== undefined)
    problems.push('SIDEREAL_PRODUCER_SPOOL_MAX_BYTES does nothing without SIDEREAL_PRODUCER_SPOOL_DIR')
  return {
    ...(compression === undefined ? {} : { compression }),
    ...(lingerMs === undefined ? {} : { lingerMs }),
    ...(maxQueueBytes === undefined ? {} : { maxQueueBytes }),
    ...(folder === undefined ? {} : { spool: { folder, ...(maxBytes === undefined ? {} : { maxBytes }) } }),
  }
}
