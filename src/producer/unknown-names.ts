import { unknownKey } from '../config/nearest-key.ts'
import { type Env, textOf } from './env-texts.ts'

/** What the producer reads; an environment may serve the other parts of Sidereal, too. */
export const PRODUCER_NAMES: readonly string[] = [
  'SIDEREAL_KAFKA_BROKERS',
  'SIDEREAL_KAFKA_SASL_MECHANISM',
  'SIDEREAL_KAFKA_SASL_PASSWORD',
  'SIDEREAL_KAFKA_SASL_USERNAME',
  'SIDEREAL_KAFKA_TLS',
  'SIDEREAL_KAFKA_TLS_CA',
  'SIDEREAL_KAFKA_TLS_CERT',
  'SIDEREAL_KAFKA_TLS_KEY',
  'SIDEREAL_PRODUCER_BAGGAGE_HOSTS_ALLOW',
  'SIDEREAL_PRODUCER_BAGGAGE_HOSTS_DENY',
  'SIDEREAL_PRODUCER_COMPRESSION',
  'SIDEREAL_PRODUCER_IDENTITY_PEERS_ALLOW',
  'SIDEREAL_PRODUCER_IDENTITY_PEERS_DENY',
  'SIDEREAL_PRODUCER_LINGER_MS',
  'SIDEREAL_PRODUCER_PUBLIC_ENDPOINT',
  'SIDEREAL_PRODUCER_QUEUE_BYTES',
  'SIDEREAL_PRODUCER_SPOOL_DIR',
  'SIDEREAL_PRODUCER_SPOOL_MAX_BYTES',
  'SIDEREAL_REGISTRY_PASSWORD',
  'SIDEREAL_REGISTRY_TLS_CA',
  'SIDEREAL_REGISTRY_URL',
  'SIDEREAL_REGISTRY_USERNAME',
  'SIDEREAL_TOPIC',
]

/**
 * Says of each `SIDEREAL_*` variable that nothing in Sidereal reads which one may be meant. The names of the other parts come from their schema, which is
 * loaded only where a variable is not the producer's.
 */
export async function unknownNames(env: Env): Promise<string[]> {
  const known = new Set(PRODUCER_NAMES)
  const others = Object.keys(env).filter(
    (name) => name.startsWith('SIDEREAL_') && !known.has(name) && textOf(env, name) !== undefined,
  )
  if (others.length === 0) return []
  const { knownEnvNames } = await import('../config/config.ts')
  for (const name of knownEnvNames()) known.add(name)
  const candidates = [...known]
  return others.filter((name) => !known.has(name)).map((name) => unknownKey(name, candidates))
}
