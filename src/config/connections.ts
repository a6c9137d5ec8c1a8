import type { Config } from './config.ts'

/**
 * The settings of each server in the shape that its client takes, so that every command connects alike.
 * Shapes only: the clients themselves lie in `kafka/`, `codec/` and `storage/`.
 */

export function kafkaConnection({ kafka }: Config) {
  const { tlsCaFile: caPath, tlsCertFile: certPath, tlsKeyFile: keyPath, saslMechanism: mechanism } = kafka
  return {
    brokers: kafka.brokers,
    tls: kafka.isTls ? { caPath, certPath, keyPath } : false,
    sasl:
      mechanism === undefined
        ? undefined
        : { mechanism, username: kafka.saslUsername ?? '', password: kafka.saslPassword ?? '' },
  }
}

export function registryConnection({ registry }: Config) {
  const { url, username, password, tlsCaFile: caPath } = registry
  const auth = username === undefined ? {} : { auth: { username, password: password ?? '' } }
  return { url, caPath, ...auth }
}

export function clickHouseConnection({ clickhouse }: Config) {
  const { url, database, username, password, requestTimeoutMs, tlsCaFile: caPath } = clickhouse
  return {
    url,
    caPath,
    database,
    requestTimeoutMs,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  }
}

/** `undefined`: no object store is configured. */
export function objectStoreConnection({ payloads }: Config) {
  const { objectStore: url, s3Endpoint: endpoint, s3TlsCaFile: caPath } = payloads
  return url === undefined ? undefined : { url, endpoint, caPath }
}
