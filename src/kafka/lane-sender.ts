import type { RecordMetadata } from 'kafkajs'
import type { SiderealError } from '../model/errors.ts'
import type { CheckedProducerOptions, CheckedProducerStats } from './checked-producer.ts'
import { isBrokersAnswer, kafkaError, kafkaFault } from './kafka-error.ts'
import { ProducerConnection } from './producer-connection.ts'
import type { ProduceBatch, TopicLanes } from './topic-lanes.ts'

/** A topic that was created a moment ago is not known to every broker yet. */
const MISSING_TOPIC_ATTEMPTS = 4

/**
 * Empties the lanes of topics into requests, one in flight a partition: compares each reply with what was sent, and decides what is sent again, when, and what
 * has failed. Owns the connection, which is thrown away after a failure.
 */
export class LaneSender {
  readonly #options: Required<CheckedProducerOptions>
  readonly #timers = new Set<NodeJS.Timeout>()
  #connection: ProducerConnection | undefined
  #isClosing = false
  #sentRecords = 0
  #incompleteReplies = 0
  #resentRecords = 0
  #failedRequests = 0

  constructor(options: Required<CheckedProducerOptions>) {
    this.#options = options
  }

  get stats(): CheckedProducerStats {
    return {
      sentRecords: this.#sentRecords,
      incompleteReplies: this.#incompleteReplies,
      resentRecords: this.#resentRecords,
      failedRequests: this.#failedRequests,
    }
  }

  /** @throws SiderealError SIDEREAL_KAFKA_UNAVAILABLE and others of `kafkaError` */
  async connect(): Promise<void> {
    const connection = this.#connect()
    try {
      await connection.connect()
    } catch (error) {
      this.#retire(connection)
      throw kafkaError(error, { brokers: this.#options.brokers.join(',') })
    }
  }

  /** From now on partitions are read only for calls that wait for them. */
  beginClose(): void {
    this.#isClosing = true
  }

  /** Disconnects, in at most so long; to be called when every call has ended. */
  async close(timeoutMs: number): Promise<void> {
    for (const pause of this.#timers) clearTimeout(pause)
    await this.#connection?.close(timeoutMs)
  }

  /** With names of topic and brokers in its message. */
  error(topic: TopicLanes, error: unknown, bytes?: number): SiderealError {
    return kafkaError(error, { topic: topic.name, brokers: this.#options.brokers.join(','), bytes })
  }

  /** Reads partitions and leaders until they are there or nobody waits for them. */
  async refresh(topic: TopicLanes): Promise<void> {
    if (topic.isRefreshing) return
    topic.isRefreshing = true
    for (let attempt = 1; !this.#isClosing || topic.hasWaiting; attempt++) {
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
          topic.failWaiting(this.error(topic, error))
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
      if (!this.#options.keepsAlive) timer.unref()
      this.#timers.add(timer)
    })
  }

  /** Sends what waits, not at once: calls of the same turn share a request. */
  dispatchSoon(topic: TopicLanes): void {
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
      lane.goesAlone = false
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
    void this.refresh(topic)
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
        // kafkajs tells one partition's error and nothing of the others: together they would all fail with it each time, though they were written.
        lane.goesAlone ||= batches.length > 1 && isBrokersAnswer(error)
        lane.putBack(own)
      }
      void this.refresh(topic)
      return this.#backoffMs(failures)
    }
    if (fault === 'topic') topic.forgetLeaders()
    for (const { lane, records: own } of batches) {
      lane.failures = 0
      // Of a topic that is gone and of credentials the next record fails just so, or is there before those that are sent again.
      if (fault !== 'refused' && fault !== 'too-large' && own[0] !== undefined)
        lane.failBehind(own[0].call, this.error(topic, error))
    }
    for (const { call, index, bytes } of records) call.fail(index, this.error(topic, error, bytes))
    return 0
  }

  /** 100, 200, 400, … at most 1,000 ms, each from half to the whole: clients of one broker must not come back in step. */
  #backoffMs(attempt: number): number {
    const full = this.#options.retryPauseMs * Math.min(2 ** (attempt - 1), 10)
    return full / 2 + Math.random() * (full / 2)
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
}
