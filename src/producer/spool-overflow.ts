import type { Logger } from '../telemetry/logger.ts'
import type { DeliveryCounts, RecordKind } from './delivery-counts.ts'
import { type EncodedRecord, sizeOf } from './encoded-record.ts'
import { Spool } from './spool.ts'
import type { Segment } from './spool-folder.ts'
import { waitAtMost } from './wait-time.ts'
import type { WaitingRecords } from './waiting-records.ts'

/** Where records go while Kafka cannot be reached. */
export interface SpoolSettings {
  /** Any number of processes may name the same folder: each has one of its own in it. It is made if it is not there. */
  readonly folder: string
  /** What one process may hold there; over it the oldest go, counted. Default 256 MiB. */
  readonly maxBytes?: number
  /** How old the oldest unacknowledged record may get before records go to disk. Default 1 s. */
  readonly afterMs?: number
}

/** A record in memory. */
export interface HeldRecord extends EncodedRecord {
  readonly number: number
  readonly heldSinceMs: number
  attempts: number
  /** Sent or dropped. */
  isDone: boolean
  /** Where it lies on disk as well. */
  segment: Segment | undefined
}

export interface SpoolOverflowOptions extends SpoolSettings {
  readonly logger: Logger
  readonly counts: DeliveryCounts
  readonly waiting: WaitingRecords<HeldRecord>
  readonly inFlight: ReadonlySet<HeldRecord>
  /** To be called before a record stops being in memory only. */
  readonly discharge: (record: HeldRecord) => void
  /** Something can be sent now, or nothing is left. */
  readonly onChange: () => void
}

/** Of records that are written, and so of segments: whole segments are given up when the spool is full, so it holds several. */
const MAX_BATCH_BYTES = 1024 * 1024
const BATCHES_OF_SPOOL = 4
const ADOPT_INTERVAL_MS = 60_000
/** What other processes have left goes first, but a disk that does not answer must not hold up what Kafka can have. */
const MAX_OPENING_MS = 5_000
const SLOW_FOLDER =
  'the spool folder does not answer: records go to Kafka before what other processes have left there, and stay in memory until it does'
const RETRY_MS = 1_000

export function isInMemoryOnly(record: HeldRecord): boolean {
  return record.segment === undefined
}

/**
 * Moves records between the memory of the queue and the spool. While Kafka cannot be reached, all that is in memory is written to disk, what is
 * on its way too; only that, and one segment, stay in memory. Back in memory, everything goes in its old order.
 */
export class SpoolOverflow {
  readonly #options: SpoolOverflowOptions
  readonly #spool: Spool
  readonly #batchBytes: number
  readonly #opened: Promise<void>
  readonly #timers: NodeJS.Timeout[] = []
  #isOpen = false
  /** It takes too long to open. */
  #isLate = false
  #isSpooling = false
  /** All that is in memory only goes to disk, whether or not Kafka takes some of it meanwhile. */
  #isParking = false
  #reading: Promise<void> | undefined
  #writing: Promise<void> | undefined
  #notBeforeMs = Number.NEGATIVE_INFINITY
  #isClosed = false

