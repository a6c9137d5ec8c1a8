import type { RecordHeaders } from '../../model/dead-letter.ts'
import type { Fragment } from '../../model/fragment.ts'
import type { Task } from '../../model/task.ts'

/** A closed fragment on its way to the sinks, with the memory it holds. */
export interface Delivery {
  readonly fragment: Fragment
  /** The partition that all its records come from. */
  readonly task: Task
  /** What the memory share is charged with. */
  readonly heldBytes: number
  /** A record of the fragment as it was consumed, for the dead-letter topic. */
  original(offset: number): OriginalRecord | undefined
  /** Gives the memory of its records back: `bytes` of them are invalid afterwards. */
  release(): void
}

export interface OriginalRecord {
  readonly key: Buffer
  readonly value: Buffer
  readonly headers: RecordHeaders
}

/** A delivery that several parties use: its memory is released when the last of them lets go. */
export class SharedDelivery {
  readonly delivery: Delivery
  readonly queuedAtMs: number
  #holders = 1

  constructor(delivery: Delivery, queuedAtMs: number) {
    this.delivery = delivery
    this.queuedAtMs = queuedAtMs
  }

  hold(): void {
    this.#holders += 1
  }

  letGo(): void {
    this.#holders -= 1
    if (this.#holders === 0) this.delivery.release()
  }
}

/** `partition:first-last,offset,…` of the records, for log lines: what an operator needs to find them again. Cut after `limit` ranges. */
export function offsetRanges(fragments: readonly Pick<Fragment, 'records'>[], limit = 20): string[] {
  const byPartition = new Map<string, number[]>()
  for (const { records } of fragments) {
    for (const record of records) {
      const key = `${record.topic}/${record.partition}`
      const offsets = byPartition.get(key)
      if (offsets === undefined) byPartition.set(key, [record.offset])
      else offsets.push(record.offset)
    }
  }
  const ranges: string[] = []
  for (const [key, offsets] of byPartition) {
    offsets.sort((a, b) => a - b)
    let first = offsets[0] ?? 0
    let last = first
    for (const offset of [...offsets.slice(1), Number.POSITIVE_INFINITY]) {
      if (offset === last + 1 || offset === last) {
        last = offset
        continue
      }
      ranges.push(first === last ? `${key}:${first}` : `${key}:${first}-${last}`)
      first = offset
      last = offset
    }
  }
  return ranges.length <= limit
    ? ranges
    : [...ranges.slice(0, limit), `and ${ranges.length - limit} more ranges`]
}
