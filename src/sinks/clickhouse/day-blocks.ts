import type { FragmentRecord } from '../../model/fragment.ts'

/** A feeder of one table with its block. */
export interface Rows {
  readonly block: { readonly rows: number; readonly columnNames: readonly string[]; finish(): Buffer[] }
  reset(): void
}

export interface BlockLimits {
  /** A block takes no further day than this: each day of a block is a part of its own at the server. */
  maxDays: number
  maxRows: number
}

/** A block that is being filled, and the records whose rows are in it: what bisection needs. */
export interface OpenBlock<R extends Rows> {
  readonly rows: R
  readonly records: FragmentRecord[]
  readonly days: Set<number>
}

const DAY_NS = 86_400_000_000_000n

/**
 * Deals the rows of one table out to blocks, all rows of a day into one (while it has room): a batch makes no more parts than it has
 * days, and no insert has more than the server takes, whatever the order in which rows come.
 */
export class DayBlocks<R extends Rows> {
  readonly blocks: OpenBlock<R>[] = []
  readonly #take: () => R
  readonly #limits: BlockLimits
  readonly #byDay = new Map<number, OpenBlock<R>>()
  #last: { day: number; startNs: bigint; endNs: bigint; open: OpenBlock<R> } | undefined

  constructor(take: () => R, limits: BlockLimits) {
    this.#take = take
    this.#limits = limits
  }

  /** The feeder for a row of `record` whose partition is the day of `timeNs`. */
  rowsFor(timeNs: bigint, record: FragmentRecord): R {
    const open = this.#openFor(timeNs)
    if (open.records.at(-1) !== record) open.records.push(record)
    return open.rows
  }

  /** The feeder for rows of `record` whose partition is the UTC day (since 1970) `day`. */
  rowsForDay(day: number, record: FragmentRecord): R {
    const open = this.#openForDay(day)
    if (open.records.at(-1) !== record) open.records.push(record)
    return open.rows
  }

  #openFor(timeNs: bigint): OpenBlock<R> {
    const last = this.#last
    if (last !== undefined && timeNs >= last.startNs && timeNs < last.endNs && this.#hasRoom(last.open)) {
      return last.open
    }
    return this.#openForDay(Number(timeNs / DAY_NS))
  }

  #openForDay(day: number): OpenBlock<R> {
    const last = this.#last
    if (last !== undefined && last.day === day && this.#hasRoom(last.open)) return last.open
    const startNs = BigInt(day) * DAY_NS
    const known = this.#byDay.get(day)
    const open = known !== undefined && this.#hasRoom(known) ? known : this.#blockForNewDay()
    open.days.add(day)
    this.#byDay.set(day, open)
    this.#last = { day, startNs, endNs: startNs + DAY_NS, open }
    return open
  }

  #blockForNewDay(): OpenBlock<R> {
    const newest = this.blocks.at(-1)
    if (newest !== undefined && newest.days.size < this.#limits.maxDays && this.#hasRoom(newest))
      return newest
    const open: OpenBlock<R> = { rows: this.#take(), records: [], days: new Set() }
    this.blocks.push(open)
    return open
  }

  #hasRoom(open: OpenBlock<R>): boolean {
    return open.rows.block.rows < this.#limits.maxRows
  }
}
