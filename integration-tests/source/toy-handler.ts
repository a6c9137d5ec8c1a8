import type { SourceRecord, Task, TaskHandler } from '../../src/model/task.ts'

export interface ToyOptions {
  /** Milliseconds of stream time after which the records of a key are put away, by key: so that settling is out of order. */
  readonly delayOf: (key: string) => number
  readonly mayDeliver: () => boolean
  /** Stores a group of offsets; what it returns is awaited before they settle. */
  readonly store: (task: Task, offsets: number[]) => Promise<void>
  readonly onTaken?: (task: Task, record: SourceRecord) => 'taken' | 'blocked'
  readonly onSkipped?: (task: Task, record: SourceRecord) => void
}

/** Groups the records of a key, stores each group when its time has come, and then settles it as a whole. */
export class ToyHandler implements TaskHandler {
  readonly #task: Task
  readonly #options: ToyOptions
  readonly #open = new Map<string, { offsets: number[]; lastMs: number }>()
  #clockMs = 0
  #isLost = false

  constructor(task: Task, options: ToyOptions) {
    this.#task = task
    this.#options = options
  }

  onRecord(record: SourceRecord): 'taken' | 'blocked' {
    if (this.#options.onTaken?.(this.#task, record) === 'blocked') return 'blocked'
    this.#clockMs = Math.max(this.#clockMs, record.appendTimeMs)
    const key = String(record.key)
    const group = this.#open.get(key) ?? { offsets: [], lastMs: 0 }
    group.offsets.push(record.offset)
    group.lastMs = record.appendTimeMs
    this.#open.set(key, group)
    return 'taken'
  }

  onSkipped(record: SourceRecord): void {
    this.#clockMs = Math.max(this.#clockMs, record.appendTimeMs)
    this.#options.onSkipped?.(this.#task, record)
  }

  onQuiet(clockMs: number): void {
    this.#clockMs = Math.max(this.#clockMs, clockMs)
  }

  onTick(): void {
    if (!this.#options.mayDeliver()) return
    for (const [key, group] of this.#open) {
      if (this.#clockMs < group.lastMs + this.#options.delayOf(key)) continue
      this.#open.delete(key)
      this.#options.store(this.#task, group.offsets).then(() => this.#task.settle(group.offsets))
    }
  }

  onLost(): void {
    this.#isLost = true
    this.#open.clear()
  }

  get isLost(): boolean {
    return this.#isLost
  }
}

/** 200 to 1,500 ms, by the key's characters. */
export function delayByKey(key: string): number {
  let hash = 0
  for (const character of key) hash = (Math.imul(hash, 31) + character.charCodeAt(0)) >>> 0
  return 200 + (hash % 1_300)
}
