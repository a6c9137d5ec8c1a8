import type { IHeaders } from 'kafkajs'
import { SiderealError } from '../model/errors.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { Compression } from './codecs.ts'
import { LaneSender } from './lane-sender.ts'
import type { KafkaClients } from './producer-connection.ts'
import { SendCalls } from './send-calls.ts'
import { type CallEvents, SendCall } from './send-lanes.ts'
import { TopicLanes } from './topic-lanes.ts'

/** One record to send. The partition is Java's choice for the key unless it is given. */
export interface OutgoingRecord {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers?: IHeaders | undefined
  readonly partition?: number | undefined
}

/** Where the broker put a record. */
export interface SentRecord {
  readonly partition: number
  /** Below 2^53. */
  readonly offset: number
}

export interface CheckedProducerOptions {
  /** Of `createKafka`. */
  readonly kafka: KafkaClients
  /** For messages only. */
  readonly brokers: readonly string[]
  readonly logger: Logger
  /** Default `zstd`. */
  readonly compression?: Compression
  /** Whether a send that has not ended keeps the process alive. Default true. Its sockets: see `createKafka`. */
  readonly keepsAlive?: boolean
  /** How long a send may take, retries included. Default 30 s. */
  readonly sendTimeoutMs?: number
  /** Records of one request. Default 1,000. */
  readonly maxRequestRecords?: number
  /** Uncompressed bytes of one request. Default 8 MiB. */
  readonly maxRequestBytes?: number
  /** Uncompressed bytes of one partition's batch, when it is more than one record. Default 900 KB, below the limit of a topic with Kafka's default. */
  readonly maxBatchBytes?: number
  /** Pause before records that a reply lacks are sent again; after failures it doubles, up to ten times of it. Default 100. */
  readonly retryPauseMs?: number
  /** How long a topic's partition count is trusted. Default 60 s. */
  readonly metadataMaxAgeMs?: number
}

/** Counters since the start. */
export interface CheckedProducerStats {
  readonly sentRecords: number
  /** Replies that lacked partitions: kafkajs reported success for records that it had not sent. */
  readonly incompleteReplies: number
  readonly resentRecords: number
  readonly failedRequests: number
}

interface CallOptions {
  readonly timeoutMs?: number
  readonly isAllOrNone: boolean
  readonly events: CallEvents
}

/**
 * Sends records, and believes only what the reply lists.
 *
 * kafkajs's `send` can resolve without having sent every partition (leaders moved, partitions were added). So partitions are explicit, the
 * (topic, partition) pairs of the reply are compared with those sent, and what is missing is sent again before anything newer of
 * that partition. One request a partition is in flight; what waits for a partition travels together in the next request.
 *
 * At least once: after a lost reply a record may be in the log twice. Order of a partition is that of the calls.
 */
export class CheckedProducer {
  readonly #options: Required<CheckedProducerOptions>
  readonly #topics = new Map<string, TopicLanes>()
  readonly #calls: SendCalls
  readonly #sender: LaneSender
  #isClosed = false

