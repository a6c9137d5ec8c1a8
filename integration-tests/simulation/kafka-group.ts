import { type AssignableMember, assignPartitions } from '../../src/worker/source/assign-partitions.ts'
import type {
  CommitEntry,
  CommitRequest,
  CommitResult,
  CommittedRow,
} from '../../src/worker/source/source-port.ts'
import type { Scheduler } from './scheduler.ts'

export interface JoinAnswer {
  readonly memberId: string
  readonly generation: number
  readonly partitions: readonly number[]
}

interface Member extends AssignableMember {
  readonly clientId: string
  lastSeenMs: number
  /** Waits for the end of the rebalance. */
  onJoined: ((answer: JoinAnswer) => void) | null
}

export type GroupError = 'REBALANCE_IN_PROGRESS' | 'ILLEGAL_GENERATION' | 'UNKNOWN_MEMBER_ID'

export interface GroupOptions {
  readonly topic: string
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  readonly maxMetadataCharacters: number
  /** Before an entry becomes the group's: the oracle looks at it. */
  readonly onCommit: (entry: CommitEntry, memberId: string) => void
}

const SWEEP_MS = 400

/** A consumer group at its coordinator, with the rules of Apache Kafka's classic protocol. */
export class KafkaGroup {
  readonly #options: GroupOptions
  readonly #scheduler: Scheduler
  readonly #members = new Map<string, Member>()
  readonly #rows = new Map<number, CommitEntry>()
  #lastMember = 0
  #rebalance: { cancel(): void } | null = null
  #assigned: ReadonlyMap<string, readonly number[]> = new Map()
  #round = 0
  generation = 0
  /** As far as the leader's metadata knows. */
  knownPartitions: number

  constructor(options: GroupOptions, scheduler: Scheduler, partitions: number) {
    this.#options = options
    this.#scheduler = scheduler
    this.knownPartitions = partitions
    this.#sweepLater()
  }

  row(partition: number): CommittedRow {
    return this.#rows.get(partition) ?? { partition, offset: -1, metadata: '' }
  }

  membersOf(clientId: string): string[] {
    return [...this.#members.values()]
      .filter((member) => member.clientId === clientId)
      .map(({ memberId }) => memberId)
  }

  join(
    who: { memberId: string; instanceId: string; clientId: string },
    onJoined: (answer: JoinAnswer) => void,
  ): void {
    if (this.#answersAtRest(who.memberId, onJoined)) return
    const memberId = this.#members.has(who.memberId) ? who.memberId : `${who.clientId}-${++this.#lastMember}`
    this.#members.set(memberId, {
      ...who,
      memberId,
      lastSeenMs: this.#scheduler.nowMs,
      onJoined,
    })
    this.#prepare()
    this.#completeIfAllAreHere()
  }

  /** A follower that joins again as it was is told what it has: the generation goes on. A leader makes the group rebalance. */
  #answersAtRest(memberId: string, onJoined: (answer: JoinAnswer) => void): boolean {
    const member = this.#members.get(memberId)
    const [leader] = this.#members.keys()
    if (this.#rebalance !== null || member === undefined || memberId === leader) return false
    member.lastSeenMs = this.#scheduler.nowMs
    onJoined({ memberId, generation: this.generation, partitions: this.#assigned.get(memberId) ?? [] })
    return true
  }

  heartbeat(memberId: string, generation: number): GroupError | undefined {
    const member = this.#members.get(memberId)
    if (member === undefined) return 'UNKNOWN_MEMBER_ID'
    if (generation !== this.generation) return 'ILLEGAL_GENERATION'
    member.lastSeenMs = this.#scheduler.nowMs
    return this.#rebalance === null ? undefined : 'REBALANCE_IN_PROGRESS'
  }

  leave(memberId: string): void {
    if (this.#members.delete(memberId)) this.#prepare()
  }

  commit(request: CommitRequest): CommitResult {
    const error = this.#fence(request.memberId, request.generation)
    if (error !== undefined) return { confirmed: [], error: new Error(error), isMetadataTooLarge: false }
    const confirmed = request.entries.filter(
      ({ metadata }) => metadata.length <= this.#options.maxMetadataCharacters,
    )
    for (const entry of confirmed) {
      this.#options.onCommit(entry, request.memberId)
      this.#rows.set(entry.partition, entry)
    }
    const isMetadataTooLarge = confirmed.length < request.entries.length
    return {
      confirmed: isMetadataTooLarge ? [] : confirmed,
      error: isMetadataTooLarge ? new Error('OFFSET_METADATA_TOO_LARGE') : undefined,
      isMetadataTooLarge,
    }
  }

  /** kafkajs commits −2 of its own accord when an offset is out of range, and wipes the ledger. */
  wipe(memberId: string, generation: number, partition: number): boolean {
    if (this.#fence(memberId, generation) !== undefined) return false
    this.#rows.set(partition, { partition, offset: -2, metadata: '' })
    return true
  }

  /** The leader sees new partitions, or a leader rejoins: the group rebalances. */
  rebalance(): void {
    if (this.#members.size > 0) this.#prepare()
  }

  #fence(memberId: string, generation: number): GroupError | undefined {
    if (!this.#members.has(memberId)) return 'UNKNOWN_MEMBER_ID'
    return generation === this.generation ? undefined : 'ILLEGAL_GENERATION'
  }

  #prepare(): void {
    if (this.#rebalance !== null) {
      this.#completeIfAllAreHere()
      return
    }
    const round = ++this.#round
    const { rebalanceTimeoutMs } = this.#options
    this.#rebalance = this.#scheduler.post(rebalanceTimeoutMs, null, 'rebalance timeout', () => {
      if (round === this.#round) this.#complete()
    })
  }

  #completeIfAllAreHere(): void {
    if (this.#rebalance === null) return
    for (const member of this.#members.values()) if (member.onJoined === null) return
    // A moment for others to come, as the coordinator waits for its first members.
    const round = this.#round
    this.#scheduler.post(5, null, 'group is complete', () => {
      if (round !== this.#round || this.#rebalance === null) return
      for (const member of this.#members.values()) if (member.onJoined === null) return
      this.#complete()
    })
  }

  #complete(): void {
    this.#rebalance?.cancel()
    this.#rebalance = null
    this.#round += 1
    for (const [id, member] of this.#members) if (member.onJoined === null) this.#members.delete(id)
    this.generation += 1
    const partitions = Array.from({ length: this.knownPartitions }, (_, i) => i)
    const assigned = assignPartitions(this.#options.topic, partitions, [...this.#members.values()])
    this.#assigned = assigned
    for (const member of this.#members.values()) {
      member.lastSeenMs = this.#scheduler.nowMs
      const { onJoined, memberId } = member
      member.onJoined = null
      onJoined?.({ memberId, generation: this.generation, partitions: assigned.get(memberId) ?? [] })
    }
  }

  #sweepLater(): void {
    this.#scheduler.post(SWEEP_MS, null, 'sessions', () => {
      const oldestMs = this.#scheduler.nowMs - this.#options.sessionTimeoutMs
      for (const member of [...this.#members.values()]) {
        // Who waits in a join has no session to keep.
        if (member.onJoined === null && member.lastSeenMs < oldestMs) this.leave(member.memberId)
      }
      this.#sweepLater()
    })
  }
}
