import type { IHeaders, RecordMetadata } from 'kafkajs'
import { SiderealError } from '../model/errors.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { Compression } from './codecs.ts'
import { kafkaError, kafkaFault } from './kafka-error.ts'
import { type KafkaClients, ProducerConnection } from './producer-connection.ts'
import { SendCalls } from './send-calls.ts'
import { type CallEvents, SendCall } from './send-lanes.ts'
import { type ProduceBatch, TopicLanes } from './topic-lanes.ts'

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

/** A topic that was created a moment ago is not known to every broker yet. */
const MISSING_TOPIC_ATTEMPTS = 4

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
  readonly #calls = new SendCalls((topic) =>
    this.#error(topic, topic.lastError ?? new Error('the time for sending is up')),
  )
  readonly #timers = new Set<NodeJS.Timeout>()
  #connection: ProducerConnection | undefined
  #isClosed = false
  #sentRecords = 0
  #incompleteReplies = 0
  #resentRecords = 0
  #failedRequests = 0

  constructor(options: CheckedProducerOptions) {
    this.#options = {
      compression: 'zstd',
      sendTimeoutMs: 30_000,
      maxRequestRecords: 1_000,
      maxRequestBytes: 8 * 1024 * 1024,
      maxBatchBytes: 900_000,
      retryPauseMs: 100,
      metadataMaxAgeMs: 60_000,
      ...options,
    }
  }

  /** Connects, so that a wrong address shows early. Not needed before `send`, which connects by itself and goes on trying. */
  async start(): Promise<void> {
    const connection = this.#connect()
    try {
      await connection.connect()
    } catch (error) {
      this.#retire(connection)
      throw kafkaError(error, { brokers: this.#options.brokers.join(',') })
    }
  }

  get stats(): CheckedProducerStats {
    return {
      sentRecords: this.#sentRecords,
      incompleteReplies: this.#incompleteReplies,
      resentRecords: this.#resentRecords,
      failedRequests: this.#failedRequests,
    }
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
   * As {@link send}, but each record has a result of its own, and none waits for another: what one call costs is shared by its records.
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
    if (performance.now() - topic.fetchedAtMs > this.#options.metadataMaxAgeMs) void this.#refresh(topic)
    if (topic.isKnown) this.#dispatchSoon(topic)
  }

  /** Waits until every call has been settled (each has its deadline), but at most `timeoutMs`; the rest rejects. Then disconnects. */
  async close(options: { timeoutMs?: number } = {}): Promise<void> {
    this.#isClosed = true
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
    for (const pause of this.#timers) clearTimeout(pause)
    await this.#connection?.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #connect(): ProducerConnection {
    if (this.#connection === undefined || this.#connection.isRetired) {
      this.#connection = new ProducerConnection(
        this.#options.kafka,
        this.#options.compression,
        this.#options.logger,
      )
    }
    return this.#connection
  }

  #retire(connection: ProducerConnection): void {
    connection.retire()
    if (this.#connection === connection) this.#connection = undefined
  }

  #error(topic: TopicLanes, error: unknown, bytes?: number): SiderealError {
    return kafkaError(error, { topic: topic.name, brokers: this.#options.brokers.join(','), bytes })
  }

  /** Reads partitions and leaders until they are there or nobody waits for them. */
  async #refresh(topic: TopicLanes): Promise<void> {
    if (topic.isRefreshing) return
    topic.isRefreshing = true
    for (let attempt = 1; !this.#isClosed || topic.hasWaiting; attempt++) {
      const connection = this.#connect()
      try {
        const leaders = await connection.leaders(topic.name)
        if (leaders.length > 0) {
          topic.setLeaders(leaders, performance.now())
          break
        }
      } catch (error) {
        topic.lastError = error
        const fault = kafkaFault(error)
        if (fault !== 'topic') this.#retire(connection)
        if (fault === 'topic' ? attempt >= MISSING_TOPIC_ATTEMPTS : fault !== 'unavailable') {
          topic.failWaiting(this.#error(topic, error))
        }
      }
      if (!topic.hasWaiting) break
      await this.#pause(this.#backoffMs(attempt))
    }
    topic.isRefreshing = false
    this.#dispatch(topic)
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#timers.delete(timer)
        resolve()
      }, delayMs)
      this.#timers.add(timer)
    })
  }

  /** Not at once: calls of the same turn share a request. */
  #dispatchSoon(topic: TopicLanes): void {
    if (topic.isDispatchPending) return
    topic.isDispatchPending = true
    setImmediate(() => {
      topic.isDispatchPending = false
      this.#dispatch(topic)
    })
  }

  #dispatch(topic: TopicLanes): void {
    for (const batches of topic.takeRequests(this.#options, performance.now()))
      void this.#request(topic, batches)
  }

  async #request(topic: TopicLanes, batches: readonly ProduceBatch[]): Promise<void> {
    for (const { lane } of batches) lane.isBusy = true
    const connection = this.#connect()
    let pauseMs = 0
    try {
      pauseMs = this.#settle(topic, batches, await connection.produce(topic.name, batches))
    } catch (error) {
      pauseMs = this.#failed(topic, connection, batches, error)
    }
    for (const { lane } of batches) {
      lane.isBusy = false
      lane.notBeforeMs = performance.now() + pauseMs
    }
    if (pauseMs > 0) await this.#pause(pauseMs)
    this.#dispatch(topic)
  }

  /** Acknowledges what the reply lists and puts back what it lacks. Gives the pause before the next request. */
  #settle(topic: TopicLanes, batches: readonly ProduceBatch[], reply: readonly RecordMetadata[]): number {
    const offsets = new Map<number, number>()
    for (const { topicName, partition, errorCode, baseOffset, offset } of reply) {
      const base = baseOffset ?? offset
      if (topicName === topic.name && errorCode === 0 && base !== undefined)
        offsets.set(partition, Number(base))
    }
    let missing = 0
    for (const { lane, partition, records } of batches) {
      const base = offsets.get(partition)
      if (base === undefined) {
        missing += records.length
        lane.putBack(records)
        continue
      }
      lane.failures = 0
      this.#sentRecords += records.length
      records.forEach(({ call, index }, position) => {
        call.acknowledge(index, partition, base + position)
      })
    }
    if (missing === 0) return 0
    this.#incompleteReplies++
    this.#resentRecords += missing
    topic.lastError = new Error('the reply lacked partitions that had been sent')
    this.#options.logger.warn(
      { topic: topic.name, records: missing },
      'a reply of Kafka lacked partitions: sending them again',
    )
    void this.#refresh(topic)
    return this.#options.retryPauseMs
  }

  /** Decides between another attempt and the end of the calls. Gives the pause before the next request. */
  #failed(
    topic: TopicLanes,
    connection: ProducerConnection,
    batches: readonly ProduceBatch[],
    error: unknown,
  ): number {
    this.#failedRequests++
    topic.lastError = error
    const fault = kafkaFault(error)
    const records = batches.flatMap((batch) => batch.records)
    if (fault !== 'topic' && fault !== 'too-large') this.#retire(connection)

    if ((fault === 'too-large' || fault === 'refused') && records.length > 1) {
      // One bad record fails its whole request: each goes alone now, and only the bad ones fail.
      for (const pending of records) pending.isAlone = true
      for (const batch of batches) batch.lane.putBack(batch.records)
      return 0
    }
    const failures = 1 + Math.max(...batches.map(({ lane }) => lane.failures))
    if (fault === 'unavailable' || (fault === 'topic' && failures < MISSING_TOPIC_ATTEMPTS)) {
      this.#resentRecords += records.length
      for (const { lane, records: own } of batches) {
        lane.failures = failures
        lane.putBack(own)
      }
      void this.#refresh(topic)
      return this.#backoffMs(failures)
    }
    if (fault === 'topic') topic.forgetLeaders()
    for (const { lane } of batches) lane.failures = 0
    for (const { call, index, bytes } of records) call.fail(index, this.#error(topic, error, bytes))
    return 0
  }

  /** 100, 200, 400, … at most 1,000 ms, each from half to the whole: clients of one broker must not come back in step. */
  #backoffMs(attempt: number): number {
    const full = this.#options.retryPauseMs * Math.min(2 ** (attempt - 1), 10)
    return full / 2 + Math.random() * (full / 2)
  }
}

function closedError(): SiderealError {
  return new SiderealError(
    'SIDEREAL_KAFKA_SEND_FAILED',
    'the Kafka producer is closed: send before closing it',
  )
}
