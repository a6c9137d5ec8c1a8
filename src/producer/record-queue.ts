import { context as contextApi, ROOT_CONTEXT } from '@opentelemetry/api'
import { suppressTracing } from '@opentelemetry/core'
import { writeFrameHeader } from '../codec/wire.ts'
import type { OutgoingRecord } from '../kafka/checked-producer.ts'
import { isSiderealError } from '../model/errors.ts'
import type { Logger } from '../telemetry/logger.ts'
import { DeliveryCounts, type DropReason, type ItemStats, type RecordKind } from './delivery-counts.ts'
import { type EncodedRecord, sizeOf } from './encoded-record.ts'
import { type HeldRecord, isInMemoryOnly, SpoolOverflow, type SpoolSettings } from './spool-overflow.ts'
import { WaitingRecords } from './waiting-records.ts'

export interface RecordQueueOptions {
  readonly topic: string
  /** Tells of each record once: its error, or that there is none and Kafka has it. */
  readonly send: (
    topic: string,
    records: readonly OutgoingRecord[],
    onSettled: (index: number, error: unknown) => void,
  ) => void
  /** The id of a kind's newest schema. Rejections are tried again. */
  readonly schemaId: (kind: RecordKind) => Promise<number>
  readonly logger: Logger
  /** What may wait in memory: default 32 MiB, and 65,536 spans and logs. Over it the oldest go, counted. */
  readonly maxBytes?: number
  readonly maxItems?: number
  /** What may be with Kafka at a time. Default 4 MiB. */
  readonly maxInFlightBytes?: number
  /** First pause after a failure; doubles up to 20 times of it. Default 500. */
  readonly retryPauseMs?: number
  /** Where records go while Kafka cannot be reached. Default: they stay in memory. */
  readonly spool?: SpoolSettings | undefined
}

/** A refusal may pass (rights that are being given); a record that stays refused must not stand in the way of all others for ever. */
const MAX_REFUSALS = 5

/**
 * Holds encoded records until Kafka has them. Bounded: when it is full the oldest records that are not on their way are dropped, counted,
 * and reported once a minute. With a spool they go to disk while Kafka cannot be reached, and from there in order. Nothing in here throws
 * at, or waits for, the service.
 */
export class RecordQueue {
  readonly #options: Required<Omit<RecordQueueOptions, 'spool'>>
  readonly #counts: DeliveryCounts
  readonly #overflow: SpoolOverflow | undefined
  readonly #schemaIds = new Map<RecordKind, number>()
  /** Nothing that is done for the service's traces may make traces itself. */
  readonly #context = suppressTracing(ROOT_CONTEXT)
  readonly #waiting = new WaitingRecords<HeldRecord>()
  readonly #inFlight = new Set<HeldRecord>()
  /** Of records that are in memory only. */
  #bytes = 0
  #items = 0
  #inFlightBytes = 0
  #number = 0
  #failures = 0
  #pause: NodeJS.Timeout | undefined
  #isFetchingIds = false
  #isPumpPending = false
  #isClosed = false
  #idle: (() => void)[] = []

