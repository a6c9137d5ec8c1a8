import type { SeededRandom } from '../../src/audit/seeded-random.ts'
import type { SourceRecord } from '../../src/model/task.ts'
import { NOTHING_TAKEN } from '../../src/worker/source/intake.ts'
import type { SourceSettings } from '../../src/worker/source/source-options.ts'
import type { SourceState } from '../../src/worker/source/source-state.ts'
import type { LogEntry, PartitionLog } from './kafka-log.ts'
import type { World } from './world.ts'

/** A request of the client, to a broker or to the coordinator. */
export interface ClientCall<Answer> {
  readonly name: 'join' | 'heartbeat' | 'fetch' | 'commit' | 'read ledger' | 'list offsets'
  serve(share: number): Answer
  onAnswer(answer: Answer): void
  onError(error: Error): void
}

/** What the client is at the moment. */
interface Member {
  readonly state: SourceState | undefined
  readonly memberId: string
  /** Negative = it has not joined. */
  readonly generation: number
  readonly assigned: readonly number[]
  /** Attempts to join so far. */
  readonly joins: number
  readonly isStopped: boolean
}

export interface KafkaFetchesDeps {
  readonly world: World
  readonly settings: SourceSettings
  readonly random: SeededRandom
  readonly member: () => Member
  readonly call: <Answer>(call: ClientCall<Answer>) => void
  readonly after: (delayMs: number, run: () => void) => void
  readonly join: () => void
}

interface Fetched {
  readonly partition: number
  readonly from: number
  readonly entries: readonly LogEntry[]
  readonly end: number
  readonly joins: number
  /** The broker has no such offset, or says so. */
  readonly isOutOfRange: boolean
}

/** How a kafkajs consumer fetches: from each broker in a loop of its own, at positions that it keeps, resets and seeks by itself. */
export class KafkaFetches {
  readonly #deps: KafkaFetchesDeps
  readonly #positions = new Map<number, number>()
  /** Partitions of which the client knows what is committed. */
  readonly #begun = new Set<number>()
  readonly #seeks = new Map<number, number>()
  /** How often each partition was sought. */
  readonly #seekCounts = new Map<number, number>()
  readonly #paused = new Set<number>()
  /** Partitions of which the next batch comes twice. */
  readonly #repeats = new Set<number>()
  /** Partitions of which a lagging replica answers the next fetch, and when the client joins again after that. */
  readonly #outOfRange = new Map<number, number>()
  #assignments = 0

  constructor(deps: KafkaFetchesDeps) {
    this.#deps = deps
  }

