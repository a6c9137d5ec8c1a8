import type { SiderealError } from '../model/errors.ts'
import type { OutgoingRecord } from './checked-producer.ts'

/** What becomes of the records of a call. Must not throw. */
export interface CallEvents {
  acknowledged(index: number, partition: number, offset: number): void
  failed(index: number, error: SiderealError): void
  /** After the last record. */
  ended(): void
}

/** Records that were handed over together. Each is settled once: acknowledged, or failed. */
export class SendCall {
  readonly records: readonly OutgoingRecord[]
  /** Monotonic milliseconds at which its time is up. A timer for each call would cost more than the rest of it. */
  readonly deadlineMs: number
  readonly isAllOrNone: boolean
  readonly #events: CallEvents
  readonly #isSettled: Uint8Array
  #left: number

  /** @param isAllOrNone the first failure is that of all records that are not settled yet */
  constructor(
    records: readonly OutgoingRecord[],
    deadlineMs: number,
    isAllOrNone: boolean,
    events: CallEvents,
  ) {
    this.records = records
    this.deadlineMs = deadlineMs
    this.isAllOrNone = isAllOrNone
    this.#events = events
    this.#isSettled = new Uint8Array(records.length)
    this.#left = records.length
  }

  /** True when all records are settled. */
  get isEnded(): boolean {
    return this.#left === 0
  }

  isSettled(index: number): boolean {
    return this.#isSettled[index] === 1
  }

  acknowledge(index: number, partition: number, offset: number): void {
    if (!this.#take(index)) return
    this.#events.acknowledged(index, partition, offset)
    if (this.#left === 0) this.#events.ended()
  }

  fail(index: number, error: SiderealError): void {
    if (this.isAllOrNone) this.failAll(error)
    else this.#failOne(index, error)
  }

  failAll(error: SiderealError): void {
    for (let index = 0; index < this.records.length; index++) this.#failOne(index, error)
  }

  #failOne(index: number, error: SiderealError): void {
    if (!this.#take(index)) return
    this.#events.failed(index, error)
    if (this.#left === 0) this.#events.ended()
  }

  #take(index: number): boolean {
    if (this.#isSettled[index] === 1) return false
    this.#isSettled[index] = 1
    this.#left -= 1
    return true
  }
}

/** A record on its way, in the lane of its partition. */
export interface PendingRecord {
  readonly record: OutgoingRecord
  readonly bytes: number
  readonly call: SendCall
  /** Place in the call. */
  readonly index: number
  /** The broker refused a batch with this record in it for its size: try it alone. */
  isAlone: boolean
}

/** What the wire takes for a record beside key and value, generously. */
const RECORD_OVERHEAD_BYTES = 40

export function recordBytes(record: OutgoingRecord): number {
  let bytes = RECORD_OVERHEAD_BYTES + (record.key?.length ?? 0) + (record.value?.length ?? 0)
  for (const [name, value] of Object.entries(record.headers ?? {})) {
    bytes += name.length + 8
    for (const item of Array.isArray(value) ? value : [value]) bytes += item?.length ?? 0
  }
  return bytes
}

/**
 * The records of one partition, in order. At most one request of a lane is in flight: what its reply lacks goes back to the front, before
 * anything newer.
 */
export class Lane {
  readonly partition: number
  isBusy = false
  /** Monotonic milliseconds before which nothing is sent. */
  notBeforeMs = 0
  /** Failed attempts in a row. */
  failures = 0
  /** A broker said no to a request of several partitions, this one among them: it has requests of its own until one succeeds. */
  goesAlone = false
  /** Of the request in flight. */
  #taken: readonly PendingRecord[] = []
  #queue: PendingRecord[] = []

  constructor(partition: number) {
    this.partition = partition
  }

  push(pending: PendingRecord): void {
    this.#queue.push(pending)
  }

  /** Puts records back where they came from. */
  putBack(records: readonly PendingRecord[]): void {
    this.#queue = [...records, ...this.#queue]
  }

  /** Forgets records that have failed by now (their time is up, or another of their call was refused). */
  hasWork(): boolean {
    const firstLive = this.#queue.findIndex(({ call, index }) => !call.isSettled(index))
    if (firstLive < 0) this.#queue = []
    else if (firstLive > 0) this.#queue = this.#queue.slice(firstLive)
    return this.#queue.length > 0
  }

  /** True when the first record must travel alone. */
  get isNextAlone(): boolean {
    return this.#queue[0]?.isAlone ?? false
  }

  /** Takes the next records within both limits, at least one. */
  take(maxRecords: number, maxBytes: number): PendingRecord[] {
    const taken: PendingRecord[] = []
    let bytes = 0
    let position = 0
    for (; position < this.#queue.length && taken.length < maxRecords; position++) {
      const pending = this.#queue[position]!
      if (pending.call.isSettled(pending.index)) continue
      if (taken.length > 0 && (bytes + pending.bytes > maxBytes || pending.isAlone || taken[0]!.isAlone))
        break
      taken.push(pending)
      bytes += pending.bytes
    }
    this.#queue = this.#queue.slice(position)
    this.#taken = taken
    return taken
  }

  /**
   * Fails what lies behind a call whose time is up: its sender has that call's records back, and sends them again later than these. Records of `send` are
   * left alone, whose callers have the whole of their call back.
   */
  failBehind(call: SendCall, error: SiderealError): void {
    const all = this.isBusy ? [...this.#taken, ...this.#queue] : this.#queue
    const first = all.findIndex((pending) => pending.call === call && !call.isSettled(pending.index))
    if (first < 0) return
    for (const { call: other, index } of all.slice(first + 1))
      if (other !== call && !other.isAllOrNone) other.fail(index, error)
  }
}
