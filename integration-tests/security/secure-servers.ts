import { join } from 'node:path'
import { KafkaServer } from '../../src/local/kafka-server.ts'
import { makeTemporaryFolder } from '../../src/local/local-folders.ts'
import { LOCAL_S3_CREDENTIALS, SeaweedFsServer } from '../../src/local/seaweedfs-server.ts'
import { freshDatabase, freshName } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { Authority } from './certificates.ts'
import { startTlsProxy } from './tls-proxy.ts'

/** Of users; the last has what a careless writer of configuration files trips over. */
export const KAFKA_USER = { name: 'sidereal', password: 'kafka-Pa55 =wo"rd' } as const
export const REGISTRY_USER = { username: 'registry-user', password: 'registry-Pa55:word' } as const
export const CLICKHOUSE_USER = { username: 'clickhouse-user', password: 'clickhouse-Pa55/word' } as const

export type Env = Readonly<Record<string, string>>

/**
 * Every server that Sidereal works with, behind TLS with certificates of an authority of this run: Kafka and SeaweedFS by their own TLS, ClickHouse
 * and the registry by a TLS proxy in front of the real server, since the embedded ClickHouse serves HTTP and native TCP alone.
 */
export async function startSecureServers() {
  const servers = await useServers('registry', 'clickhouse')
  const authority = new Authority()
  const server = authority.issue('server')
  const keyStorePath = server.keyStorePath
  const folder = makeTemporaryFolder('security')
  const options = (name: string) => ({ dataFolder: join(folder, name), logFolder: join(folder, 'logs') })
  const kafka = new KafkaServer({
    ...options('kafka'),
    users: [KAFKA_USER],
    hasAuthorizer: true,
    listeners: [
      { name: 'sasl', protocol: 'SASL_SSL', keyStorePath },
      { name: 'mutual', protocol: 'SSL', keyStorePath, clientCaPath: authority.caPath },
      {
        name: 'expired',
        protocol: 'SASL_SSL',
        keyStorePath: authority.issue('expired', { isExpired: true }).keyStorePath,
      },
      {
        name: 'elsewhere',
        protocol: 'SASL_SSL',
        keyStorePath: authority.issue('elsewhere', { names: 'DNS:kafka.example,IP:127.0.0.9' }).keyStorePath,
      },
    ],
  })
  const s3 = new SeaweedFsServer({ ...options('seaweedfs'), tls: server })
  servers.beforeClose(async () => {
    await Promise.all([kafka.close(), s3.close()])
  })
  await Promise.all([kafka.start(), s3.start()])
  await Promise.all([kafka.ready(), s3.ready()])
  const registryUrl = await startTlsProxy({
    target: servers.registryUrl,
    certificate: server,
    basicAuth: REGISTRY_USER,
  })
  const clickhouseUrl = await startTlsProxy({
    target: servers.clickhouseUrl,
    certificate: server,
    basicAuth: CLICKHOUSE_USER,
    serverAuth: {
      username: servers.env['SIDEREAL_CLICKHOUSE_USERNAME'] ?? 'default',
      password: servers.env['SIDEREAL_CLICKHOUSE_PASSWORD'] ?? '',
    },
  })
  const database = await freshDatabase(servers)

  const env: Env = {
    SIDEREAL_KAFKA_BROKERS: kafka.listenerAddress('sasl'),
    SIDEREAL_KAFKA_TLS: 'true',
    SIDEREAL_KAFKA_TLS_CA: authority.caPath,
    SIDEREAL_KAFKA_SASL_MECHANISM: 'scram-sha-256',
    SIDEREAL_KAFKA_SASL_USERNAME: KAFKA_USER.name,
    SIDEREAL_KAFKA_SASL_PASSWORD: KAFKA_USER.password,
    SIDEREAL_REGISTRY_URL: registryUrl,
    SIDEREAL_REGISTRY_USERNAME: REGISTRY_USER.username,
    SIDEREAL_REGISTRY_PASSWORD: REGISTRY_USER.password,
    SIDEREAL_REGISTRY_TLS_CA: authority.caPath,
    SIDEREAL_CLICKHOUSE_URL: clickhouseUrl,
    SIDEREAL_CLICKHOUSE_USERNAME: CLICKHOUSE_USER.username,
    SIDEREAL_CLICKHOUSE_PASSWORD: CLICKHOUSE_USER.password,
    SIDEREAL_CLICKHOUSE_TLS_CA: authority.caPath,
    SIDEREAL_CLICKHOUSE_DATABASE: database,
    SIDEREAL_OBJECT_STORE: `s3://${freshName('secure')}/traces`,
    SIDEREAL_S3_ENDPOINT: s3.secureAddress,
    SIDEREAL_S3_TLS_CA: authority.caPath,
    AWS_ACCESS_KEY_ID: LOCAL_S3_CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: LOCAL_S3_CREDENTIALS.secretAccessKey,
    AWS_REGION: 'us-east-1',
    SIDEREAL_TOPIC: freshName('traces'),
    SIDEREAL_DEAD_LETTER_TOPIC: freshName('dead-letters'),
    SIDEREAL_TOPIC_PARTITIONS: '2',
    SIDEREAL_GROUP: freshName('group'),
    SIDEREAL_QUIET_MS: '1000',
    SIDEREAL_IDLE_MS: '3000',
    SIDEREAL_SESSION_TIMEOUT_MS: '6000',
    SIDEREAL_HEARTBEAT_MS: '1000',
    SIDEREAL_COMMIT_INTERVAL_MS: '500',
    SIDEREAL_BATCH_MS: '300',
    SIDEREAL_METRICS_PORT: '0',
  }
  return { servers, authority, kafka, s3, env, server }
}

/** The env without these keys. */
export function without(env: Env, ...keys: readonly string[]): Env {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !keys.includes(name)))
}

/** Every secret of the environment in each form in which it could leak. */
export function secretForms(env: Env): string[] {
  const secrets = Object.entries(env)
    .filter(([name, value]) => /PASSWORD|SECRET/.test(name) && value !== '')
    .map(([, value]) => value)
  const pairs = [
    `${REGISTRY_USER.username}:${env['SIDEREAL_REGISTRY_PASSWORD']}`,
    `${CLICKHOUSE_USER.username}:${env['SIDEREAL_CLICKHOUSE_PASSWORD']}`,
    `\0${KAFKA_USER.name}\0${env['SIDEREAL_KAFKA_SASL_PASSWORD']}`,
  ]
  const json = secrets.map((secret) => JSON.stringify(secret).slice(1, -1))
  const encoded = [...secrets, ...pairs].map((text) => Buffer.from(text).toString('base64'))
  return [...secrets, ...json, ...encoded, ...secrets.map(encodeURIComponent)]
}
