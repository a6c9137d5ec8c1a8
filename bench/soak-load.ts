import { setTimeout as sleep } from 'node:timers/promises'
import { SeededRandom } from '../src/audit/seeded-random.ts'
import type { CheckedProducer, OutgoingRecord } from '../src/kafka/checked-producer.ts'
import { SPANS_PER_TRACE } from './data.ts'
import { type DataSet, dataSet } from './data-sets.ts'
import type { RecordEncoder } from './encoders.ts'

const TICK_MS = 100
const SEED = 11
/** Between the records of an ordinary trace. */
const STEP_MS = 1_000
/** Least life of a long-lived trace. */
const SHORTEST_LIFE_MS = 30_000

export interface SoakLoadOptions {
  readonly producer: CheckedProducer
  readonly topic: string
  readonly encoder: RecordEncoder
  readonly spansPerSecond: number
  /** Part of the traces that live long. */
  readonly longShare: number
  readonly longestLifeMs: number
}

/**
 * A steady load. An ordinary trace is three records within two seconds; a long-lived one twelve of one span, the root's last, so that it stays
 * open for its whole life. Memory is bounded by the traces that are under way.
 */
export class SoakLoad {
  readonly #options: SoakLoadOptions
  readonly #random = new SeededRandom(SEED)
  readonly #ordinary: DataSet = dataSet('plain')
  readonly #long: DataSet = dataSet('single')
  /** Records by the tick at which they are due. */
  readonly #due = new Map<number, OutgoingRecord[]>()
  #tick = 0
  #traces = 0
  #longTraces = 0

  constructor(options: SoakLoadOptions) {
    this.#options = options
  }

  get traces(): number {
    return this.#traces
  }

  get longTraces(): number {
    return this.#longTraces
  }

  /** Sends until `endAt` (of `performance.now()`), then at once what is left of the traces under way. */
  async run(endAt: number): Promise<void> {
    const startedAt = performance.now()
    const { producer, topic, spansPerSecond } = this.#options
    while (performance.now() < endAt) {
      const tick = this.#tick++
      await sleep(Math.max(0, tick * TICK_MS - (performance.now() - startedAt)))
      const wanted = Math.floor(((tick + 1) * TICK_MS * spansPerSecond) / SPANS_PER_TRACE / 1000)
      while (this.#traces < wanted) this.#begin(tick)
      const records = this.#due.get(tick)
      this.#due.delete(tick)
      if (records !== undefined) await producer.send(topic, records)
    }
    const rest = [...this.#due].sort(([a], [b]) => a - b).flatMap(([, records]) => records)
    this.#due.clear()
    if (rest.length > 0) await producer.send(topic, rest)
  }

  #begin(tick: number): void {
    const index = this.#traces++
    const isLong = this.#random.chance(this.#options.longShare)
    const startNs = BigInt(Date.now()) * 1_000_000n
    const records = (isLong ? this.#long : this.#ordinary).trace(index, SEED, startNs)
    let stepMs = STEP_MS
    if (isLong) {
      this.#longTraces += 1
      records.reverse()
      const lifeMs = SHORTEST_LIFE_MS + this.#random.next() * (this.#options.longestLifeMs - SHORTEST_LIFE_MS)
      stepMs = lifeMs / (records.length - 1)
    }
    records.forEach((record, place) => {
      const dueAt = tick + Math.round((place * stepMs) / TICK_MS)
      const due = this.#due.get(dueAt)
      const outgoing = { key: Buffer.from(record.sid), value: this.#options.encoder.encode(record) }
      if (due === undefined) this.#due.set(dueAt, [outgoing])
      else due.push(outgoing)
    })
  }
}
