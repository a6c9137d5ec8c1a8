import type { Clock } from '../../model/clock.ts'
import type { SourceRecord, TaskHandlerFactory } from '../../model/task.ts'
import type { Logger } from '../../telemetry/logger.ts'
import { decodeLedger } from './ledger.ts'
import type { QuestionKind } from './log-questions.ts'
import { SettledSet } from './settled-set.ts'
import type { SourceBatch } from './source-port.ts'
import type { SourceCounters } from './source-stats.ts'
import type { SourceTask } from './source-task.ts'
import type { TaskTable } from './task-table.ts'

/** What `onBatch` answers when nothing of the batch may be resolved: it comes again. */
export const NOTHING_TAKEN = -1

const JUMP_WINDOW_MS = 60_000
const MAX_JUMPS = 3

export interface IntakeDeps {
  readonly clock: Clock
  readonly logger: Logger
  readonly table: TaskTable
  readonly counters: SourceCounters
  readonly createHandler: TaskHandlerFactory
  readonly ask: (kind: QuestionKind, tasks: readonly SourceTask[]) => void
  readonly commitNow: () => void
  readonly fail: (reason: string, cause?: unknown) => void
}

/**
 * How records come in: from the watermark of the ledger on, each batch exactly where the last one ended. A batch that begins
 * elsewhere is not taken until the log has said why.
 */
export class Intake {
  readonly #deps: IntakeDeps
  #isStopped = false

  constructor(deps: IntakeDeps) {
    this.#deps = deps
  }

  stop(): void {
    this.#isStopped = true
  }

  get isStopped(): boolean {
    return this.#isStopped
  }

  /** Takes a batch. Returns the last offset that was taken, or {@link NOTHING_TAKEN}. Never throws. */
  take(batch: SourceBatch): number {
    const { table, counters } = this.#deps
    const task = table.get(batch.partition)
    if (task === undefined || !this.#isOpen(task) || batch.isStale) return NOTHING_TAKEN
    // The client hands over what it has fetched before: it comes again once reading goes on.
    if (table.isPaused) {
      counters.refusedBatches += 1
      return NOTHING_TAKEN
    }
    if (batch.fetchedOffset !== task.position) {
      this.#jump(task, batch.fetchedOffset)
      return NOTHING_TAKEN
    }
    task.endOffset = batch.highWatermark
    task.newestReadAtMs = this.#deps.clock.monotonicMs()
    const before = task.position
    try {
      for (const record of batch.records) {
        // A record may close traces, and those fill the share: the rest of the batch waits where the log keeps it. What is hidden behind
        // the last record does not: whoever resolves that one makes kafkajs go on behind the batch.
        if (table.isPaused) {
          counters.refusedBatches += 1
          return task.position - 1
        }
        if (record.offset > task.position) this.#skipTo(task, record.offset)
        if (!this.#takeRecord(task, record)) return task.position > before ? task.position - 1 : NOTHING_TAKEN
      }
    } catch (cause) {
      this.#deps.fail(
        `a record of partition ${task.partition} near offset ${task.position - 1} met a bug`,
        cause,
      )
      return NOTHING_TAKEN
    }
    if (task.position <= batch.lastOffset) this.#skipTo(task, batch.lastOffset + 1)
    return batch.lastOffset
  }

  /** What was read at the offsets of the former topic says nothing of this one, even where the log looks as if it went on. */
  beginInNewTopic(task: SourceTask): void {
    const { topic, partition, position } = task
    this.#deps.logger.error(
      { topic, partition, position },
      'the topic was deleted and created anew: the partition is read from its start',
    )
    this.#startOver(task)
  }

  unblock(task: SourceTask): void {
    if (!task.isBlocked) return
    task.isBlocked = false
    this.#deps.table.seek(task)
    this.#deps.table.applyPauses([task])
  }

  /** The log start of a task whose committed row is known: it begins. */
  begin(task: SourceTask, logStart: number): void {
    const { row } = task
    if (row === undefined || this.#isStopped) return
    if (row.offset < 0) {
      this.#countFormer(task, logStart)
      this.#open(task, new SettledSet(logStart), logStart)
      return
    }
    const settled = this.#readLedger(task, row.offset, row.metadata)
    if (settled.countAbove === 0) {
      this.#open(task, settled, logStart)
      return
    }
    task.begins = { settled, logStart }
    this.#deps.ask('start-end', [task])
  }

  /**
   * The end of the log of a task whose ledger names offsets above the watermark. An unclean election may have cut the log below them: then
   * other records will come at these offsets, and taking them for settled would lose them.
   */
  onStartEnd(task: SourceTask, end: number): void {
    const { begins } = task
    if (begins === undefined || this.#isStopped) return
    task.begins = undefined
    if (begins.settled.end <= end) {
      this.#open(task, begins.settled, begins.logStart)
      return
    }
    const { topic, partition } = task
    const { watermark, end: settledEnd } = begins.settled
    this.#deps.counters.truncations += 1
    this.#deps.logger.error(
      { topic, partition, end, settledEnd },
      'the partition ends before what was settled: its ledger is ignored',
    )
    // At once: whoever comes after us would believe the old one again, when the log has grown past it.
    task.mustCommit = true
    this.#open(task, new SettledSet(watermark), begins.logStart)
  }

  #open(task: SourceTask, settled: SettledSet, logStart: number): void {
    const { createHandler, table } = this.#deps
    const committedOffset = task.row?.offset ?? -1
    task.open(settled, committedOffset)
    if (committedOffset >= 0 && logStart > task.position) {
      this.#lost(task, logStart, task.settleGap(committedOffset, logStart))
      task.position = task.watermark
    }
    task.handler = createHandler(task)
    table.seek(task)
    table.applyPauses([task])
    if (task.mustCommit) this.#deps.commitNow()
  }

