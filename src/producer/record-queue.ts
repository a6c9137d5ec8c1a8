import { context as contextApi, ROOT_CONTEXT } from '@opentelemetry/api'
import { suppressTracing } from '@opentelemetry/core'
import { writeFrameHeader } from '../codec/wire.ts'
import type { OutgoingRecord, SentRecord } from '../kafka/checked-producer.ts'
import { isSiderealError } from '../model/errors.ts'
import type { Logger } from '../telemetry/logger.ts'
import { WaitingRecords } from './waiting-records.ts'

export type RecordKind = 'spans' | 'log'

/** A record that is ready but for its schema id. */
export interface EncodedRecord {
  readonly kind: RecordKind
  readonly sid: string
  /** Framed; the schema id is filled in when it is sent, since the registry may be away when the record is made. */
  readonly framed: Buffer
  /** Spans in it; 1 for a log. */
  readonly items: number
}

/** Why spans or logs were given up. */
export const DROP_REASONS = ['queue_full', 'too_large', 'invalid', 'refused', 'shutdown'] as const
export type DropReason = (typeof DROP_REASONS)[number]

/** Spans or logs since the start: `accepted` = `waiting` + `sent` + all of `dropped`. */
export interface ItemStats {
  readonly accepted: number
  readonly waiting: number
  readonly sent: number
  readonly dropped: Readonly<Record<DropReason, number>>
}

export interface RecordQueueOptions {
  readonly topic: string
  readonly send: (topic: string, records: readonly OutgoingRecord[]) => Promise<SentRecord[]>
  /** The id of a kind's newest schema. Rejections are tried again. */
  readonly schemaId: (kind: RecordKind) => Promise<number>
  readonly logger: Logger
  /** What may wait: default 32 MiB, and 65,536 spans and logs. Over it the oldest go, counted. */
  readonly maxBytes?: number
  readonly maxItems?: number
  /** What may be with Kafka at a time. Default 4 MiB. */
  readonly maxInFlightBytes?: number
  /** First pause after a failure; doubles up to 20 times of it. Default 500. */
  readonly retryPauseMs?: number
}

interface Waiting extends EncodedRecord {
  readonly number: number
  attempts: number
}

interface Counts {
  accepted: number
  sent: number
  readonly dropped: Record<DropReason, number>
}

const RECORD_OVERHEAD_BYTES = 200
const LOG_INTERVAL_MS = 60_000
/** A refusal may pass (rights that are being given); a record that stays refused must not stand in the way of all others for ever. */
const MAX_REFUSALS = 5

/**
 * Holds encoded records until Kafka has them. Bounded: when it is full the oldest records that are not on their way are dropped, counted,
 * and reported once a minute. Nothing in here throws at, or waits for, the service.
 */
export class RecordQueue {
  readonly #options: Required<RecordQueueOptions>
  readonly #counts: Record<RecordKind, Counts> = { spans: newCounts(), log: newCounts() }
  readonly #schemaIds = new Map<RecordKind, number>()
  /** Nothing that is done for the service's traces may make traces itself. */
  readonly #context = suppressTracing(ROOT_CONTEXT)
  readonly #waiting = new WaitingRecords<Waiting>()
  #bytes = 0
  #items = 0
  #inFlight = 0
  #inFlightBytes = 0
  #number = 0
  #failures = 0
  #pause: NodeJS.Timeout | undefined
  #isFetchingIds = false
  #isClosed = false
  #lastLogMs = Number.NEGATIVE_INFINITY
  #idle: (() => void)[] = []

