import type { SeededRandom } from '../../src/audit/seeded-random.ts'
import type { SiderealError } from '../../src/model/errors.ts'
import type { SourceRecord } from '../../src/model/task.ts'
import { NOTHING_TAKEN } from '../../src/worker/source/intake.ts'
import type { SourceSettings } from '../../src/worker/source/source-options.ts'
import type {
  CommitRequest,
  CommittedRow,
  OffsetQuestion,
  SourcePort,
} from '../../src/worker/source/source-port.ts'
import type { SourceState } from '../../src/worker/source/source-state.ts'
import type { JoinAnswer } from './kafka-group.ts'
import type { LogEntry, PartitionLog } from './kafka-log.ts'
import type { RunOptions } from './options.ts'
import type { SimProcess } from './scheduler.ts'
import type { World } from './world.ts'

const REQUEST_TIMEOUT_MS = 1_500
const REJOIN_MS = 300

interface Fetched {
  readonly partition: number
  readonly from: number
  readonly entries: readonly LogEntry[]
  readonly end: number
  readonly joins: number
  /** The broker has no such offset, or says so. */
  readonly isOutOfRange: boolean
}

/**
 * A kafkajs consumer as the source sees it: it joins, sends heartbeats, fetches from each broker in a loop of its own, and does the things
 * that kafkajs does (docs/decisions/0003-source-on-kafkajs.md). `SourceState` above it is the real one.
 */
export class KafkaClient implements SourcePort {
  readonly #world: World
  readonly #process: SimProcess
  readonly #settings: SourceSettings
  readonly #random: SeededRandom
  readonly #options: RunOptions
  readonly #clientId: string
  #state: SourceState | undefined
  #memberId = ''
  #generation = -1
  #assigned: readonly number[] = []
  readonly #positions = new Map<number, number>()
  /** Partitions of which the client knows what is committed. */
  readonly #begun = new Set<number>()
  readonly #seeks = new Map<number, number>()
  readonly #paused = new Set<number>()
  #joins = 0
  #assignment = 0
  #assignments = 0
  /** Answers about committed offsets come up to so much later, until then. */
  #lateLedgers = { byMs: 0, untilMs: 0 }
  #isJoining = false
  /** The fetcher of another broker has met the same, and joins for itself: kafkajs shares no join. */
  #joinsTwice = false
  #isStopped = false
  /** Since when nobody has asked for the committed offsets again, after an attempt that failed. */
  ledgerFailedAtMs: number | undefined
  /** When the broker last took a heartbeat or a join of ours, as this process knows it. */
  leaseAtMs = 0
  /** From each attempt to join until the group has confirmed this member again. */
  isInDoubt = true

  constructor(world: World, process: SimProcess, settings: SourceSettings, random: SeededRandom) {
    this.#world = world
    this.#process = process
    this.#settings = settings
    this.#random = random
    this.#options = world.options
    this.#clientId = `sidereal-${settings.instanceId}`
  }

