import type { DeliveryCounts, DropReason, ItemsByKind, RecordKind } from './delivery-counts.ts'
import { sizeOf } from './encoded-record.ts'
import { type HeldRecord, isInMemoryOnly } from './spool-overflow.ts'
import { WaitingRecords } from './waiting-records.ts'

export interface QueueMemoryOptions {
  readonly maxBytes: number
  readonly maxItems: number
  readonly counts: DeliveryCounts
  /** A record is sent or dropped: what is on disk of it can go. */
  readonly onDone: (record: HeldRecord) => void
}

/** The records that wait in memory, within their bounds: over them the oldest that are in memory only go, counted. */
export class QueueMemory {
  readonly waiting = new WaitingRecords<HeldRecord>()
  readonly #options: QueueMemoryOptions
  /** Of records that are in memory only, on their way or not. */
  #bytes = 0
  readonly #items: ItemsByKind = { spans: 0, log: 0 }

  constructor(options: QueueMemoryOptions) {
    this.#options = options
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Spans or logs of the records that are in memory only. */
  items(kind: RecordKind): number {
    return this.#items[kind]
  }

  get isOver(): boolean {
    const { maxBytes, maxItems } = this.#options
    return this.#bytes > maxBytes || this.#items.spans + this.#items.log > maxItems
  }

  add(record: HeldRecord): void {
    this.#bytes += sizeOf(record)
    this.#items[record.kind] += record.items
    this.waiting.add(record)
  }

  /** A record is sent, or dropped for a reason. */
  remove(record: HeldRecord, reason?: DropReason, cause?: unknown): void {
    const { counts, onDone } = this.#options
    record.isDone = true
    this.discharge(record)
    onDone(record)
    if (reason === undefined) counts.send(record.kind, record.items)
    else counts.drop(record.kind, record.items, reason, cause)
  }

  /** A record that is not in memory only does not count against the limits: it is part of one segment, or on its way. */
  discharge(record: HeldRecord): void {
    if (!isInMemoryOnly(record)) return
    this.#bytes -= sizeOf(record)
    this.#items[record.kind] -= record.items
  }

  dropOldest(): void {
    if (!this.isOver) return
    this.waiting.takeReturned((record) => {
      if (!this.isOver || !isInMemoryOnly(record)) return false
      this.remove(record, 'queue_full')
      return true
    })
    while (this.isOver) {
      const oldest = this.waiting.shiftFresh()
      if (oldest === undefined) break
      this.remove(oldest, 'queue_full')
    }
  }

  /** Records whose segment was given up for want of space go with it, unless they are on their way. */
  dropGone(): void {
    for (const record of this.waiting.takeReturned(({ segment }) => segment?.isDropped === true))
      this.remove(record, 'spool_full')
  }

  giveUpAll(): void {
    for (let record = this.waiting.shift(); record !== undefined; record = this.waiting.shift())
      this.giveUp(record)
  }

  giveUp(record: HeldRecord): void {
    // What is on disk as well stays there for the next process.
    if (record.segment === undefined || record.segment.isDropped) this.remove(record, 'shutdown')
  }
}
