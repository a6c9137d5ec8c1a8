import type { SiderealError } from '../model/errors.ts'
import type { OutgoingRecord, SentRecord } from './checked-producer.ts'

/** One call of `send`: settled once, when its last record is acknowledged, or at the first failure. */
export class SendCall {
  readonly records: readonly OutgoingRecord[]
  readonly promise: Promise<SentRecord[]>
  isSettled = false
  readonly #results: SentRecord[]
  #left: number
  #resolve: (results: SentRecord[]) => void = () => undefined
  #reject: (error: SiderealError) => void = () => undefined
  /** Monotonic milliseconds at which its time is up. A timer for each call would cost more than the rest of it. */
  readonly deadlineMs: number
  readonly #onTimeout: () => SiderealError

  constructor(records: readonly OutgoingRecord[], timeoutMs: number, onTimeout: () => SiderealError) {
    this.records = records
    this.deadlineMs = performance.now() + timeoutMs
    this.#onTimeout = onTimeout
    this.#left = records.length
    this.#results = new Array(records.length)
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  acknowledge(index: number, sent: SentRecord): void {
    if (this.isSettled) return
    this.#results[index] = sent
    if (--this.#left > 0) return
    this.isSettled = true
    this.#resolve(this.#results)
  }

  expire(nowMs: number): void {
    if (nowMs >= this.deadlineMs) this.fail(this.#onTimeout())
  }

  fail(error: SiderealError): void {
    if (this.isSettled) return
    this.isSettled = true
    this.#reject(error)
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

  /** Forgets records whose call has failed (its time is up, or another of its records was refused). */
  hasWork(): boolean {
    const firstLive = this.#queue.findIndex(({ call }) => !call.isSettled)
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
      if (pending.call.isSettled) continue
      if (taken.length > 0 && (bytes + pending.bytes > maxBytes || pending.isAlone || taken[0]!.isAlone))
        break
      taken.push(pending)
      bytes += pending.bytes
    }
    this.#queue = this.#queue.slice(position)
    return taken
  }
}