  constructor(options: CheckedProducerOptions) {
    this.#options = {
      compression: 'zstd',
      keepsAlive: true,
      sendTimeoutMs: 30_000,
      maxRequestRecords: 1_000,
      maxRequestBytes: 8 * 1024 * 1024,
      maxBatchBytes: 900_000,
      retryPauseMs: 100,
      metadataMaxAgeMs: 60_000,
      ...options,
    }
    this.#sender = new LaneSender(this.#options)
    this.#calls = new SendCalls(
      (topic) => this.#sender.error(topic, topic.lastError ?? new Error('the time for sending is up')),
      this.#options.keepsAlive,
    )
  }

  /** Connects, so that a wrong address shows early. Not needed before `send`, which connects by itself and goes on trying. */
  async start(): Promise<void> {
    await this.#sender.connect()
  }

  get stats(): CheckedProducerStats {
    return this.#sender.stats
  }

  /**
   * Resolves with partition and offset of each record, in order, when all of them are acknowledged by all in-sync replicas.
   * After a rejection any of them may have been written, or may still be. The caller bounds what it has in flight.
   *
   * @throws SiderealError SIDEREAL_KAFKA_UNAVAILABLE (retryable), SIDEREAL_TOPIC_INVALID, SIDEREAL_RECORD_TOO_LARGE, SIDEREAL_KAFKA_SEND_FAILED
   */
  send(
    topic: string,
    records: readonly OutgoingRecord[],
    options: { timeoutMs?: number } = {},
  ): Promise<SentRecord[]> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) {
        reject(closedError())
        return
      }
      const sent = new Array<SentRecord>(records.length)
      const events: CallEvents = {
        acknowledged: (index, partition, offset) => {
          sent[index] = { partition, offset }
        },
        failed: (_index, error) => reject(error),
        ended: () => resolve(sent),
      }
      // Of a call that fails, what has not been sent need not be: the caller will send all of it again.
      this.#call(topic, records, { ...options, isAllOrNone: true, events })
    })
  }

  /**
   * As {@link send}, but each record has a result of its own, and none waits for another: what one call costs is shared by its records. When the time of
   * a record is up, those of later calls behind it on its partition fail with it: sent again in their order, they keep it.
   * @param onSettled is told once of each record: its error, or that there is none and it is written. It must not throw.
   */
  sendEach(
    topic: string,
    records: readonly OutgoingRecord[],
    onSettled: (index: number, error: SiderealError | undefined) => void,
    options: { timeoutMs?: number } = {},
  ): void {
    if (this.#isClosed) {
      const error = closedError()
      setImmediate(() => {
        for (let index = 0; index < records.length; index++) onSettled(index, error)
      })
      return
    }
    const events: CallEvents = {
      acknowledged: (index) => onSettled(index, undefined),
      failed: onSettled,
      ended: () => undefined,
    }
    this.#call(topic, records, { ...options, isAllOrNone: false, events })
  }

  #call(
    topicName: string,
    records: readonly OutgoingRecord[],
    { timeoutMs = this.#options.sendTimeoutMs, isAllOrNone, events }: CallOptions,
  ): void {
    if (records.length === 0) {
      events.ended()
      return
    }
    let topic = this.#topics.get(topicName)
    if (topic === undefined) {
      topic = new TopicLanes(topicName)
      this.#topics.set(topicName, topic)
    }
    const call = new SendCall(records, performance.now() + timeoutMs, isAllOrNone, {
      ...events,
      ended: () => {
        this.#calls.remove(call)
        events.ended()
      },
    })
    this.#calls.add(call, topic)
    topic.add(call)
    if (performance.now() - topic.fetchedAtMs > this.#options.metadataMaxAgeMs)
      void this.#sender.refresh(topic)
    if (topic.isKnown) this.#sender.dispatchSoon(topic)
  }

  /**
   * Waits until every call has been settled (each has its deadline), and disconnects, in at most `timeoutMs`: what has not been settled by then
   * rejects, and a broker that does not answer is not waited for.
   */
  async close(options: { timeoutMs?: number } = {}): Promise<void> {
    const endMs = performance.now() + (options.timeoutMs ?? Number.POSITIVE_INFINITY)
    this.#isClosed = true
    this.#sender.beginClose()
    let timer: NodeJS.Timeout | undefined
    if (options.timeoutMs !== undefined) {
      const error = new SiderealError(
        'SIDEREAL_KAFKA_UNAVAILABLE',
        'the Kafka producer was closed before Kafka answered: send again',
        {
          retryable: true,
        },
      )
      timer = setTimeout(() => {
        this.#calls.failAll(error)
      }, options.timeoutMs)
    }
    await this.#calls.ended()
    clearTimeout(timer)
    await this.#sender.close(Math.max(0, endMs - performance.now()))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

function closedError(): SiderealError {
  return new SiderealError(
    'SIDEREAL_KAFKA_SEND_FAILED',
    'the Kafka producer is closed: send before closing it',
  )
}
