import { SiderealError } from '../model/errors.ts'
import { partitionFor } from './partitioner.ts'
import { Lane, type PendingRecord, recordBytes, type SendCall } from './send-lanes.ts'

/** Records of one partition in one request, and the lane that they came from. */
export interface ProduceBatch {
  readonly lane: Lane
  readonly partition: number
  readonly records: readonly PendingRecord[]
}

export interface RequestLimits {
  readonly maxRequestRecords: number
  readonly maxRequestBytes: number
  readonly maxBatchBytes: number
}

/** Timers may fire a little early: what is due within this is due now. */
const TIMER_SLACK_MS = 2

/** One topic: its partitions and their leaders as far as known, and the records that wait, by partition. No I/O. */
export class TopicLanes {
  readonly name: string
  fetchedAtMs = Number.NEGATIVE_INFINITY
  isRefreshing = false
  isDispatchPending = false
  /** Why the last attempt failed, for the message of a call whose time is up. */
  lastError: unknown
  #leaders: readonly number[] = []
  #waiting: SendCall[] = []
  #nextPartition = 0
  readonly #lanes = new Map<number, Lane>()

  constructor(name: string) {
    this.name = name
  }

  get isKnown(): boolean {
    return this.#leaders.length > 0
  }

  /** True while some call waits for the partitions. */
  get hasWaiting(): boolean {
    this.#waiting = this.#waiting.filter(({ isEnded }) => !isEnded)
    return this.#waiting.length > 0
  }

  /** Takes over fresh metadata; the calls that waited for it go into the lanes, in order. */
  setLeaders(leaders: readonly number[], nowMs: number): void {
    this.#leaders = leaders
    this.fetchedAtMs = nowMs
    const waiting = this.#waiting
    this.#waiting = []
    for (const call of waiting) this.#enqueue(call)
  }

  /** The topic is gone: the next call waits for metadata again. */
  forgetLeaders(): void {
    this.#leaders = []
    this.fetchedAtMs = Number.NEGATIVE_INFINITY
  }

  failWaiting(error: SiderealError): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const call of waiting) call.failAll(error)
  }

  /** The time of a call is up. What lies behind its records comes back with them, or it would overtake them. */
  expire(call: SendCall, error: SiderealError): void {
    if (!call.isAllOrNone) {
      const place = this.#waiting.indexOf(call)
      const behind = place < 0 ? [] : this.#waiting.slice(place + 1)
      for (const other of behind) if (!other.isAllOrNone) other.failAll(error)
      for (const lane of this.#lanes.values()) lane.failBehind(call, error)
    }
    call.failAll(error)
  }

  add(call: SendCall): void {
    if (this.isKnown && this.#waiting.length === 0) this.#enqueue(call)
    else this.#waiting.push(call)
  }

  #enqueue(call: SendCall): void {
    if (call.isEnded) return
    const count = this.#leaders.length
    const partitions = call.records.map((record) => {
      if (record.partition !== undefined) return record.partition
      if (record.key !== null) return partitionFor(record.key, count)
      this.#nextPartition = (this.#nextPartition + 1) % count
      return this.#nextPartition
    })
    const unknown = partitions.find((partition) => !(partition >= 0 && partition < count))
    if (unknown !== undefined) {
      const message = `topic ${this.name} has ${count} partitions, and no number ${unknown}: leave the partition to the key`
      call.failAll(new SiderealError('SIDEREAL_TOPIC_INVALID', message))
      return
    }
    call.records.forEach((record, index) => {
      this.#lane(partitions[index]!).push({ record, bytes: recordBytes(record), call, index, isAlone: false })
    })
  }

  #lane(partition: number): Lane {
    let lane = this.#lanes.get(partition)
    if (lane === undefined) {
      lane = new Lane(partition)
      this.#lanes.set(partition, lane)
    }
    return lane
  }

  /**
   * Takes what may be sent now, as requests. Each is for partitions with one leader: a slow broker holds up only its own partitions,
   * and kafkajs's map of replies, which loses partitions that move between brokers, has one entry.
   */
  takeRequests(limits: RequestLimits, nowMs: number): ProduceBatch[][] {
    const requests: ProduceBatch[][] = []
    const byLeader = new Map<number, Lane[]>()
    for (const lane of this.#lanes.values()) {
      if (lane.isBusy || lane.notBeforeMs > nowMs + TIMER_SLACK_MS || !lane.hasWork()) continue
      if (lane.isNextAlone) {
        requests.push([{ lane, partition: lane.partition, records: lane.take(1, 0) }])
        continue
      }
      if (lane.goesAlone) {
        pack([lane], limits, requests)
        continue
      }
      const leader = this.#leaders[lane.partition] ?? -1
      const lanes = byLeader.get(leader)
      if (lanes === undefined) byLeader.set(leader, [lane])
      else lanes.push(lane)
    }
    for (const lanes of byLeader.values()) pack(lanes, limits, requests)
    return requests
  }
}

function pack(lanes: readonly Lane[], limits: RequestLimits, requests: ProduceBatch[][]): void {
  const { maxRequestRecords, maxRequestBytes, maxBatchBytes } = limits
  let batches: ProduceBatch[] = []
  let count = 0
  let bytes = 0
  for (const lane of lanes) {
    const records = lane.take(maxRequestRecords - count, Math.min(maxBatchBytes, maxRequestBytes - bytes))
    batches.push({ lane, partition: lane.partition, records })
    count += records.length
    for (const record of records) bytes += record.bytes
    if (count < maxRequestRecords && bytes < maxRequestBytes) continue
    requests.push(batches)
    batches = []
    count = 0
    bytes = 0
  }
  if (batches.length > 0) requests.push(batches)
}
