import { AsyncResource } from 'node:async_hooks'
import { context as contextApi, ROOT_CONTEXT } from '@opentelemetry/api'
import { suppressTracing } from '@opentelemetry/core'
import { writeFrameHeader } from '../codec/wire.ts'
import type { OutgoingRecord } from '../kafka/checked-producer.ts'
import { isSiderealError } from '../model/errors.ts'
import type { Logger } from '../telemetry/logger.ts'
import {
  DeliveryCounts,
  type DropReason,
  type ItemStats,
  type ItemsByKind,
  type RecordKind,
} from './delivery-counts.ts'
import { type EncodedRecord, sizeOf } from './encoded-record.ts'
import { QueueMemory } from './queue-memory.ts'
import { SchemaIds } from './schema-ids.ts'
import { type HeldRecord, SpoolOverflow, type SpoolSettings } from './spool-overflow.ts'

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
  readonly #schemaIds: SchemaIds
  /** Nothing that is done for the service's traces may make traces itself. */
  readonly #context = suppressTracing(ROOT_CONTEXT)
  /** Nor may a connection keep what the service stores for the request in which it was opened. */
  readonly #outside = new AsyncResource('SiderealRecordQueue')
  /** Accepted, and neither added nor dropped so far. */
  readonly #unencoded: ItemsByKind = { spans: 0, log: 0 }
  readonly #memory: QueueMemory
  readonly #inFlight = new Set<HeldRecord>()
  #inFlightBytes = 0
  #number = 0
  #failures = 0
  #pause: NodeJS.Timeout | undefined
  #isPumpPending = false
  #isClosed = false
  readonly #idle = new Set<() => void>()

  constructor(options: RecordQueueOptions) {
    this.#options = {
      maxBytes: 32 * 1024 * 1024,
      maxItems: 65_536,
      maxInFlightBytes: 4 * 1024 * 1024,
      retryPauseMs: 500,
      ...options,
    }
    this.#counts = new DeliveryCounts(options.logger, options.topic, (kind) => ({
      waiting: this.#unencoded[kind] + this.#memory.items(kind) + (this.#overflow?.orphans(kind) ?? 0),
      spooled: this.#overflow?.items(kind) ?? 0,
    }))
    const { maxBytes, maxItems } = this.#options
    const onDone = (record: HeldRecord) => this.#overflow?.settle(record)
    this.#memory = new QueueMemory({ maxBytes, maxItems, counts: this.#counts, onDone })
    this.#schemaIds = new SchemaIds({
      fetch: (kind) => this.#apart(() => options.schemaId(kind)),
      onFetched: () => {
        this.#failures = 0
        this.#pump()
      },
      onFailed: (error) => {
        this.#counts.report('the schema registry gives no id of a schema, records wait', {
          cause: String(error),
        })
        this.#overflow?.begin()
        this.#wait()
      },
    })
    if (options.spool === undefined) return
    this.#overflow = new SpoolOverflow({
      ...options.spool,
      logger: options.logger,
      counts: this.#counts,
      waiting: this.#memory.waiting,
      inFlight: this.#inFlight,
      discharge: (record) => this.#memory.discharge(record),
      onChange: () => {
        this.#memory.dropGone()
        this.#resolveIdle()
        this.#pump()
      },
    })
  }

  stats(kind: RecordKind): ItemStats {
    return this.#counts.stats(kind)
  }

  /** Bytes of what is in memory only, on its way or not: at most `maxBytes`, or what is with Kafka when that is more. */
  get memoryBytes(): number {
    return this.#memory.bytes
  }

  /** Bytes on disk. */
  get spoolBytes(): number {
    return this.#overflow?.bytes ?? 0
  }

  /** Counts spans or logs that were given to the service's exporter, before they are encoded. */
  accept(kind: RecordKind, items: number): void {
    this.#unencoded[kind] += items
    this.#counts.accept(kind, items)
  }

  add(record: EncodedRecord): void {
    if (this.#isClosed) {
      this.drop(record.kind, record.items, 'shutdown')
      return
    }
    const { kind, sid, framed, items } = record
    this.#unencoded[kind] -= items
    const state = { heldSinceMs: performance.now(), attempts: 0, isDone: false, segment: undefined }
    this.#memory.add({ kind, sid, framed, items, number: this.#number++, ...state })
    // What Kafka can take now must not be dropped.
    if (this.#memory.isOver) this.#pump()
    this.#dropOldest()
    this.#overflow?.write()
    this.#pumpSoon()
  }

  /** Gives up spans or logs that were accepted and not added. */
  drop(kind: RecordKind, items: number, reason: DropReason, cause?: unknown): void {
    this.#unencoded[kind] -= items
    this.#counts.drop(kind, items, reason, cause)
  }

  /** Resolves with true when nothing waits any more, in memory or on disk, with false when the time is up. */
  async drained(timeoutMs: number): Promise<boolean> {
    if (this.#isEmpty) return true
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const onIdle = () => resolve(true)
    this.#idle.add(onIdle)
    const timer = setTimeout(() => resolve(false), timeoutMs)
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      this.#idle.delete(onIdle)
    }
  }

  /** Puts all that waits into the spool, if there is one, in at most the time given. */
  async park(timeoutMs: number): Promise<void> {
    await this.#overflow?.park(timeoutMs)
  }

  /** Takes and sends nothing more; what is with Kafka may still arrive and be counted as sent. What is in memory only is given up, or, with a spool, can still be parked. */
  close(): void {
    this.#isClosed = true
    clearTimeout(this.#pause)
    if (this.#overflow === undefined) this.#memory.giveUpAll()
    this.#resolveIdle()
  }

  /** Gives the spool back, in at most the time given, and up what is in memory only; to be called when nothing is with Kafka any more. */
  async closeSpool(timeoutMs: number): Promise<void> {
    await this.#overflow?.close(timeoutMs)
    // What could not be written at the last moment.
    this.#memory.giveUpAll()
    this.#counts.reportRest()
    this.#resolveIdle()
  }

  get #isEmpty(): boolean {
    return this.#memory.waiting.length === 0 && this.#inFlight.size === 0 && this.#overflow?.isBusy !== true
  }

  #resolveIdle(): void {
    if (!this.#isEmpty) return
    for (const resolve of this.#idle) resolve()
    this.#idle.clear()
  }

  #dropOldest(): void {
    if (!this.#memory.isOver) return
    this.#memory.dropOldest()
    this.#resolveIdle()
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
      const id = this.#schemaIds.of(record.kind)
      if (id === undefined) break
      if (this.#inFlight.size > 0 && this.#inFlightBytes + sizeOf(record) > this.#options.maxInFlightBytes)
        break
      this.#memory.waiting.shift()
      this.#inFlight.add(record)
      this.#inFlightBytes += sizeOf(record)
      writeFrameHeader(record.framed, id)
      batch.push(record)
    }
    if (batch.length > 0) this.#send(batch)
  }

  /** What was put back or read is older than what is on disk only, and that is older than what never left memory. */
  #next(): HeldRecord | undefined {
    const returned = this.#memory.waiting.firstReturned
    if (returned !== undefined || this.#overflow === undefined)
      return returned ?? this.#memory.waiting.firstFresh
    // What Kafka cannot take yet is better left on disk.
    const hasRoom = this.#inFlightBytes < this.#options.maxInFlightBytes / 2
    return this.#overflow.isBehind(hasRoom) ? undefined : this.#memory.waiting.firstFresh
  }

  #send(batch: readonly HeldRecord[]): void {
    const { send, topic } = this.#options
    const outgoing = batch.map(({ sid, framed }) => ({ key: Buffer.from(sid), value: framed }))
    this.#apart(() => send(topic, outgoing, (index, error) => this.#settled(batch[index]!, error)))
  }

  #apart<T>(work: () => T): T {
    return this.#outside.runInAsyncScope(() => contextApi.with(this.#context, work))
  }

  #settled(record: HeldRecord, error: unknown): void {
    this.#leave(record)
    if (error === undefined) {
      this.#failures = 0
      this.#memory.remove(record)
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
      this.#memory.remove(record, reason, error)
      return
    }
    if (this.#isClosed) {
      this.#memory.giveUp(record)
      return
    }
    // Back to its place: several come back at once, and the oldest must be the first to go when there is no room.
    this.#memory.waiting.putBack(record)
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
}