  /**
   * The log is asked at once, and not only when a batch begins elsewhere: the client may begin where this task does, or at a row that was committed
   * since and is out of range like the one before.
   */
  onOutOfRange(task: SourceTask): void {
    task.forgetRow()
    if (task.isReady && !task.isJumping && !this.#isStopped) this.#askWhy(task)
  }

  onJumpStart(task: SourceTask, logStart: number): void {
    if (logStart <= task.position) {
      this.#deps.ask('jump-end', [task])
      return
    }
    const from = task.position
    task.position = logStart
    this.#lost(task, logStart, task.settleGap(from, logStart))
    this.#goOn(task)
  }

  onJumpEnd(task: SourceTask, end: number): void {
    if (end < task.knownEnd) {
      this.#beginAgain(task, end)
      return
    }
    const nowMs = this.#deps.clock.monotonicMs()
    task.jumpTimes = [...task.jumpTimes.filter((atMs) => nowMs - atMs < JUMP_WINDOW_MS), nowMs]
    if (task.jumpTimes.length < MAX_JUMPS) this.#goOn(task)
    else
      this.#deps.fail(
        `partition ${task.partition} jumped ${MAX_JUMPS} times in a minute without a reason in its log`,
      )
  }

  /** The broker named the end after the question was sent: if that is the position, all that was appended before has been read. */
  onEnd(task: SourceTask, end: number, sentAtMs: number): void {
    task.endOffset = end
    if (!task.isReady || this.#isStopped) return
    // A log that was cut shows no batch that begins elsewhere before it has grown again, and then it may have grown past the position.
    // An answer to a question that was sent before the last batch proves nothing.
    if (end < task.knownEnd && !task.isJumping && task.newestReadAtMs < sentAtMs) this.#askWhy(task)
    if (end !== task.position || task.streamTimeMs === 0) return
    task.handler?.onQuiet(task.streamTimeMs + Math.max(0, sentAtMs - task.newestReadAtMs))
  }

  #isOpen(task: SourceTask): boolean {
    return task.isReady && !task.isBlocked && !task.isJumping && !this.#isStopped
  }

  /** Hands one record over. False = the task is blocked on it. */
  #takeRecord(task: SourceTask, record: SourceRecord): boolean {
    const { counters, table } = this.#deps
    task.noteRead(record.offset, record.appendTimeMs)
    task.position = record.offset + 1
    if (task.settled.has(record.offset)) {
      counters.skipped += 1
      task.handler?.onSkipped(record)
      return true
    }
    const { unblocks } = task
    if (task.handler?.onRecord(record) !== 'blocked') {
      counters.records += 1
      return true
    }
    task.position = record.offset
    counters.blocked += 1
    task.isBlocked = true
    if (task.unblocks === unblocks) table.applyPauses([task])
    else this.unblock(task)
    return false
  }

  /** Offsets without a record. */
  #skipTo(task: SourceTask, position: number): void {
    const from = task.position
    task.position = position
    task.settleGap(from, position)
  }

  #readLedger(task: SourceTask, watermark: number, metadata: string | null): SettledSet {
    const { set, problem } = decodeLedger(metadata, task, watermark)
    if (problem !== undefined) {
      this.#deps.counters.ledgersIgnored += 1
      this.#deps.logger.warn(
        { topic: task.topic, partition: task.partition, problem },
        'a ledger was ignored: its records are done again',
      )
    }
    return set
  }

  #jump(task: SourceTask, fetchedOffset: number): void {
    this.#deps.counters.jumps += 1
    this.#deps.logger.warn(
      { topic: task.topic, partition: task.partition, position: task.position, fetchedOffset },
      'a batch began elsewhere than the last one ended',
    )
    this.#askWhy(task)
  }

  #askWhy(task: SourceTask): void {
    task.isJumping = true
    this.#deps.table.applyPauses([task])
    this.#deps.ask('jump-start', [task])
  }

  /** The client may have wiped the committed row on its way here: commit at once, changed or not. */
  #goOn(task: SourceTask): void {
    task.isJumping = false
    task.mustCommit = true
    this.#deps.table.seek(task)
    this.#deps.table.applyPauses([task])
    this.#deps.commitNow()
  }

  /** The log ends before what was read: the topic was created anew, or an unclean election cut it. What is there is read again. */
  #beginAgain(task: SourceTask, end: number): void {
    const { topic, partition, position } = task
    this.#deps.logger.error(
      { topic, partition, position, end },
      'the partition ends before what was read: it is read again from its start',
    )
    this.#startOver(task, task.settled)
  }

  /** @param former what was settled of this very log; undefined = it was another one */
  #startOver(task: SourceTask, former?: SettledSet): void {
    const { table, counters } = this.#deps
    counters.truncations += 1
    table.drop(task)
    const fresh = table.gain(task.partition)
    fresh.startOver(former)
    fresh.row = { partition: task.partition, offset: -1, metadata: null }
    table.tellPauses([fresh])
    this.#deps.ask('start', [fresh])
  }

  /** A log that is read again from its start: what was read of it, not settled, and deleted since does not come again. */
  #countFormer(task: SourceTask, logStart: number): void {
    const { former } = task
    if (former === undefined) return
    task.former = undefined
    const count = former.settleRange(former.watermark, logStart)
    if (count > 0) this.#lost(task, logStart, count)
  }

  #lost(task: SourceTask, logStart: number, count: number): void {
    this.#deps.counters.lostByRetention += count
    task.mustCommit = true
    this.#deps.logger.error(
      { topic: task.topic, partition: task.partition, logStart, lost: count },
      'records were deleted before they were read: retention is shorter than the lag',
    )
  }
}
