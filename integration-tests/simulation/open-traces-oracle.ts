import type { Task } from '../../src/model/task.ts'
import type { ClosingRules } from '../../src/worker/assemble/trace-table.ts'
import { type CountingRecord, isComplete } from './expected-trace.ts'
import type { PartitionLog } from './kafka-log.ts'

const REMOTE_FLAG = 0x200

/** What a task has been handed, in the order of its log. */
interface Handed {
  readonly task: Task
  readonly taken: number[]
  streamMs: number
}

/**
 * How many traces a worker may have open, from the log alone: each trace whose time has passed on its partition must be closed, whether the
 * records that moved the time were taken or had been settled before.
 */
export class OpenTracesOracle {
  readonly #rules: ClosingRules
  readonly #logOf: (partition: number) => PartitionLog
  readonly #handed = new Map<Task, Handed>()

  constructor(rules: ClosingRules, logOf: (partition: number) => PartitionLog) {
    this.#rules = rules
    this.#logOf = logOf
  }

  noteTaken(task: Task, offset: number, appendTimeMs: number): void {
    const handed = this.#of(task, appendTimeMs)
    handed.taken.push(offset)
  }

  noteSkipped(task: Task, appendTimeMs: number): void {
    this.#of(task, appendTimeMs)
  }

  /** Undefined = cannot be told: a log was cut. */
  most(): number | undefined {
    let most = 0
    for (const [task, { taken, streamMs }] of this.#handed) {
      if (!task.isAlive) {
        this.#handed.delete(task)
        continue
      }
      const log = this.#logOf(task.partition)
      if (log.cut.length > 0) return undefined
      most += this.#openIn(log, taken, streamMs)
    }
    return most
  }

  #of(task: Task, appendTimeMs: number): Handed {
    const handed = this.#handed.get(task) ?? { task, taken: [], streamMs: 0 }
    this.#handed.set(task, handed)
    handed.streamMs = Math.max(handed.streamMs, appendTimeMs)
    return handed
  }

  #openIn(log: PartitionLog, taken: readonly number[], streamMs: number): number {
    const bySid = new Map<string, CountingRecord[]>()
    for (const offset of taken) {
      const entry = log.entries[offset]
      const model = entry?.record?.model
      if (entry === undefined || model === undefined || model === null) continue
      const records = bySid.get(model.sid) ?? []
      bySid.set(model.sid, records)
      if (records.length > 0 && this.#dueMs(records) <= entry.appendTimeMs) records.length = 0
      records.push({ model, appendTimeMs: entry.appendTimeMs })
    }
    return [...bySid.values()].filter((records) => this.#dueMs(records) > streamMs).length
  }

  /** When it must be closed at the latest. */
  #dueMs(records: readonly CountingRecord[]): number {
    const { quietMs, idleMs } = this.#rules
    const hasRemote = records.some(
      ({ model }) => 'spans' in model && model.spans.some(({ flags }) => (flags & REMOTE_FLAG) !== 0),
    )
    return records.at(-1)!.appendTimeMs + (!hasRemote && isComplete(records) ? quietMs : idleMs)
  }
}
