import type { Clock } from '../../model/clock.ts'
import { type Logger, RepeatedWarnings } from '../../telemetry/logger.ts'
import { encodeLedger } from './ledger.ts'
import type { SourceSettings } from './source-options.ts'
import type { CommitEntry, CommitResult, SourcePort } from './source-port.ts'
import type { SourceTask } from './source-task.ts'

export interface CommitIdentity {
  readonly memberId: string
  readonly generation: number
}

export interface CommitterDeps {
  readonly settings: SourceSettings
  readonly clock: Clock
  readonly logger: Logger
  readonly port: SourcePort
  readonly tasks: () => Iterable<SourceTask>
  /** Undefined = nobody may commit now: no group, no generation, or doubt. */
  readonly identity: () => CommitIdentity | undefined
  /** True while the committed rows are being read: what was confirmed before must stay known. */
  readonly isReadingLedger: () => boolean
}

interface InFlight {
  readonly id: number
  readonly builtAtMs: number
  readonly hasPacked: boolean
  readonly tasks: ReadonlyMap<number, { task: SourceTask; version: number; entry: CommitEntry }>
}

/**
 * Commits watermark and ledger of every task that changed: one request at a time, one try each, with the member and generation of
 * the moment in which the list was built. A failure costs nothing but the time until the next list.
 */
export class Committer {
  readonly #deps: CommitterDeps
  readonly #warnings: RepeatedWarnings
  #inFlight: InFlight | undefined
  #isAskedAgain = false
  #nextAtMs = 0
  #lastId = 0
  #maxCharacters: number
  #mayPack: boolean
  okCount = 0
  failedCount = 0

  constructor(deps: CommitterDeps) {
    this.#deps = deps
    this.#warnings = new RepeatedWarnings(deps.logger, deps.clock)
    this.#maxCharacters = deps.settings.maxLedgerCharacters
    this.#mayPack = deps.settings.ledgerText === 'auto'
  }

  noteSettled(task: SourceTask): void {
    task.dirtySinceMs ??= this.#deps.clock.monotonicMs()
  }

  tick(nowMs: number): void {
    if (nowMs < this.#nextAtMs) return
    this.commitNow()
  }

  /** Commits what changed; when a commit is on its way, right after it. */
  commitNow(): void {
    if (this.#inFlight !== undefined) {
      this.#isAskedAgain = true
      return
    }
    const { clock, settings } = this.#deps
    this.#isAskedAgain = false
    this.#nextAtMs = clock.monotonicMs() + settings.commitIntervalMs
    const identity = this.#deps.identity()
    if (identity === undefined) return
    const inFlight = this.#build(++this.#lastId)
    if (inFlight.tasks.size === 0) return
    this.#inFlight = inFlight
    const entries = [...inFlight.tasks.values()].map(({ entry }) => entry)
    this.#deps.port.commit({ id: inFlight.id, ...identity, entries })
  }

  /** After a join no answer to an earlier request says anything about the new generation. */
  abandon(): void {
    this.#inFlight = undefined
  }

  onCommitted(id: number, result: CommitResult): void {
    const inFlight = this.#inFlight
    if (inFlight === undefined || inFlight.id !== id) return
    this.#inFlight = undefined
    for (const entry of result.confirmed) {
      const committed = inFlight.tasks.get(entry.partition)
      if (committed !== undefined) this.#confirm(committed, inFlight.builtAtMs)
    }
    if (result.error === undefined) {
      this.okCount += 1
    } else {
      this.failedCount += 1
      if (result.isMetadataTooLarge) this.#shrink(inFlight.hasPacked)
      this.#warnings.warn(
        'commit',
        { error: result.error.message },
        'a commit failed; the next one goes out with fresh state',
      )
    }
    if (this.#isAskedAgain) this.commitNow()
  }

  /** True when every task's state is confirmed and nothing is on its way. */
  get isClean(): boolean {
    if (this.#inFlight !== undefined) return false
    for (const task of this.#deps.tasks()) if (isDirty(task)) return false
    return true
  }

  /** Since when the oldest unconfirmed settlement waits (monotonic); undefined when there is none. */
  uncommittedSinceMs(): number | undefined {
    let oldest: number | undefined
    for (const task of this.#deps.tasks()) {
      const since = task.dirtySinceMs
      if (since !== undefined && (oldest === undefined || since < oldest)) oldest = since
    }
    return oldest
  }

  #build(id: number): InFlight {
    const tasks = new Map<number, { task: SourceTask; version: number; entry: CommitEntry }>()
    const limits = { maxCharacters: this.#maxCharacters, mayPack: this.#mayPack }
    let hasPacked = false
    for (const task of this.#deps.tasks()) {
      if (!isDirty(task)) continue
      const ledger = encodeLedger(task.settled, task, limits)
      hasPacked ||= ledger.isPacked
      task.ledgerCharacters = ledger.metadata.length
      task.triedOffsets.add(task.watermark)
      const entry = { partition: task.partition, offset: task.watermark, metadata: ledger.metadata }
      tasks.set(task.partition, { task, version: task.version, entry })
    }
    return { id, builtAtMs: this.#deps.clock.monotonicMs(), hasPacked, tasks }
  }

  #confirm(committed: { task: SourceTask; version: number; entry: CommitEntry }, builtAtMs: number): void {
    const { task, version, entry } = committed
    task.confirmedVersion = version
    task.confirmedOffset = entry.offset
    task.mustCommit = false
    task.startsOver = false
    task.dirtySinceMs = task.version === version ? undefined : builtAtMs
    if (this.#deps.isReadingLedger()) return
    task.triedOffsets.clear()
    task.triedOffsets.add(entry.offset)
  }

  /** The broker refused a metadata string: it counts bytes, or its limit is lower than ours. */
  #shrink(hadPacked: boolean): void {
    if (hadPacked) this.#mayPack = false
    else this.#maxCharacters = Math.floor(this.#maxCharacters / 2)
    this.#deps.logger.warn(
      { mayPack: this.#mayPack, maxLedgerCharacters: this.#maxCharacters },
      'the broker refuses the ledger for its length: a shorter form is used from now on',
    )
    this.#isAskedAgain = true
  }
}

function isDirty(task: SourceTask): boolean {
  return task.isAlive && task.isReady && (task.version !== task.confirmedVersion || task.mustCommit)
}
