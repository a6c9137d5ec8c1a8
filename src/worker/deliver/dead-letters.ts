import { createHash } from 'node:crypto'
import type { Clock } from '../../model/clock.ts'
import {
  appendHeader,
  copyHeaders,
  DEAD_LETTER_HEADERS,
  type DeadLetter,
  type DeadLetterQueue,
  headerBytes,
  type OutgoingHeaders,
} from '../../model/dead-letter.ts'
import { isSiderealError } from '../../model/errors.ts'
import { asError, type Backoff, backoffMs, errorCode, pause } from '../../model/retry.ts'
import type { WorkerCounters } from '../../telemetry/counters.ts'
import { type Logger, RepeatedWarnings } from '../../telemetry/logger.ts'

export interface DeadLetterRecord {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: OutgoingHeaders
}

/** The part of the checked producer that dead letters need. */
export interface DeadLetterProducer {
  send(topic: string, records: readonly DeadLetterRecord[]): Promise<unknown>
}

export interface DeadLettersOptions {
  readonly producer: DeadLetterProducer
  readonly topic: string
  /** For the headers: who could not process the record. */
  readonly connectorName: string
  readonly taskId: string
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  readonly counters: WorkerCounters
  /** Letters waiting for an acknowledgement. Default 1,000. */
  readonly maxRecords?: number
  /** Their bytes; a single letter may be larger. Default 16 MiB. */
  readonly maxBytes?: number
  readonly backoff?: Backoff
}

interface Waiting {
  readonly letter: DeadLetter
  readonly record: DeadLetterRecord
  readonly bytes: number
}

const BATCH_RECORDS = 100
const BATCH_BYTES = 4 * 1024 * 1024
const MAX_MESSAGE_CHARACTERS = 2_000
const MAX_STACK_CHARACTERS = 4_000

/**
 * The queue in front of the dead-letter topic. A letter counts as stored when the topic has acknowledged it; until then it is
 * tried for ever. When the topic is away the queue fills up, `offer` says so, and the partition waits: nothing is dropped.
 * The one thing that may be left out is a value over the limit of the topic: the letter then says its size and sha256.
 */
export class DeadLetters implements DeadLetterQueue {
  readonly #options: DeadLettersOptions
  readonly #maxRecords: number
  readonly #maxBytes: number
  readonly #warnings: RepeatedWarnings
  readonly #closing = new AbortController()
  #waiting: Waiting[] = []
  #bytes = 0
  #wantRoom: (() => void)[] = []
  #wantEmpty: (() => void)[] = []
  #isSending = false

  constructor(options: DeadLettersOptions) {
    this.#options = options
    this.#maxRecords = options.maxRecords ?? 1_000
    this.#maxBytes = options.maxBytes ?? 16 * 1024 * 1024
    this.#warnings = new RepeatedWarnings(options.logger, options.clock)
  }

  get queuedRecords(): number {
    return this.#waiting.length
  }

  get queuedBytes(): number {
    return this.#bytes
  }