  constructor(options: SpoolOverflowOptions) {
    this.#options = options
    const { folder, maxBytes, afterMs = 1_000, logger, counts } = options
    this.#batchBytes = Math.min(MAX_BATCH_BYTES, (maxBytes ?? Number.POSITIVE_INFINITY) / BATCHES_OF_SPOOL)
    this.#spool = new Spool({
      root: folder,
      logger,
      segmentBytes: this.#batchBytes,
      ...(maxBytes === undefined ? {} : { maxBytes }),
      onRecovered: (kind, items) => counts.recover(kind, items),
      onLost: (kind, items, reason) => counts.drop(kind, items, reason),
    })
    const late = setTimeout(() => {
      this.#isLate = true
      logger.warn({ folder }, SLOW_FOLDER)
      options.onChange()
    }, MAX_OPENING_MS).unref()
    this.#opened = this.#adopt().finally(() => {
      clearTimeout(late)
      this.#isOpen = true
    })
    this.#every(ADOPT_INTERVAL_MS, () => void this.#adopt())
    this.#every(Math.min(afterMs, 250), () => {
      const limitMs = performance.now() - afterMs
      if (this.#isOld(limitMs)) this.begin()
      else if (this.#isSpooling) this.write()
    })
  }

  get bytes(): number {
    return this.#spool.bytes
  }

  items(kind: RecordKind): number {
    return this.#spool.items(kind)
  }

  /** Of records that were on disk, and are in memory only since the spool was full. */
  orphans(kind: RecordKind): number {
    return this.#spool.orphans(kind)
  }

  /** True while something is on disk only, or on its way there or back. */
  get isBusy(): boolean {
    return this.#spool.hasUnread || this.#reading !== undefined || this.#writing !== undefined
  }

  /** True when what never left memory must wait, since older records are on disk; with `isWanted` they are read now. */
  isBehind(isWanted: boolean): boolean {
    if (isWanted && this.#isOpen && this.#spool.canRead) this.#read()
    return (!this.#isOpen && !this.#isLate) || this.isBusy
  }

  /** Kafka cannot be reached: from now on records go to disk. */
  begin(): void {
    this.#isSpooling = true
    this.write()
  }

  /** Kafka has taken a record: once the disk is read, records stay in memory again. */
  recovered(): void {
    if (!this.#spool.hasUnread && !this.#isParking) this.#isSpooling = false
  }

  /** Writes what is in memory only, if it is time to. */
  write(): void {
    if (!this.#isOpen || !this.#isSpooling) return
    if (this.#writing !== undefined || performance.now() < this.#notBeforeMs) return
    this.#writing = this.#writeAll().finally(() => {
      this.#writing = undefined
      this.#options.onChange()
    })
  }

  /** Writes all that is in memory only, in at most the time given, and until `close` what comes to it, too. */
  async park(timeoutMs: number): Promise<void> {
    this.#isParking = true
    this.#notBeforeMs = Number.NEGATIVE_INFINITY
    const write = async () => {
      await this.#opened
      await this.#writing
      this.begin()
      await this.#writing
    }
    await waitAtMost(timeoutMs, write())
  }

  /** A record is sent or dropped. */
  settle(record: HeldRecord): void {
    if (record.segment !== undefined) this.#spool.settle(record.segment, record)
  }

  /** Ends within the time given also on a disk that does not answer. */
  async close(timeoutMs: number): Promise<void> {
    this.#isClosed = true
    for (const timer of this.#timers) clearInterval(timer)
    await waitAtMost(timeoutMs, this.#closeSpool())
  }

  async #closeSpool(): Promise<void> {
    try {
      await this.#opened
      await this.#writing
      await this.#reading
      await this.#spool.close()
    } catch (error) {
      this.#options.logger.warn({ cause: String(error) }, 'the spool could not be closed')
    }
  }

  #every(intervalMs: number, work: () => void): void {
    const timer = setInterval(work, intervalMs)
    timer.unref()
    this.#timers.push(timer)
  }

  async #adopt(): Promise<void> {
    try {
      await this.#spool.adopt()
    } catch (error) {
      this.#options.logger.warn(
        { folder: this.#options.folder, cause: String(error) },
        'the spool folder cannot be read: what other processes left there is not sent',
      )
    }
    // Not in the constructor of the queue, which is not ready then.
    setImmediate(() => this.#options.onChange())
  }

  /** The oldest are the first of those on their way, or the first that wait. */
  #isOld(limitMs: number): boolean {
    const isOld = (record: HeldRecord | undefined) =>
      record !== undefined && isInMemoryOnly(record) && record.heldSinceMs < limitMs
    const [firstInFlight] = this.#options.inFlight
    return (
      isOld(firstInFlight) ||
      isOld(this.#options.waiting.firstReturned) ||
      isOld(this.#options.waiting.firstFresh)
    )
  }

  async #writeAll(): Promise<void> {
    while (this.#isSpooling && !this.#isClosed) {
      const pinned = this.#pinned()
      const batch = pinned.length > 0 ? pinned : this.#takeFresh()
      if (batch.length === 0) return
      try {
        await this.#spool.append(batch, pinned.length, (segment) => {
          for (const record of batch) this.#written(record, segment, pinned.length > 0)
        })
      } catch (error) {
        // Behind what is on disk, as before.
        if (pinned.length === 0) this.#options.waiting.putBackFresh(batch)
        this.#notBeforeMs = performance.now() + RETRY_MS
        this.#options.counts.report('the spool cannot be written: records stay in memory', {
          folder: this.#options.folder,
          cause: String(error),
        })
        return
      }
    }
  }

  /** What stays in memory, since it is on its way or was, and is not on disk yet. Older than all that was never taken. */
  #pinned(): HeldRecord[] {
    const { waiting, inFlight } = this.#options
    const all = [...inFlight, ...waiting.returned].filter(isInMemoryOnly).sort((a, b) => a.number - b.number)
    return this.#withinBatch(all)
  }

  #takeFresh(): HeldRecord[] {
    const { waiting } = this.#options
    const taken = this.#withinBatch(waiting.fresh)
    for (const _ of taken) waiting.shiftFresh()
    return taken
  }

  /** The first of the records that fit into a batch: one at least, if there is any. */
  #withinBatch(records: Iterable<HeldRecord>): HeldRecord[] {
    const batch: HeldRecord[] = []
    let bytes = 0
    for (const record of records) {
      bytes += sizeOf(record)
      if (batch.length > 0 && bytes > this.#batchBytes) break
      batch.push(record)
    }
    return batch
  }

  #written(record: HeldRecord, segment: Segment, isPinned: boolean): void {
    if (!record.isDone) this.#options.discharge(record)
    record.segment = segment
    // Kafka answered in the meantime.
    if (isPinned && record.isDone) this.#spool.settle(segment, record)
  }

  #read(): void {
    this.#reading ??= this.#readSegment().finally(() => {
      this.#reading = undefined
      this.#options.onChange()
    })
  }

  async #readSegment(): Promise<void> {
    const records = await this.#spool.read()
    const heldSinceMs = performance.now()
    for (const record of records)
      this.#options.waiting.putBack({ ...record, heldSinceMs, attempts: 0, isDone: false })
  }
}
