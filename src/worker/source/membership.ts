import type { CommitIdentity } from './committer.ts'

/**
 * Whether this process may act as a member of its group.
 *
 * Doubt begins with every attempt to join, since nobody is told when an assignment ends. It is over when the group has been
 * joined, or when the broker takes a heartbeat of the very member and generation of before: the attempt failed, the old
 * assignment stands.
 */
export class Membership {
  #memberId: string | undefined
  #generation: number | undefined
  #attempts = 0
  #doubtSinceMs: number | undefined
  #leaseAtMs: number

  constructor(nowMs: number) {
    this.#doubtSinceMs = nowMs
    this.#leaseAtMs = nowMs
  }

  get memberId(): string | undefined {
    return this.#memberId
  }

  get doubtSinceMs(): number | undefined {
    return this.#doubtSinceMs
  }

  get leaseAtMs(): number {
    return this.#leaseAtMs
  }

  /** Who commits; undefined in doubt, and until the generation is known. */
  identity(): CommitIdentity | undefined {
    if (this.#doubtSinceMs !== undefined || this.#memberId === undefined || this.#generation === undefined) {
      return undefined
    }
    return { memberId: this.#memberId, generation: this.#generation }
  }

  onJoinStarting(nowMs: number): void {
    this.#attempts += 1
    this.#doubtSinceMs ??= nowMs
  }

  /** Returns true when no generation can have passed without us: one attempt, same member. Only then may tasks be kept. */
  onJoined(memberId: string, generation: number | undefined, nowMs: number): boolean {
    const isClean = this.#attempts === 1 && memberId === this.#memberId
    this.#memberId = memberId
    this.#generation = generation
    this.#attempts = 0
    this.#doubtSinceMs = undefined
    this.#leaseAtMs = nowMs
    return isClean
  }

  onHeartbeat(memberId: string, generation: number, nowMs: number): void {
    if (memberId !== this.#memberId) return
    // Before the next join a client has no other generation than that of the last one.
    this.#generation ??= generation
    if (this.#doubtSinceMs !== undefined && generation === this.#generation) {
      this.#doubtSinceMs = undefined
      this.#attempts = 0
    }
    this.#leaseAtMs = nowMs
  }

  /** The process itself stood still for so long: that is no silence of the group. The lease stays as old as it is. */
  shiftDoubt(byMs: number): void {
    if (this.#doubtSinceMs !== undefined) this.#doubtSinceMs += byMs
  }
}