  get #member(): Member {
    return this.#deps.member()
  }

  start(): void {
    for (let broker = 0; broker < this.#deps.world.options.brokers; broker++) this.#fetchLater(broker, 0)
  }

  /** Another assignment, or the same again. Seeks stay: those of kafkajs outlive it. */
  beginAssignment(): void {
    this.#assignments += 1
    this.#positions.clear()
    this.#begun.clear()
  }

  /** What kafkajs does once in a while: the next fetch begins somewhere else. */
  goAstray(by: number): void {
    for (const [partition, position] of this.#positions) {
      const log = this.#log(partition)
      this.#positions.set(partition, Math.max(log.start, Math.min(log.end - 1, position + by)))
    }
  }

  /** After a leader move the fetchers of both leaders may deliver a range. */
  repeatNext(partition: number): void {
    this.#repeats.add(partition)
  }

  outOfRangeNext(partition: number, joinsAfterMs: number): void {
    this.#outOfRange.set(partition, joinsAfterMs)
  }

  seek(partition: number, offset: number): void {
    this.#seeks.set(partition, offset)
    this.#seekCounts.set(partition, this.#seekCountOf(partition) + 1)
  }

  pause(partitions: readonly number[]): void {
    for (const partition of partitions) this.#paused.add(partition)
  }

  resume(partitions: readonly number[]): void {
    for (const partition of partitions) this.#paused.delete(partition)
  }

  #fetchLater(broker: number, delayMs: number): void {
    this.#deps.after(delayMs, () => {
      const led = this.#member.assigned.filter((partition) => this.#log(partition).leader === broker)
      for (const partition of led) this.#applySeek(partition)
      const unknown = this.#member.assigned.filter((partition) => !this.#begun.has(partition))
      if (unknown.length === 0 || this.#member.isStopped || this.#member.generation < 0)
        this.#fetch(broker, led)
      else this.#askWhereToBegin(broker, led, unknown)
    })
  }

  /** Where nobody sought, a consumer begins at the committed offset; kafkajs asks for it even so, for all partitions before any is fetched. */
  #askWhereToBegin(broker: number, led: readonly number[], unknown: readonly number[]): void {
    const assignments = this.#assignments
    this.#deps.call({
      name: 'read ledger',
      serve: () =>
        unknown.map((partition) => {
          const { offset } = this.#deps.world.group.row(partition)
          return [partition, offset < 0 ? this.#log(partition).start : offset] as const
        }),
      onAnswer: (begins) => {
        if (assignments === this.#assignments) {
          for (const [partition, offset] of begins) {
            this.#begun.add(partition)
            if (!this.#positions.has(partition)) this.#positions.set(partition, offset)
          }
        }
        this.#fetch(broker, led)
      },
      onError: () => this.#fetchInVain(broker),
    })
  }

  #fetch(broker: number, led: readonly number[]): void {
    const mine = led.filter((partition) => this.#begun.has(partition) && !this.#paused.has(partition))
    if (mine.length === 0 || this.#member.isStopped || this.#member.generation < 0) {
      // A fetcher with nothing to fetch sleeps, and says that it fetched.
      if (this.#member.generation >= 0) this.#member.state?.onFetch()
      this.#fetchLater(broker, this.#deps.settings.maxWaitMs)
      return
    }
    const joins = this.#member.joins
    const asked = mine.map((partition) => ({ partition, from: this.#positions.get(partition)! }))
    this.#deps.call({
      name: 'fetch',
      serve: () => asked.map(({ partition, from }) => this.#read(partition, from, joins)),
      onAnswer: (batches) => {
        // kafkajs throws the whole answer away, and looks at the first such partition alone.
        const outOfRange = batches.find(({ isOutOfRange }) => isOutOfRange)
        if (outOfRange !== undefined) {
          this.#resetOffset(broker, outOfRange.partition)
          return
        }
        this.#member.state?.onFetch()
        this.#deliver(
          broker,
          batches.filter(
            // What is sought or paused now is dropped here, and never again: what waits behind other batches is handed over.
            ({ partition, entries }) =>
              entries.length > 0 && !this.#seeks.has(partition) && !this.#paused.has(partition),
          ),
        )
      },
      onError: () => this.#fetchInVain(broker),
    })
  }

  /** kafkajs swallows the error of a fetch, and tells of it as of any other. */
  #fetchInVain(broker: number): void {
    this.#member.state?.onFetch()
    this.#fetchLater(broker, this.#deps.settings.maxWaitMs)
  }

  /** At the broker. */
  #read(partition: number, from: number, joins: number): Fetched {
    const log = this.#log(partition)
    const isOutOfRange = this.#outOfRange.has(partition) || from < log.start || from > log.end
    const entries = isOutOfRange
      ? []
      : log.entries.slice(from, from + this.#deps.world.options.maxFetchRecords)
    return { partition, from, entries, end: log.end, joins, isOutOfRange }
  }

  /** kafkajs commits −2 of its own accord, by a request like any other, and then asks the group where to begin. */
  #resetOffset(broker: number, partition: number): void {
    const joinsAfterMs = this.#outOfRange.get(partition)
    if (this.#outOfRange.delete(partition)) this.#deps.after(joinsAfterMs!, this.#deps.join)
    const [assignments, memberId, generation] = [
      this.#assignments,
      this.#member.memberId,
      this.#member.generation,
    ]
    this.#deps.call({
      name: 'commit',
      serve: () => this.#deps.world.group.wipe(memberId, generation, partition),
      onAnswer: (isDone) => {
        this.#member.state?.onRowWiped(partition)
        this.#member.state?.onFetch()
        if (isDone && assignments === this.#assignments) {
          this.#positions.delete(partition)
          this.#begun.delete(partition)
        }
        this.#fetchLater(broker, isDone ? 0 : this.#deps.settings.maxWaitMs)
      },
      onError: () => {
        this.#member.state?.onRowWiped(partition)
        this.#fetchInVain(broker)
      },
    })
  }

  /** One batch after the other; the next fetch when all have been handled. */
  #deliver(broker: number, batches: readonly Fetched[]): void {
    const [first, ...rest] = batches
    if (first === undefined) {
      // Nothing was there: the broker would have waited for so long before it said so.
      this.#fetchLater(broker, this.#deps.settings.maxWaitMs)
      return
    }
    const next = (): void => {
      this.#deps.after(this.#deps.random.next() * 2, () => {
        if (rest.length > 0) this.#deliver(broker, rest)
        else this.#fetchLater(broker, 0)
      })
    }
    this.#handle(first, () => {
      if (this.#repeats.delete(first.partition)) this.#handle(first, next)
      else next()
    })
  }

  /** The port hands a batch over part by part, and other things happen between two of them. */
  #handle(fetched: Fetched, onDone: () => void): void {
    const { partition, entries, joins } = fetched
    const { oldBatchChance, partRecords } = this.#deps.world.options
    if (joins !== this.#member.joins && !this.#deps.random.chance(oldBatchChance)) {
      onDone()
      return
    }
    const seeks = this.#seekCountOf(partition)
    const handPart = (from: number): void => {
      const end = Math.min(entries.length, from + partRecords)
      const isStale = this.#seeks.has(partition) || this.#seekCountOf(partition) !== seeks
      if (!this.#takePart(fetched, { from, end, isStale }) || end === entries.length) onDone()
      else this.#deps.after(0, () => handPart(end))
    }
    handPart(0)
  }

  /** False = the rest of the batch is not wanted. */
  #takePart(
    { partition, from: fetchedFrom, entries, end: highWatermark }: Fetched,
    { from, end, isStale }: { readonly from: number; readonly end: number; readonly isStale: boolean },
  ): boolean {
    if (this.#member.isStopped || this.#member.state === undefined) return false
    const lastOffset = fetchedFrom + end - 1
    const records = entries.slice(from, end).flatMap(toSourceRecord)
    const fetchedOffset = fetchedFrom + from
    const batch = { partition, fetchedOffset, lastOffset, highWatermark, records, isStale }
    const taken = this.#member.state.onBatch(batch)
    if (taken === NOTHING_TAKEN) return false
    // Whoever resolves the last record of a batch that is shown has resolved what lies hidden behind it.
    const isAllShown = end === entries.length && taken === records.at(-1)?.offset
    this.#positions.set(partition, (isAllShown ? lastOffset : taken) + 1)
    return taken === lastOffset
  }

  #seekCountOf(partition: number): number {
    return this.#seekCounts.get(partition) ?? 0
  }

  #applySeek(partition: number): void {
    const sought = this.#seeks.get(partition)
    if (sought === undefined) return
    this.#seeks.delete(partition)
    this.#positions.set(partition, sought)
  }

  #log(partition: number): PartitionLog {
    return this.#deps.world.log(partition)
  }
}

function toSourceRecord({ offset, appendTimeMs, record }: LogEntry): SourceRecord[] {
  if (record === null) return []
  return [{ offset, appendTimeMs, key: record.key, value: record.value, headers: record.headers }]
}
