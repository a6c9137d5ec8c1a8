import { SiderealError } from '../../model/errors.ts'
import type { Fragment } from '../../model/fragment.ts'
import type { RefusedRecord } from '../../model/sink.ts'
import type { Task } from '../../model/task.ts'
import type { DeadLetterCaps } from './dead-letter-caps.ts'
import type { SharedDelivery } from './delivery.ts'
import { placeOf } from './refused-records.ts'

/** A fragment as it was processed, with its delivery. */
export interface Part {
  readonly fragment: Fragment
  readonly shared: SharedDelivery
}

/**
 * Fragments that have refused records while their partition may have no more dead letters. They wait here with their memory, outside the
 * batches in flight, so that other partitions go on. The first of a partition is written again now and then: when the sink takes it (a
 * constraint was dropped), the others follow.
 */
export class HeldFragments {
  readonly #caps: DeadLetterCaps
  readonly #retry: (parts: readonly Part[]) => void
  readonly #byTask = new Map<Task, Part[]>()
  /** The fragment at which each partition stopped. */
  readonly #probes = new Map<Task, Part>()
  #bytes = 0

  /** @param retry writes fragments once more; they are no longer held then */
  constructor(caps: DeadLetterCaps, retry: (parts: readonly Part[]) => void) {
    this.#caps = caps
    this.#retry = retry
  }

  /** Memory that is held until a stop ends: waiting for the sinks gives nothing of it back. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * Counts what the required sinks have answered, and keeps the fragments whose refused records may not become dead letters.
   * Gives those that it keeps; they may be on their way again before the caller looks a second time.
   */
  judge(parts: readonly Part[], refused: readonly RefusedRecord[]): ReadonlySet<SharedDelivery> {
    const held = new Set<SharedDelivery>()
    const reasons = new Map(refused.map(({ record, reason }) => [placeOf(record), reason]))
    for (const part of parts) {
      const { task } = part.shared.delivery
      const caps = this.#caps.of(task)
      if (caps === undefined) continue
      const { records } = part.fragment
      const { stop } = caps.refused
      // That record alone counts: another one of the fragment may be refused for good.
      if (stop !== null && this.#probes.get(task) === part && !reasons.has(placeOf(stop))) {
        this.#probes.delete(task)
        caps.refused.release()
      }
      const isGood = reasons.size === 0 || !records.some((record) => reasons.has(placeOf(record)))
      if (isGood) {
        caps.answeredRecords += records.length
      } else if (!this.#admit(part, reasons)) {
        this.#hold(task, part)
        held.add(part.shared)
      }
    }
    return held
  }

  /** Gives back everything that is held: it is not settled, and whoever owns the partition next does it again. */
  takeAll(): Part[] {
    const parts = [...this.#byTask.values()].flat()
    this.#byTask.clear()
    this.#probes.clear()
    this.#bytes = 0
    return parts
  }

  #admit(part: Part, reasons: ReadonlyMap<string, string>): boolean {
    const { task } = part.shared.delivery
    const caps = this.#caps.of(task)
    if (caps === undefined) return true
    const { refused } = caps
    const wasStopped = refused.isStopped
    if (wasStopped && this.#probes.get(task) !== part) return false
    const first = caps.answeredRecords
    // All or none: of a fragment that is held no letter is written, though those of its records that were admitted have been counted.
    for (const [index, record] of part.fragment.records.entries()) {
      const reason = reasons.get(placeOf(record))
      if (reason === undefined) continue
      const { offset } = record
      const error = new SiderealError('SIDEREAL_ROW_REFUSED', reason)
      const tryAgain = (): void => this.#probe(task)
      if (refused.admit({ offset, reason: 'refused', error }, first + index, tryAgain)) {
        refused.note(first + index)
        continue
      }
      this.#probes.set(task, part)
      if (!wasStopped) refused.whenReleased(() => this.#releaseAll(task))
      return false
    }
    caps.answeredRecords += part.fragment.records.length
    return true
  }

  #hold(task: Task, part: Part): void {
    const parts = this.#byTask.get(task)
    if (parts === undefined) this.#byTask.set(task, [part])
    else parts.push(part)
    this.#bytes += part.shared.delivery.heldBytes
  }

  #tryAgain(parts: readonly Part[]): void {
    for (const { shared } of parts) this.#bytes -= shared.delivery.heldBytes
    this.#retry(parts)
  }

  #probe(task: Task): void {
    const probe = this.#probes.get(task)
    const parts = this.#byTask.get(task)
    if (probe === undefined || parts === undefined) return
    this.#byTask.set(
      task,
      parts.filter((part) => part !== probe),
    )
    this.#tryAgain([probe])
  }

  #releaseAll(task: Task): void {
    const parts = this.#byTask.get(task) ?? []
    this.#byTask.delete(task)
    this.#probes.delete(task)
    if (parts.length > 0) this.#tryAgain(parts)
  }
}
