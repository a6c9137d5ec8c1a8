import type { Task, TaskHandler } from '../../model/task.ts'
import { SettledSet } from './settled-set.ts'
import type { CommittedRow } from './source-port.ts'

/** What a task tells its owner. */
export interface TaskOwner {
  onSettled(task: SourceTask): void
  onUnblock(task: SourceTask): void
}

/** Append times kept to say how old the watermark is; samples closer than this are not kept. */
const SAMPLE_MS = 100
const MAX_SAMPLES = 20_000

/** One assigned partition: position, settled offsets, clock. A partition that is lost and comes back is another task. */
export class SourceTask implements Task {
  readonly topic: string
  readonly partition: number
  readonly #owner: TaskOwner
  readonly #loss = new AbortController()

  isAlive = true
  streamTimeMs = 0
  handler: TaskHandler | undefined
  /** Waiting for its log start since the ledger was read. */
  row: CommittedRow | undefined
  /** What the ledger says, while the end of the log is asked for. */
  begins: { readonly settled: SettledSet; readonly logStart: number } | undefined

  /** Begins where its log does, whatever the group says, until it has committed itself: what the group says is of a log that is no more. */
  startsOver = false
  /** What the task before this one had settled, when the log was found to be shorter than what that one had read. */
  former: SettledSet | undefined

  /** The next offset to take. */
  position = -1
  /** Not before the ledger has been read. */
  isReady = false
  isBlocked = false
  /** Counts calls of `unblock`, so that one that comes before `onRecord` has answered is not lost. */
  unblocks = 0
  /** A batch began elsewhere: the log is being asked why. */
  isJumping = false
  /** What the client was told last. */
  isPaused = false
  jumpTimes: number[] = []

  /** End of the partition as the broker last said; −1 = not known. */
  endOffset = -1
  /** Monotonic time at which the newest record was read; −1 = none yet. */
  newestReadAtMs = -1

  /** Changes with everything that a commit would say. */
  version = 0
  confirmedVersion = 0
  confirmedOffset = -1
  readonly triedOffsets = new Set<number>()
  dirtySinceMs: number | undefined
  /** The broker's row may have been wiped: commit even if nothing changed. */
  mustCommit = false
  ledgerCharacters = 0

  #settled = new SettledSet(0)
  readonly #samples: { offset: number; appendTimeMs: number }[] = []

  constructor(topic: string, partition: number, owner: TaskOwner) {
    this.topic = topic
    this.partition = partition
    this.#owner = owner
  }

  get lost(): AbortSignal {
    return this.#loss.signal
  }

  get settled(): SettledSet {
    return this.#settled
  }

  /** The log has had at least so many offsets: those that were read, and those that the ledger named. */
  get knownEnd(): number {
    return Math.max(this.position, this.#settled.end)
  }

  get watermark(): number {
    return this.#settled.watermark
  }

  /** @param former what was settled of this very log before it was cut, as far as it is not yet known to be there; undefined = it was another log */
  startOver(former: SettledSet | undefined): void {
    this.startsOver = true
    this.former = former
    // At once: whoever comes after us would believe what the group says.
    this.mustCommit = true
  }

  /** The ledger has been read: the task begins at its watermark. */
  open(settled: SettledSet, confirmedOffset: number): void {
    this.#settled = settled
    this.position = settled.watermark
    this.confirmedOffset = confirmedOffset
    // The next assignment may be told of it when this one has committed already.
    this.triedOffsets.add(confirmedOffset)
    this.row = undefined
    this.isReady = true
  }

  settle(offsets: readonly number[]): void {
    if (!this.isAlive || !this.isReady) return
    // What has not been read cannot be settled: a mistake of the caller must not skip records.
    const read = offsets.every((offset) => offset < this.position)
      ? offsets
      : offsets.filter((offset) => offset < this.position)
    if (this.#settled.settle(read)) this.#changed()
  }

  /** Offsets that hold no record, or that retention took. Returns how many of them were unsettled. */
  settleGap(from: number, to: number): number {
    const count = this.#settled.settleRange(from, to)
    if (count > 0) this.#changed()
    return count
  }

  /** The group's row is gone: it must be committed again, and a commit that is on its way may have come before. */
  forgetRow(): void {
    this.#changed()
  }

  unblock(): void {
    this.unblocks += 1
    if (this.isAlive) this.#owner.onUnblock(this)
  }

  lose(): void {
    this.isAlive = false
    this.isReady = false
    this.handler?.onLost()
    this.handler = undefined
    this.#loss.abort()
  }

  noteRead(offset: number, appendTimeMs: number): void {
    if (appendTimeMs > this.streamTimeMs) this.streamTimeMs = appendTimeMs
    const last = this.#samples.at(-1)
    if (last === undefined || appendTimeMs - last.appendTimeMs >= SAMPLE_MS) {
      this.#samples.push({ offset, appendTimeMs })
      if (this.#samples.length > MAX_SAMPLES) this.#samples.splice(1, 1)
    }
  }

  /** Append time of the record at the watermark, at most a little too early; undefined when nothing below the position is open. */
  watermarkTimeMs(): number | undefined {
    if (this.watermark >= this.position) return undefined
    let passed = 0
    while (passed + 1 < this.#samples.length && this.#samples[passed + 1]!.offset <= this.watermark) passed++
    if (passed > 0) this.#samples.splice(0, passed)
    return this.#samples[0]?.appendTimeMs
  }

  #changed(): void {
    this.version += 1
    this.#owner.onSettled(this)
  }
}
