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
  const { url, username, password } = registry
  return username === undefined ? { url } : { url, auth: { username, password: password ?? '' } }
}

export function clickHouseConnection({ clickhouse }: Config) {
  const { url, database, username, password, requestTimeoutMs } = clickhouse
  return {
    url,
    database,
    requestTimeoutMs,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  }
}
