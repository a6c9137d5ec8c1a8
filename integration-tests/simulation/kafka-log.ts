import type { ProducedRecord } from './records.ts'

export interface LogEntry {
  readonly offset: number
  readonly appendTimeMs: number
  /** Null = a control record: an offset that is never shown. */
  readonly record: ProducedRecord | null
}

/** One partition of the input topic at the broker. */
export class PartitionLog {
  readonly partition: number
  start = 0
  leader: number
  /** Leaders' clocks differ: append times may go back when the leader moves. */
  clockSkewMs = 0
  /** What the log holds or has held, by offset; retention leaves it here, for the oracle. */
  readonly entries: LogEntry[] = []
  /** Records that an unclean election took: they may be in the tables or not. */
  readonly cut: LogEntry[] = []
  /** Nothing is appended until the group has noticed that the log is shorter. */
  isHeld = false

  constructor(partition: number, leader: number) {
    this.partition = partition
    this.leader = leader
  }

  get end(): number {
    return this.entries.length
  }

  append(record: ProducedRecord | null, nowMs: number): LogEntry {
    const entry = { offset: this.end, appendTimeMs: Math.floor(nowMs) + this.clockSkewMs, record }
    this.entries.push(entry)
    return entry
  }

  retain(share: number): void {
    this.start = Math.max(this.start, this.start + Math.floor((this.end - this.start) * share))
  }

  /** Returns true when something was cut. */
  truncate(share: number): boolean {
    const to = this.start + Math.floor((this.end - this.start) * share)
    if (to === this.end) return false
    this.cut.push(...this.entries.splice(to))
    this.isHeld = true
    return true
  }
}
