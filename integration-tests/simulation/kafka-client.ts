import type { SeededRandom } from '../../src/audit/seeded-random.ts'
import type { SiderealError } from '../../src/model/errors.ts'
import type { SourceSettings } from '../../src/worker/source/source-options.ts'
import type {
  CommitRequest,
  CommittedRow,
  OffsetQuestion,
  SourcePort,
} from '../../src/worker/source/source-port.ts'
import type { SourceState } from '../../src/worker/source/source-state.ts'
import { type ClientCall, KafkaFetches } from './kafka-fetches.ts'
import type { JoinAnswer } from './kafka-group.ts'
import type { PartitionLog } from './kafka-log.ts'
import type { RunOptions } from './options.ts'
import type { SimProcess } from './scheduler.ts'
import type { World } from './world.ts'

const REQUEST_TIMEOUT_MS = 1_500
const REJOIN_MS = 300

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
  readonly #fetches: KafkaFetches
  #joins = 0
  #assignment = 0
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
    this.#fetches = new KafkaFetches({
      world,
      settings,
      random,
      member: () => ({
        state: this.#state,
        memberId: this.#memberId,
        generation: this.#generation,
        assigned: this.#assigned,
        joins: this.#joins,
        isStopped: this.#isStopped,
      }),
      call: (call) => this.#call(call),
      after: (delayMs, run) => this.#after(delayMs, run),
      join: () => this.#join(),
    })
  }

  start(state: SourceState): void {
    this.#state = state
    if (this.#settings.isInstanceIdSet) {
      for (const memberId of this.#world.group.membersOf(this.#clientId)) this.#world.group.leave(memberId)
    }
    this.#join()
    this.#heartbeatLater()
    this.#fetches.start()
  }

  leave(): void {
    this.#isStopped = true
    this.#world.group.leave(this.#memberId)
  }

  /** See {@link KafkaFetches.goAstray}. */
  goAstray(by: number): void {
    this.#fetches.goAstray(by)
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

  repeatNext(partition: number): void {
    this.#fetches.repeatNext(partition)
  }

  outOfRangeNext(partition: number, joinsAfterMs: number): void {
    this.#fetches.outOfRangeNext(partition, joinsAfterMs)
  }

  seek(partition: number, offset: number): void {
    this.#fetches.seek(partition, offset)
  }

  pause(partitions: readonly number[]): void {
    this.#fetches.pause(partitions)
  }

  resume(partitions: readonly number[]): void {
    this.#fetches.resume(partitions)
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
    this.#fetches.beginAssignment()
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

  #log(partition: number): PartitionLog {
    return this.#world.log(partition)
  }

  #after(delayMs: number, run: () => void): void {
    this.#world.scheduler.post(delayMs, this.#process, `${this.#process.name} client`, run)
  }

  #call<Answer>(call: ClientCall<Answer>): void {
    this.#world.network.call({ ...call, process: this.#process, timeoutMs: REQUEST_TIMEOUT_MS })
  }
}