  offer(letter: DeadLetter): boolean {
    const bytes = (letter.key?.length ?? 0) + (letter.value?.length ?? 0) + headerBytes(letter.headers)
    const isFull =
      this.#waiting.length >= this.#maxRecords ||
      (this.#waiting.length > 0 && this.#bytes + bytes > this.#maxBytes)
    if (isFull || this.#closing.signal.aborted) return false
    this.#waiting.push({ letter, record: this.#recordOf(letter), bytes })
    this.#bytes += bytes
    this.#warnings.warn(
      letter.reason,
      {
        reason: letter.reason,
        topic: letter.topic,
        partition: letter.partition,
        offset: letter.offset,
        error: letter.error.message,
      },
      'record goes to the dead-letter topic',
    )
    if (!this.#isSending) {
      this.#isSending = true
      // Not at once: what one fetch brings travels together.
      queueMicrotask(() => void this.#sendAll())
    }
    return true
  }

  whenRoom(callback: () => void): void {
    this.#wantRoom.push(callback)
  }

  /** Resolves when nothing waits any more, or after {@link close}. */
  drained(): Promise<void> {
    if (this.#waiting.length === 0 || this.#closing.signal.aborted) return Promise.resolve()
    return new Promise((resolve) => this.#wantEmpty.push(resolve))
  }

  /** Stops trying. What waits is not settled: another worker reads and sends it again. */
  close(): void {
    this.#closing.abort()
    this.#callAll(this.#wantEmpty)
  }

  async #sendAll(): Promise<void> {
    const signal = this.#closing.signal
    for (let failures = 0; this.#waiting.length > 0 && !signal.aborted; ) {
      const batch = this.#nextBatch()
      try {
        const wanted = batch.filter(({ letter }) => letter.isWanted())
        if (wanted.length > 0) await this.#send(wanted)
        failures = 0
        this.#remove(batch)
      } catch (error) {
        failures += 1
        this.#warnings.warn(
          'dead-letter-topic',
          {
            topic: this.#options.topic,
            code: errorCode(error),
            error: asError(error),
            waiting: this.#waiting.length,
          },
          'dead letters cannot be stored: they wait, and their partitions with them',
        )
        await pause(
          this.#options.clock,
          backoffMs(failures, this.#options.random, this.#options.backoff),
          signal,
        )
      }
    }
    this.#isSending = false
  }

  async #send(batch: readonly Waiting[]): Promise<void> {
    const { producer, topic } = this.#options
    try {
      await producer.send(
        topic,
        batch.map(({ record }) => record),
      )
    } catch (error) {
      if (!isSiderealError(error, 'SIDEREAL_RECORD_TOO_LARGE')) throw error
      // One by one: the others may be stored twice, which readers of dead letters expect.
      for (const waiting of batch) await this.#sendAlone(waiting)
    }
    for (const { letter } of batch) {
      this.#options.counters.deadLetters[letter.reason] += 1
      letter.onStored()
    }
  }

  async #sendAlone({ letter, record }: Waiting): Promise<void> {
    const { producer, topic, counters, logger } = this.#options
    try {
      await producer.send(topic, [record])
    } catch (error) {
      const value = record.value
      if (!isSiderealError(error, 'SIDEREAL_RECORD_TOO_LARGE') || value === null) throw error
      const headers = copyHeaders(record.headers)
      appendHeader(headers, DEAD_LETTER_HEADERS.omittedValueBytes, String(value.length))
      const sha256 = createHash('sha256').update(value).digest('hex')
      appendHeader(headers, DEAD_LETTER_HEADERS.omittedValueSha256, sha256)
      await producer.send(topic, [{ key: record.key, value: null, headers }])
      counters.deadLetterValuesOmitted += 1
      logger.error(
        { topic: letter.topic, partition: letter.partition, offset: letter.offset, size: value.length },
        'the dead-letter topic does not take a value of that size: its letter has size and sha256 only; raise max.message.bytes of that topic and copy the record while the input topic still has it',
      )
    }
  }

  #nextBatch(): Waiting[] {
    let count = 0
    let bytes = 0
    for (const waiting of this.#waiting) {
      if (count > 0 && (count === BATCH_RECORDS || bytes + waiting.bytes > BATCH_BYTES)) break
      count += 1
      bytes += waiting.bytes
    }
    return this.#waiting.slice(0, count)
  }

  #remove(batch: readonly Waiting[]): void {
    this.#waiting = this.#waiting.slice(batch.length)
    for (const { bytes } of batch) this.#bytes -= bytes
    this.#callAll(this.#wantRoom)
    if (this.#waiting.length === 0) this.#callAll(this.#wantEmpty)
  }

  #callAll(callbacks: (() => void)[]): void {
    for (const callback of callbacks.splice(0)) callback()
  }

  /** The record as it goes out: key, value and headers of the original, copied, and what says where it came from and why. */
  #recordOf(letter: DeadLetter): DeadLetterRecord {
    const { connectorName, taskId, clock } = this.#options
    const names = DEAD_LETTER_HEADERS
    const error = letter.error
    const headers = copyHeaders(letter.headers)
    const add = (name: string, text: string): void => appendHeader(headers, name, text)
    add(names.topic, letter.topic)
    add(names.partition, String(letter.partition))
    add(names.offset, String(letter.offset))
    add(names.connectorName, connectorName)
    add(names.taskId, taskId)
    add(names.stage, letter.stage)
    add(names.className, 'sidereal.Worker')
    add(names.exceptionClassName, isSiderealError(error) ? error.code : error.name)
    add(names.exceptionMessage, error.message.slice(0, MAX_MESSAGE_CHARACTERS))
    add(names.exceptionStacktrace, (error.stack ?? '').slice(0, MAX_STACK_CHARACTERS))
    add(names.reason, letter.reason)
    // Always there, like the others: so that a reader knows which values are the letter's and which the record's own.
    add(names.schemaId, letter.schemaId === null ? '' : String(letter.schemaId))
    add(names.firstFailureMs, String(clock.nowMs()))
    add(names.appendTimeMs, String(letter.appendTimeMs))
    return {
      key: letter.key === null ? null : Buffer.from(letter.key),
      value: letter.value === null ? null : Buffer.from(letter.value),
      headers,
    }
  }
}