  constructor(options: RecordQueueOptions) {
    this.#options = {
      maxBytes: 32 * 1024 * 1024,
      maxItems: 65_536,
      maxInFlightBytes: 4 * 1024 * 1024,
      retryPauseMs: 500,
      ...options,
    }
    this.#counts = new DeliveryCounts(
      options.logger,
      options.topic,
      (kind) => this.#overflow?.items(kind) ?? 0,
    )
    if (options.spool === undefined) return
    this.#overflow = new SpoolOverflow({
      ...options.spool,
      logger: options.logger,
      counts: this.#counts,
      waiting: this.#waiting,
      inFlight: this.#inFlight,
      discharge: (record) => this.#discharge(record),
      onChange: () => {
        this.#dropGone()
        this.#resolveIdle()
        this.#pump()
      },
    })
  }

  stats(kind: RecordKind): ItemStats {
    return this.#counts.stats(kind)
  }

  /** Bytes on disk. */
  get spoolBytes(): number {
    return this.#overflow?.bytes ?? 0
  }

  /** Counts spans or logs that were given to the service's exporter, before they are encoded. */
  accept(kind: RecordKind, items: number): void {
    this.#counts.accept(kind, items)
  }

  add(record: EncodedRecord): void {
    if (this.#isClosed) {
      this.drop(record.kind, record.items, 'shutdown')
      return
    }
    this.#bytes += sizeOf(record)
    this.#items += record.items
    const { kind, sid, framed, items } = record
    const heldSinceMs = performance.now()
    const number = this.#number++
    this.#waiting.add({
      kind,
      sid,
      framed,
      items,
      number,
      heldSinceMs,
      attempts: 0,
      isDone: false,
      segment: undefined,
    })
    // What Kafka can take now must not be dropped.
    if (this.#isOver) this.#pump()
    this.#dropOldest()
    this.#overflow?.write()
    this.#pumpSoon()
  }

  /** Gives up spans or logs that were accepted. */
  drop(kind: RecordKind, items: number, reason: DropReason, cause?: unknown): void {
    this.#counts.drop(kind, items, reason, cause)
  }

  /** Resolves with true when nothing waits any more, in memory or on disk, with false when the time is up. */
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

  /** Puts all that waits into the spool, if there is one, in at most the time given. */
  async park(timeoutMs: number): Promise<void> {
    await this.#overflow?.park(timeoutMs)
  }

  /** Takes nothing more, and gives up what is in memory only; what is with Kafka may still arrive and be counted as sent. */
  close(): void {
    this.#isClosed = true
    clearTimeout(this.#pause)
    this.#giveUpAll()
    this.#counts.reportRest()
    this.#resolveIdle()
  }

  /** Gives the spool back; to be called when nothing is with Kafka any more. */
  async closeSpool(): Promise<void> {
    await this.#overflow?.close()
    // What could not be written at the last moment.
    this.#giveUpAll()
  }

  get #isEmpty(): boolean {
    return this.#waiting.length === 0 && this.#inFlight.size === 0 && this.#overflow?.isBusy !== true
  }

  #remove(record: HeldRecord, reason?: DropReason, cause?: unknown): void {
    record.isDone = true
    this.#discharge(record)
    if (reason === undefined) this.#counts.send(record.kind, record.items)
    else this.drop(record.kind, record.items, reason, cause)
    this.#overflow?.settle(record)
  }

  /** A record that is not in memory only does not count against the limits: it is part of one segment, or on its way. */
  #discharge(record: HeldRecord): void {
    if (!isInMemoryOnly(record)) return
    this.#bytes -= sizeOf(record)
    this.#items -= record.items
  }

  #giveUpAll(): void {
    for (let record = this.#waiting.shift(); record !== undefined; record = this.#waiting.shift())
      this.#giveUp(record)
  }

  #giveUp(record: HeldRecord): void {
    // What is on disk as well stays there for the next process.
    if (record.segment === undefined || record.segment.isDropped) this.#remove(record, 'shutdown')
  }

  #resolveIdle(): void {
    if (!this.#isEmpty) return
    const idle = this.#idle
    this.#idle = []
    for (const resolve of idle) resolve()
  }

  get #isOver(): boolean {
    const { maxBytes, maxItems } = this.#options
    return this.#bytes > maxBytes || this.#items > maxItems
  }

  #dropOldest(): void {
    if (!this.#isOver) return
    this.#waiting.takeReturned((record) => {
      if (!this.#isOver || !isInMemoryOnly(record)) return false
      this.#remove(record, 'queue_full')
      return true
    })
    while (this.#isOver) {
      const oldest = this.#waiting.shiftFresh()
      if (oldest === undefined) break
      this.#remove(oldest, 'queue_full')
    }
    this.#resolveIdle()
  }

  /** Records whose segment was given up for want of space go with it, unless they are on their way. */
  #dropGone(): void {
    for (const record of this.#waiting.takeReturned(({ segment }) => segment?.isDropped === true))
      this.#remove(record, 'spool_full')
  }

  /** Not at once: what is added, or settled, in one turn is sent together. */
  #pumpSoon(): void {
    if (this.#isPumpPending) return
    this.#isPumpPending = true
    queueMicrotask(() => {
      this.#isPumpPending = false
      this.#resolveIdle()
      this.#pump()
    })
  }

  #pump(): void {
    if (this.#pause !== undefined || this.#isClosed) return
    const batch: HeldRecord[] = []
    for (let record = this.#next(); record !== undefined; record = this.#next()) {
      const id = this.#schemaIds.get(record.kind)
      if (id === undefined) {
        this.#fetchIds(record.kind)
        break
      }
      if (this.#inFlight.size > 0 && this.#inFlightBytes + sizeOf(record) > this.#options.maxInFlightBytes)
        break
      this.#waiting.shift()
      this.#inFlight.add(record)
      this.#inFlightBytes += sizeOf(record)
      writeFrameHeader(record.framed, id)
      batch.push(record)
    }
    if (batch.length > 0) this.#send(batch)
  }

  /** What was put back or read is older than what is on disk only, and that is older than what never left memory. */
  #next(): HeldRecord | undefined {
    const returned = this.#waiting.firstReturned
    if (returned !== undefined || this.#overflow === undefined) return returned ?? this.#waiting.firstFresh
    // What Kafka cannot take yet is better left on disk.
    const hasRoom = this.#inFlightBytes < this.#options.maxInFlightBytes / 2
    return this.#overflow.isBehind(hasRoom) ? undefined : this.#waiting.firstFresh
  }

  #send(batch: readonly HeldRecord[]): void {
    const { send, topic } = this.#options
    const outgoing = batch.map(({ sid, framed }) => ({ key: Buffer.from(sid), value: framed }))
    contextApi.with(this.#context, () =>
      send(topic, outgoing, (index, error) => this.#settled(batch[index]!, error)),
    )
  }

  #settled(record: HeldRecord, error: unknown): void {
    this.#leave(record)
    if (error === undefined) {
      this.#failures = 0
      this.#remove(record)
      this.#overflow?.recovered()
    } else {
      this.#failed(record, error)
    }
    this.#pumpSoon()
  }

  #leave(record: HeldRecord): void {
    this.#inFlight.delete(record)
    this.#inFlightBytes -= sizeOf(record)
  }

  #failed(record: HeldRecord, error: unknown): void {
    const isRefused =
      isSiderealError(error, 'SIDEREAL_KAFKA_SEND_FAILED') && ++record.attempts >= MAX_REFUSALS
    let reason: DropReason | undefined
    if (isSiderealError(error, 'SIDEREAL_RECORD_TOO_LARGE')) reason = 'too_large'
    else if (isRefused) reason = 'refused'
    else if (record.segment?.isDropped === true) reason = 'spool_full'
    if (reason !== undefined) {
      this.#remove(record, reason, error)
      return
    }
    if (this.#isClosed) {
      this.#giveUp(record)
      return
    }
    // Back to its place: several come back at once, and the oldest must be the first to go when there is no room.
    this.#waiting.putBack(record)
    this.#dropOldest()
    this.#counts.report('sending to Kafka failed, and will be tried again', { cause: String(error) })
    this.#overflow?.begin()
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

  #fetchIds(kind: RecordKind): void {
    if (this.#isFetchingIds) return
    this.#isFetchingIds = true
    contextApi
      .with(this.#context, () => this.#options.schemaId(kind))
      .then(
        (id) => {
          this.#schemaIds.set(kind, id)
          this.#isFetchingIds = false
          this.#failures = 0
          this.#pump()
        },
        (error: unknown) => {
          this.#isFetchingIds = false
          this.#counts.report('the schema registry does not answer, records wait', { cause: String(error) })
          this.#overflow?.begin()
          this.#wait()
        },
      )
  }
}
