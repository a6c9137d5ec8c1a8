import { connect as connectTcp, isIP, type OnReadOpts, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import {
  type ISocketFactory,
  Kafka,
  type KafkaConfig,
  logLevel,
  type RetryOptions,
  type SASLOptions,
} from 'kafkajs'
import { readPemFile } from '../codec/pem-file.ts'
import { SiderealError } from '../model/errors.ts'
import type { Logger } from '../telemetry/logger.ts'
import { registerCodecs } from './codecs.ts'
import { patchClockSteps } from './kafkajs-clock.ts'
import { forwardKafkajsLogs } from './kafkajs-log.ts'
import { patchSilentConnections, patchTimerSpin } from './kafkajs-patch.ts'
import { patchRecords } from './kafkajs-records.ts'
import { patchResponses } from './kafkajs-responses.ts'

/** Paths of PEM files. `true` in its place: TLS with the certificate authorities that come with Node.js. */
export interface KafkaTls {
  readonly caPath?: string | undefined
  /** Client certificate and its key: both or none. */
  readonly certPath?: string | undefined
  readonly keyPath?: string | undefined
  /** Name to verify when the broker is reached by another one. */
  readonly serverName?: string | undefined
}

export interface KafkaSasl {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
  readonly username: string
  readonly password: string
}

/** Where the brokers are and how to talk to them. */
export interface KafkaConnection {
  /** `host:port` each. */
  readonly brokers: readonly string[]
  readonly tls?: boolean | KafkaTls | undefined
  readonly sasl?: KafkaSasl | undefined
}

export interface KafkaClientOptions {
  readonly clientId: string
  readonly logger: Logger
  /** Milliseconds; kafkajs's own 1 s is too short for TLS and for a WAN. */
  readonly connectionTimeoutMs?: number
  readonly requestTimeoutMs?: number
  readonly retry?: RetryOptions
  /** Whether open connections keep the process alive. Default true. */
  readonly keepsAlive?: boolean
  /**
   * Whether it reads records. Default true. False in a process of somebody else's: the records that kafkajs gives to all consumers of a process are
   * otherwise ours, whose fields `{ ...message }` does not find.
   */
  readonly fetches?: boolean
}

/** Few and short: only the end of the retries makes kafkajs look for a new coordinator when the old one is dead. */
const RETRY: RetryOptions = { initialRetryTime: 100, multiplier: 2, maxRetryTime: 1000, retries: 8 }

/**
 * A kafkajs client with all four compression codecs, the timeouts and retries that came through broker failures, its log lines sent to
 * `logger`, and what is mended in kafkajs. Opens no connection yet. Use one per consumer: two consumers of one client share a map of offsets.
 *
 * @throws SiderealError SIDEREAL_CONFIG_INVALID when there is no broker, or a certificate file cannot be read
 */
export function createKafka(connection: KafkaConnection, options: KafkaClientOptions): Kafka {
  if (connection.brokers.length === 0) {
    throw new SiderealError(
      'SIDEREAL_CONFIG_INVALID',
      'no Kafka broker is configured: set SIDEREAL_KAFKA_BROKERS to host:port[,host:port]',
    )
  }
  registerCodecs()
  const patches = [patchTimerSpin, patchSilentConnections, patchResponses, patchClockSteps]
  if (options.fetches !== false) patches.push(patchRecords)
  if (!patches.map((patch) => patch()).every(Boolean)) {
    options.logger.warn(
      { source: 'kafkajs' },
      'kafkajs has another version than expected: what Sidereal mends in it is left as it is',
    )
  }
  // We pass our own partitioner; the line would only confuse the user of a service.
  process.env['KAFKAJS_NO_PARTITIONER_WARNING'] ??= '1'
  const config: KafkaConfig = {
    clientId: options.clientId,
    brokers: [...connection.brokers],
    connectionTimeout: options.connectionTimeoutMs ?? 10_000,
    authenticationTimeout: options.connectionTimeoutMs ?? 10_000,
    requestTimeout: options.requestTimeoutMs ?? 30_000,
    retry: { ...RETRY, ...options.retry },
    socketFactory: options.keepsAlive === false ? unrefdSocket : socketFactory,
    logLevel: logLevel.INFO,
    logCreator: forwardKafkajsLogs(options.logger),
  }
  const ssl = tlsOptions(connection.tls)
  if (ssl !== undefined) config.ssl = ssl
  if (connection.sasl !== undefined) config.sasl = saslOptions(connection.sasl)
  return new Kafka(config)
}

const READ_BYTES = 64 * 1024

/** As kafkajs's own, plus no delay: Nagle's algorithm holds a request back while the one before is unanswered. */
const socketFactory: ISocketFactory = ({ host, port, ssl, onConnect }) => {
  const onread = readInto(() => socket)
  const socket: Socket = ssl
    ? connectTls(
        { host, port, ...(isIP(host) === 0 ? { servername: host } : {}), ...ssl, ...onread },
        onConnect,
      )
    : connectTcp({ host, port, ...onread }, onConnect)
  socket.setNoDelay(true)
  socket.setKeepAlive(true, 30_000)
  return socket
}

/** A process that has nothing else to do ends. */
const unrefdSocket: ISocketFactory = (options) => socketFactory(options).unref()

/**
 * One piece of memory for all that a socket reads: Node takes a new one for each 64 KB otherwise. {@link patchResponses} copies what it
 * is given before it returns; without it, kafkajs keeps the pieces.
 */
function readInto(socket: () => Socket): { onread?: OnReadOpts } {
  if (!patchResponses()) return {}
  return {
    onread: {
      buffer: Buffer.allocUnsafeSlow(READ_BYTES),
      callback: (bytes, buffer) => {
        socket().emit('data', Buffer.from(buffer.buffer, buffer.byteOffset, bytes))
        return true
      },
    },
  }
}

/** kafkajs wants a union of one literal mechanism each. */
function saslOptions({ mechanism, username, password }: KafkaSasl): SASLOptions {
  if (mechanism === 'plain') return { mechanism, username, password }
  if (mechanism === 'scram-sha-256') return { mechanism, username, password }
  return { mechanism, username, password }
}

function tlsOptions(tls: boolean | KafkaTls | undefined): ConnectionOptions | boolean | undefined {
  if (tls === undefined || tls === false) return undefined
  if (tls === true) return true
  const { caPath, certPath, keyPath, serverName } = tls
  if ((certPath === undefined) !== (keyPath === undefined)) {
    throw new SiderealError(
      'SIDEREAL_CONFIG_INVALID',
      'Kafka TLS: a client certificate needs both its file and the file of its key',
    )
  }
  return {
    ...(caPath === undefined ? {} : { ca: [readPemFile(caPath, 'SIDEREAL_KAFKA_TLS_CA')] }),
    ...(certPath === undefined ? {} : { cert: readPemFile(certPath, 'SIDEREAL_KAFKA_TLS_CERT') }),
    ...(keyPath === undefined ? {} : { key: readPemFile(keyPath, 'SIDEREAL_KAFKA_TLS_KEY') }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  }
}