  constructor(options: RecordQueueOptions) {
    this.#options = {
      maxBytes: 32 * 1024 * 1024,
      maxItems: 65_536,
      maxInFlightBytes: 4 * 1024 * 1024,
      retryPauseMs: 500,
      ...options,
    }
  }

  stats(kind: RecordKind): ItemStats {
    const { accepted, sent, dropped } = this.#counts[kind]
    const gone = sent + DROP_REASONS.reduce((sum, reason) => sum + dropped[reason], 0)
    return { accepted, sent, waiting: accepted - gone, dropped: { ...dropped } }
  }

  /** Counts spans or logs that were given to the service's exporter, before they are encoded. */
  accept(kind: RecordKind, items: number): void {
    this.#counts[kind].accepted += items
  }

  add(record: EncodedRecord): void {
    if (this.#isClosed) {
      this.drop(record.kind, record.items, 'shutdown')
      return
    }
    this.#bytes += sizeOf(record)
    this.#items += record.items
    this.#waiting.add({ ...record, number: this.#number++, attempts: 0 })
    this.#dropOldest()
    this.#pump()
  }

  /** Gives up spans or logs that were accepted. */
  drop(kind: RecordKind, items: number, reason: DropReason, cause?: unknown): void {
    this.#counts[kind].dropped[reason] += items
    this.#report('spans or logs were dropped', {
      reason,
      ...(cause === undefined ? {} : { cause: String(cause) }),
    })
  }

  /** Resolves with true when nothing waits any more, with false when the time is up. */
  async drained(timeoutMs: number): Promise<boolean> {
    if (this.#isEmpty) return true
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), timeoutMs)
    })
    const idle = new Promise<boolean>((resolve) => this.#idle.push(() => resolve(true)))
    try {
      return await Promise.race([idle, timeout])
    } finally {
      clearTimeout(timer)
    }
  }

  /** Takes nothing more, and gives up what still waits; what is with Kafka may still arrive and be counted as sent. */
  close(): void {
    this.#isClosed = true
    clearTimeout(this.#pause)
    for (let record = this.#waiting.shift(); record !== undefined; record = this.#waiting.shift())
      this.#remove(record, 'shutdown')
    this.#resolveIdle()
  }

  get #isEmpty(): boolean {
    return this.#waiting.length === 0 && this.#inFlight === 0
  }

  #remove(record: Waiting, reason?: DropReason, cause?: unknown): void {
    this.#bytes -= sizeOf(record)
    this.#items -= record.items
    if (reason === undefined) this.#counts[record.kind].sent += record.items
    else this.drop(record.kind, record.items, reason, cause)
  }

  #resolveIdle(): void {
    if (!this.#isEmpty) return
    const idle = this.#idle
    this.#idle = []
    for (const resolve of idle) resolve()
  }

  #dropOldest(): void {
    const { maxBytes, maxItems } = this.#options
    while (this.#bytes > maxBytes || this.#items > maxItems) {
      const oldest = this.#waiting.shift()
      if (oldest === undefined) return
      this.#remove(oldest, 'queue_full')
      this.#resolveIdle()
    }
  }

  #pump(): void {
    if (this.#pause !== undefined || this.#isClosed) return
    for (let record = this.#waiting.first; record !== undefined; record = this.#waiting.first) {
      const id = this.#schemaIds.get(record.kind)
      if (id === undefined) {
        this.#fetchIds()
        break
      }
      if (this.#inFlight > 0 && this.#inFlightBytes + sizeOf(record) > this.#options.maxInFlightBytes) break
      this.#waiting.shift()
      this.#inFlight++
      this.#inFlightBytes += sizeOf(record)
      writeFrameHeader(record.framed, id)
      const next = record
      contextApi.with(this.#context, () => void this.#send(next))
    }
  }

  async #send(record: Waiting): Promise<void> {
    const { send, topic } = this.#options
    try {
      await send(topic, [{ key: Buffer.from(record.sid), value: record.framed }])
      this.#leave(record)
      this.#failures = 0
      this.#remove(record)
    } catch (error) {
      this.#leave(record)
      this.#failed(record, error)
    }
    this.#resolveIdle()
    this.#pump()
  }

  #leave(record: Waiting): void {
    this.#inFlight--
    this.#inFlightBytes -= sizeOf(record)
  }

  #failed(record: Waiting, error: unknown): void {
    const isRefused =
      isSiderealError(error, 'SIDEREAL_KAFKA_SEND_FAILED') && ++record.attempts >= MAX_REFUSALS
    let reason: DropReason | undefined
    if (isSiderealError(error, 'SIDEREAL_RECORD_TOO_LARGE')) reason = 'too_large'
    else if (isRefused) reason = 'refused'
    else if (this.#isClosed) reason = 'shutdown'
    if (reason !== undefined) {
      this.#remove(record, reason, error)
      return
    }
    // Back to its place: several come back at once, and the oldest must be the first to go when there is no room.
    this.#waiting.putBack(record)
    this.#dropOldest()
    this.#report('sending to Kafka failed, and will be tried again', { cause: String(error) })
    this.#wait()
  }

  #wait(): void {
    if (this.#pause !== undefined || this.#isClosed) return
    const delayMs = this.#options.retryPauseMs * Math.min(2 ** this.#failures++, 20)
    this.#pause = setTimeout(
      () => {
        this.#pause = undefined
        this.#pump()
      },
      delayMs / 2 + Math.random() * (delayMs / 2),
    )
    // A process that wants to end need not wait for us: `shutdown` is for that.
    this.#pause.unref()
  }

  #fetchIds(): void {
    if (this.#isFetchingIds) return
    this.#isFetchingIds = true
    const kinds = [...new Set([...this.#waiting].map(({ kind }) => kind))].filter(
      (kind) => !this.#schemaIds.has(kind),
    )
    const fetched = contextApi.with(this.#context, () =>
      Promise.all(kinds.map(async (kind) => this.#schemaIds.set(kind, await this.#options.schemaId(kind)))),
    )
    fetched.then(
      () => {
        this.#isFetchingIds = false
        this.#failures = 0
        this.#pump()
      },
      (error: unknown) => {
        this.#isFetchingIds = false
        this.#report('the schema registry does not answer, records wait', { cause: String(error) })
        this.#wait()
      },
    )
  }

  /** At most one line a minute; the counters say the rest. */
  #report(message: string, fields: Readonly<Record<string, unknown>>): void {
    const now = performance.now()
    if (now - this.#lastLogMs < LOG_INTERVAL_MS) return
    this.#lastLogMs = now
    this.#options.logger.warn(
      { topic: this.#options.topic, ...fields, spans: this.stats('spans'), logs: this.stats('log') },
      message,
    )
  }
}

function newCounts(): Counts {
  return {
    accepted: 0,
    sent: 0,
    dropped: { queue_full: 0, too_large: 0, invalid: 0, refused: 0, shutdown: 0 },
  }
}

function sizeOf(record: EncodedRecord): number {
  return record.framed.length + RECORD_OVERHEAD_BYTES
}