  start(state: SourceState): void {
    this.#state = state
    if (this.#settings.isInstanceIdSet) {
      for (const memberId of this.#world.group.membersOf(this.#clientId)) this.#world.group.leave(memberId)
    }
    this.#join()
    this.#heartbeatLater()
    for (let broker = 0; broker < this.#options.brokers; broker++) this.#fetchLater(broker, 0)
  }

  leave(): void {
    this.#isStopped = true
    this.#world.group.leave(this.#memberId)
  }

  /** What kafkajs does once in a while: the next fetch begins somewhere else. */
  goAstray(by: number): void {
    for (const [partition, position] of this.#positions) {
      const log = this.#log(partition)
      this.#positions.set(partition, Math.max(log.start, Math.min(log.end - 1, position + by)))
    }
  }

  /** A fetch met a moved leader, or new partitions: kafkajs joins again, and tells nobody. */
  joinAgain(isInVain: boolean): void {
    if (this.#generation < 0) return
    this.#join(isInVain)
    if (isInVain || this.#options.brokers === 1 || !this.#isJoining) return
    this.#joinsTwice = true
    this.#state?.onJoinStarting()
  }

  delayLedgers(byMs: number, forMs: number): void {
    this.#lateLedgers = { byMs, untilMs: this.#world.scheduler.nowMs + forMs }
  }

  /** After a leader move the fetchers of both leaders may deliver a range. */
  repeatNext(partition: number): void {
    this.#repeats.add(partition)
  }

  readonly #repeats = new Set<number>()

  outOfRangeNext(partition: number, joinsAfterMs: number): void {
    this.#outOfRange.set(partition, joinsAfterMs)
  }

  /** Partitions of which a lagging replica answers the next fetch, and when the client joins again after that. */
  readonly #outOfRange = new Map<number, number>()

  seek(partition: number, offset: number): void {
    this.#seeks.set(partition, offset)
  }

  pause(partitions: readonly number[]): void {
    for (const partition of partitions) this.#paused.add(partition)
  }

  resume(partitions: readonly number[]): void {
    for (const partition of partitions) this.#paused.delete(partition)
  }

  readLedger(assignment: number, partitions: readonly number[]): void {
    this.#assignment = assignment
    this.ledgerFailedAtMs = undefined
    const told = (rows: readonly CommittedRow[]): void => {
      if (assignment === this.#assignment) this.#world.oracle.onLedgerRead(this.#process, rows)
      this.#state?.onLedgerRead(assignment, rows)
    }
    this.#call({
      name: 'read ledger',
      serve: () => partitions.map((partition) => this.#world.committedRow(partition)),
      onAnswer: (rows) => {
        const { byMs, untilMs } = this.#lateLedgers
        if (untilMs < this.#world.scheduler.nowMs) told(rows)
        else this.#after(this.#random.next() * byMs, () => told(rows))
      },
      onError: (error) => {
        this.ledgerFailedAtMs = this.#world.scheduler.nowMs
        this.#state?.onLedgerFailed(assignment, error)
      },
    })
  }

  listOffsets({ id, at, partitions }: OffsetQuestion): void {
    this.#call({
      name: 'list offsets',
      serve: () =>
        new Map(
          partitions.map((partition) => {
            const log = this.#log(partition)
            if (at === 'earliest') this.#world.oracle.onLogStartAsked(this.#process, partition)
            return [partition, at === 'earliest' ? log.start : log.end] as const
          }),
        ),
      onAnswer: (offsets) => this.#state?.onOffsets(id, offsets),
      onError: () => this.#state?.onOffsetsFailed(id),
    })
  }

  commit(request: CommitRequest): void {
    this.#world.oracle.onCommitSent(this.#process, this.isInDoubt, request)
    this.#call({
      name: 'commit',
      serve: (share) =>
        this.#world.group.commit({
          ...request,
          entries: request.entries.slice(0, Math.ceil(request.entries.length * share)),
        }),
      onAnswer: (result) => this.#state?.onCommitted(request.id, result),
      onError: (error) =>
        this.#state?.onCommitted(request.id, { confirmed: [], error, isMetadataTooLarge: false }),
    })
  }

  refreshMetadata(): void {
    this.#world.metadataRefreshes += 1
  }

  fatal(error: SiderealError): void {
    this.#world.onFatal(this.#process, error)
  }

  /** The second request waits at the broker behind the answer to the first: they share a connection. */
  #joinSecond(): void {
    if (!this.#joinsTwice) return
    this.#joinsTwice = false
    this.#join(false, true)
  }

  #join(isInVain = false, isTold = false): void {
    if (this.#isStopped || this.#isJoining) return
    this.#isJoining = true
    if (!isTold) this.isInDoubt = true
    this.#joins += 1
    const joins = this.#joins
    if (!isTold) this.#state?.onJoinStarting()
    let isAnswered = false
    const failed = (): void => {
      if (isAnswered || joins !== this.#joins) return
      isAnswered = true
      this.#isJoining = false
      // kafkajs gives the join up and goes on in the old generation, if it has one; a heartbeat tells which.
      if (this.#generation < 0) this.#after(REJOIN_MS, () => this.#join())
      else this.#joinSecond()
    }
    if (isInVain) {
      this.#after(this.#world.network.delayMs(), failed)
      return
    }
    const who = { memberId: this.#memberId, instanceId: this.#settings.instanceId, clientId: this.#clientId }
    this.#call({
      name: 'join',
      serve: () => {
        this.#world.group.join(who, (answer) => {
          this.#world.scheduler.post(
            this.#world.network.delayMs(),
            this.#process,
            `${this.#process.name} joined`,
            () => {
              if (isAnswered || joins !== this.#joins) return
              if (this.#world.network.failureOf('join') === 'reply lost') {
                failed()
                return
              }
              isAnswered = true
              this.#onJoined(answer)
            },
          )
        })
      },
      onAnswer: () => undefined,
      onError: failed,
    })
    this.#after(this.#settings.rebalanceTimeoutMs + REQUEST_TIMEOUT_MS, failed)
  }

  #onJoined({ memberId, generation, partitions }: JoinAnswer): void {
    if (this.#isStopped) return
    this.#isJoining = false
    this.isInDoubt = false
    this.leaseAtMs = this.#world.scheduler.nowMs
    this.#memberId = memberId
    this.#generation = generation
    this.#assigned = partitions
    this.#assignments += 1
    // Not the seeks: those of kafkajs outlive an assignment.
    this.#positions.clear()
    this.#begun.clear()
    const known = this.#options.knowsGeneration ? generation : undefined
    this.#state?.onGroupJoined({ memberId, generation: known, partitions })
    this.#joinSecond()
  }

  #heartbeatLater(): void {
    this.#after(this.#settings.heartbeatMs, () => {
      this.#heartbeatLater()
      if (this.#isJoining || this.#generation < 0 || this.#isStopped) return
      const [memberId, generation] = [this.#memberId, this.#generation]
      this.#call({
        name: 'heartbeat',
        serve: () => this.#world.group.heartbeat(memberId, generation),
        onAnswer: (error) => {
          if (this.#isJoining || this.#isStopped || generation !== this.#generation) return
          if (error === undefined) {
            this.leaseAtMs = this.#world.scheduler.nowMs
            this.isInDoubt = false
            this.#state?.onHeartbeat({ memberId, generation })
            return
          }
          if (error === 'REBALANCE_IN_PROGRESS') this.#state?.onRebalancing()
          if (error === 'UNKNOWN_MEMBER_ID') this.#memberId = ''
          this.#join()
        },
        onError: () => undefined,
      })
    })
  }

  #fetchLater(broker: number, delayMs: number): void {
    this.#after(delayMs, () => {
      const led = this.#assigned.filter((partition) => this.#log(partition).leader === broker)
      for (const partition of led) this.#applySeek(partition)
      const unknown = this.#assigned.filter((partition) => !this.#begun.has(partition))
      if (unknown.length === 0 || this.#isStopped || this.#generation < 0) this.#fetch(broker, led)
      else this.#askWhereToBegin(broker, led, unknown)
    })
  }

  /** Where nobody sought, a consumer begins at the committed offset; kafkajs asks for it even so, for all partitions before any is fetched. */
  #askWhereToBegin(broker: number, led: readonly number[], unknown: readonly number[]): void {
    const assignments = this.#assignments
    this.#call({
      name: 'read ledger',
      serve: () =>
        unknown.map((partition) => {
          const { offset } = this.#world.group.row(partition)
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
    if (mine.length === 0 || this.#isStopped || this.#generation < 0) {
      // A fetcher with nothing to fetch sleeps, and says that it fetched.
      if (this.#generation >= 0) this.#state?.onFetch()
      this.#fetchLater(broker, this.#settings.maxWaitMs)
      return
    }
    const joins = this.#joins
    const asked = mine.map((partition) => ({ partition, from: this.#positions.get(partition)! }))
    this.#call({
      name: 'fetch',
      serve: () => asked.map(({ partition, from }) => this.#read(partition, from, joins)),
      onAnswer: (batches) => {
        // kafkajs throws the whole answer away, and looks at the first such partition alone.
        const outOfRange = batches.find(({ isOutOfRange }) => isOutOfRange)
        if (outOfRange !== undefined) {
          this.#resetOffset(broker, outOfRange.partition)
          return
        }
        this.#state?.onFetch()
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
    this.#state?.onFetch()
    this.#fetchLater(broker, this.#settings.maxWaitMs)
  }

  /** At the broker. */
  #read(partition: number, from: number, joins: number): Fetched {
    const log = this.#log(partition)
    const isOutOfRange = this.#outOfRange.has(partition) || from < log.start || from > log.end
    const entries = isOutOfRange ? [] : log.entries.slice(from, from + this.#options.maxFetchRecords)
    return { partition, from, entries, end: log.end, joins, isOutOfRange }
  }

  /** kafkajs commits −2 of its own accord, by a request like any other, and then asks the group where to begin. */
  #resetOffset(broker: number, partition: number): void {
    const joinsAfterMs = this.#outOfRange.get(partition)
    if (this.#outOfRange.delete(partition)) this.#after(joinsAfterMs!, () => this.#join())
    const [assignments, memberId, generation] = [this.#assignments, this.#memberId, this.#generation]
    this.#call({
      name: 'commit',
      serve: () => this.#world.group.wipe(memberId, generation, partition),
      onAnswer: (isDone) => {
        this.#state?.onRowWiped(partition)
        this.#state?.onFetch()
        if (isDone && assignments === this.#assignments) {
          this.#positions.delete(partition)
          this.#begun.delete(partition)
        }
        this.#fetchLater(broker, isDone ? 0 : this.#settings.maxWaitMs)
      },
      onError: () => {
        this.#state?.onRowWiped(partition)
        this.#fetchInVain(broker)
      },
    })
  }

  /** One batch after the other; the next fetch when all have been handled. */
  #deliver(broker: number, batches: readonly Fetched[]): void {
    const [first, ...rest] = batches
    if (first === undefined) {
      // Nothing was there: the broker would have waited for so long before it said so.
      this.#fetchLater(broker, this.#settings.maxWaitMs)
      return
    }
    this.#handle(first)
    if (this.#repeats.delete(first.partition)) this.#handle(first)
    this.#after(this.#random.next() * 2, () => {
      if (rest.length > 0) this.#deliver(broker, rest)
      else this.#fetchLater(broker, 0)
    })
  }

  #handle({ partition, from, entries, end, joins }: Fetched): void {
    if (this.#isStopped || this.#state === undefined) return
    if (joins !== this.#joins && !this.#random.chance(this.#options.oldBatchChance)) return
    const lastOffset = from + entries.length - 1
    const records = entries.flatMap(toSourceRecord)
    const isStale = this.#seeks.has(partition)
    const batch = { partition, fetchedOffset: from, lastOffset, highWatermark: end, records, isStale }
    const taken = this.#state.onBatch(batch)
    if (taken === NOTHING_TAKEN) return
    // Whoever resolves the last record that is shown has resolved what lies hidden behind it.
    this.#positions.set(partition, (taken === records.at(-1)?.offset ? lastOffset : taken) + 1)
  }

  #applySeek(partition: number): void {
    const sought = this.#seeks.get(partition)
    if (sought === undefined) return
    this.#seeks.delete(partition)
    this.#positions.set(partition, sought)
  }

  #log(partition: number): PartitionLog {
    return this.#world.log(partition)
  }

  #after(delayMs: number, run: () => void): void {
    this.#world.scheduler.post(delayMs, this.#process, `${this.#process.name} client`, run)
  }

  #call<Answer>(call: {
    name: 'join' | 'heartbeat' | 'fetch' | 'commit' | 'read ledger' | 'list offsets'
    serve: (share: number) => Answer
    onAnswer: (answer: Answer) => void
    onError: (error: Error) => void
  }): void {
    this.#world.network.call({ ...call, process: this.#process, timeoutMs: REQUEST_TIMEOUT_MS })
  }
}

function toSourceRecord({ offset, appendTimeMs, record }: LogEntry): SourceRecord[] {
  if (record === null) return []
  return [{ offset, appendTimeMs, key: record.key, value: record.value, headers: record.headers }]
}
