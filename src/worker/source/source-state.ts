import type { Clock } from '../../model/clock.ts'
import { SiderealError } from '../../model/errors.ts'
import type { TaskHandlerFactory } from '../../model/task.ts'
import { type Logger, RepeatedWarnings } from '../../telemetry/logger.ts'
import { Committer } from './committer.ts'
import { crashReason } from './crash-reason.ts'
import { Intake, NOTHING_TAKEN } from './intake.ts'
import { LogQuestions, type QuestionKind } from './log-questions.ts'
import { Membership } from './membership.ts'
import type { SettledSet } from './settled-set.ts'
import type { SourceSettings } from './source-options.ts'
import type { CommitResult, CommittedRow, SourceBatch, SourcePort } from './source-port.ts'
import { SourceCounters, type SourceStats, sourceStats } from './source-stats.ts'
import type { SourceTask, TaskOwner } from './source-task.ts'
import { TaskTable } from './task-table.ts'
import { Watchdog } from './watchdog.ts'

export interface SourceStateDeps {
  readonly settings: SourceSettings
  readonly clock: Clock
  readonly logger: Logger
  readonly port: SourcePort
  readonly createHandler: TaskHandlerFactory
}

const LEDGER_RETRY_MS = 250
/** Nothing is written with a lease older than this share of the session: the group may have given our partitions away. */
const LEASE_SHARE = 0.8

/**
 * The rules of the source, without I/O and without waiting: the client's events come in, effects go out through
 * {@link SourcePort}, time comes from the clock alone. A batch is taken only where the last one ended; nothing is committed that
 * was not settled; in doubt nothing is written or committed; whoever loses a partition forgets all of it.
 */
export class SourceState {
  readonly #deps: SourceStateDeps
  readonly #table: TaskTable
  readonly #membership: Membership
  readonly #committer: Committer
  readonly #questions: LogQuestions
  readonly #intake: Intake
  readonly #watchdog: Watchdog
  readonly #counters = new SourceCounters()
  #assignment = 0
  #reading: { sinceMs: number; nextAtMs: number } | undefined
  #nextHandlerTickAtMs = 0
  #nextQuietAtMs = 0
  #failure: SiderealError | undefined
  readonly #pauses: RepeatedWarnings

  constructor(deps: SourceStateDeps) {
    const { settings, clock, logger, port, createHandler } = deps
    const counters = this.#counters
    this.#deps = deps
    this.#pauses = new RepeatedWarnings(logger, clock)
    this.#membership = new Membership(clock.monotonicMs())
    this.#watchdog = new Watchdog(settings, clock.monotonicMs())
    const owner: TaskOwner = {
      onSettled: (task) => this.#committer.noteSettled(task),
      onUnblock: (task) => this.#guard('unblock', () => this.#intake.unblock(task)),
    }
    const table = new TaskTable({ topic: settings.topic, port, counters, owner })
    this.#table = table
    this.#committer = new Committer({
      ...deps,
      tasks: () => table.values(),
      identity: () => (this.#failure === undefined ? this.#membership.identity() : undefined),
      isReadingLedger: () => this.#reading !== undefined,
    })
    this.#questions = new LogQuestions(clock, port, (...answer) => this.#onAnswer(...answer))
    this.#intake = new Intake({
      clock,
      logger,
      table,
      counters,
      createHandler,
      ask: (kind, tasks) => this.#questions.ask(kind, tasks),
      commitNow: () => this.#committer.commitNow(),
      fail: (reason, cause) => this.#fail(reason, cause),
    })
  }

  /** The client is about to send JoinGroup, on whatever path. */
  onJoinStarting(): void {
    this.#membership.onJoinStarting(this.#nowMs())
  }

  /** The group was joined. Must be called before the first fetch of the new assignment; `generation` where the client knows it. */
  onGroupJoined(joined: {
    memberId: string
    generation: number | undefined
    partitions: readonly number[]
  }): void {
    this.#guard('group join', () => {
      const nowMs = this.#nowMs()
      const former = this.#membership.memberId
      const isClean = this.#membership.onJoined(joined.memberId, joined.generation, nowMs)
      this.#watchdog.noteFetch(nowMs)
      this.#counters.rebalances += 1
      this.#committer.abandon()
      this.#questions.clear()
      this.#takeOver(joined.partitions, isClean)
      this.#assignment += 1
      this.#reading = undefined
      if (joined.partitions.length > 0) this.#readLedger(nowMs)
      const fields = { partitions: joined.partitions, isClean, memberId: joined.memberId }
      if (former === undefined || former === joined.memberId) {
        this.#deps.logger.info(fields, 'joined the group')
      } else {
        this.#deps.logger.warn(
          fields,
          'joined the group as a new member: the session had ended, or another process has this instance id',
        )
      }
    })
  }

  /** The broker took a heartbeat. */
  onHeartbeat(heartbeat: { memberId: string; generation: number }): void {
    this.#membership.onHeartbeat(heartbeat.memberId, heartbeat.generation, this.#nowMs())
  }

  /** The group rebalances, and the client says so before it joins: the last moment to commit in this generation. */
  onRebalancing(): void {
    this.#guard('commit', () => this.#committer.commitNow())
  }

  /** A fetch came back, with or without records. */
  onFetch(): void {
    this.#watchdog.noteFetch(this.#nowMs())
  }

  /** The topic is another one than before, of the same name: no offset of before means anything. */
  onTopicCreatedAnew(): void {
    this.#guard('topic', () => {
      for (const task of this.#table.all()) this.#intake.beginInNewTopic(task)
    })
  }

  /** The client stopped by itself. */
  onCrash(cause: Error): void {
    this.#fail(crashReason(cause), cause)
  }

  onLedgerRead(assignment: number, rows: readonly CommittedRow[]): void {
    if (assignment !== this.#assignment || this.#reading === undefined) return
    // A task without its row would never be ready, and nobody would ask again.
    const missing = this.#table.all().find((task) => !rows.some((row) => row.partition === task.partition))
    if (missing !== undefined) {
      this.onLedgerFailed(assignment, new Error(`the answer lacks partition ${missing.partition}`))
      return
    }
    this.#reading = undefined
    this.#guard('ledger', () => {
      for (const row of rows) this.#onRow(row)
      const unready = this.#table.all().filter((task) => task.row !== undefined)
      this.#table.tellPauses(unready)
      if (unready.length > 0) this.#questions.ask('start', unready)
    })
  }

  onLedgerFailed(assignment: number, cause: Error): void {
    if (assignment !== this.#assignment || this.#reading === undefined) return
    this.#deps.logger.warn({ error: cause.message }, 'the committed offsets could not be read; trying again')
    this.#reading.nextAtMs = this.#nowMs() + LEDGER_RETRY_MS
  }

  onOffsets(id: number, offsets: ReadonlyMap<number, number>): void {
    this.#guard('offsets', () => this.#questions.onOffsets(id, offsets))
  }

  onOffsetsFailed(id: number): void {
    this.#questions.onFailed(id)
  }

  onCommitted(id: number, result: CommitResult): void {
    this.#guard('commit', () => this.#committer.onCommitted(id, result))
  }

  /** An offset was out of range, and the client has overwritten what the group knows of the partition, or tried to. */
  onRowWiped(partition: number): void {
    this.#guard('wiped row', () => {
      const task = this.#table.get(partition)
      if (task !== undefined) this.#intake.onOutOfRange(task)
    })
  }

  /** Takes a batch. Returns the last offset that was taken, or {@link NOTHING_TAKEN}. Never throws. */
  onBatch(batch: SourceBatch): number {
    return this.#failure === undefined ? this.#intake.take(batch) : NOTHING_TAKEN
  }

  /** Stops the intake of all partitions until every reason given is taken back. Heartbeats go on. */
  pause(reason: string): void {
    this.#table.pause(reason)
    this.#pauses.warn(reason, { reason, lagSeconds: Math.round(this.#lagMs() / 1_000) }, 'reading is paused')
  }

  resume(reason: string): void {
    this.#table.resume(reason)
  }

  /** No more records and no more ticks for handlers; settling and committing go on. */
  stopIntake(): void {
    this.#intake.stop()
    this.#table.pause('stopping')
  }

  commitNow(): void {
    this.#committer.commitNow()
  }

  /** True when there is nothing left to commit, or nobody who may. */
  get isCommitted(): boolean {
    return this.#committer.isClean || this.#membership.identity() === undefined || this.#failure !== undefined
  }

  get memberId(): string | undefined {
    return this.#membership.memberId
  }

  /** Drops all tasks, as if every partition had been lost. */
  loseAll(): void {
    for (const task of this.#table.all()) this.#table.drop(task)
  }

  /** Ask before each write to a sink: is this process still the owner, as far as it can know, and do its commits get through? */
  mayDeliver(): boolean {
    const { sessionTimeoutMs, maxUncommittedMs } = this.#deps.settings
    const nowMs = this.#nowMs()
    if (this.#failure !== undefined || this.#membership.doubtSinceMs !== undefined) return false
    if (nowMs - this.#membership.leaseAtMs > LEASE_SHARE * sessionTimeoutMs) return false
    const waitingSinceMs = this.#committer.uncommittedSinceMs()
    return waitingSinceMs === undefined || nowMs - waitingSinceMs <= maxUncommittedMs
  }

  stats(): SourceStats {
    return sourceStats({
      tasks: this.#table.all(),
      counters: this.#counters,
      committer: this.#committer,
      nowMs: this.#deps.clock.nowMs(),
      loopAgeMs: this.#nowMs() - this.#watchdog.lastFetchAtMs,
      isInDoubt: this.#membership.doubtSinceMs !== undefined,
      pauseReasons: this.#table.pauseReasons,
    })
  }

  /** To be called about ten times a second. */
  tick(): void {
    this.#guard('tick', () => {
      const nowMs = this.#nowMs()
      this.#watch(nowMs)
      if (this.#failure !== undefined) return
      if (this.#reading !== undefined && nowMs >= this.#reading.nextAtMs) {
        this.#readLedger(this.#reading.sinceMs)
      }
      this.#questions.tick(nowMs)
      if (!this.#intake.isStopped) {
        this.#askQuiet(nowMs)
        this.#tickHandlers(nowMs)
      }
      this.#committer.tick(nowMs)
    })
  }

  #takeOver(partitions: readonly number[], isClean: boolean): void {
    const owned = new Set(partitions)
    const startingOver = new Map<number, SettledSet | undefined>()
    for (const task of this.#table.all()) {
      if (task.startsOver) startingOver.set(task.partition, task.former)
      if (isClean && task.isReady && owned.has(task.partition)) this.#table.keep(task)
      else this.#table.drop(task)
    }
    for (const partition of owned) {
      if (this.#table.get(partition) !== undefined) continue
      const task = this.#table.gain(partition)
      if (startingOver.has(partition)) task.startOver(startingOver.get(partition))
    }
    this.#table.tellPauses(this.#table.all())
  }

  #onRow(row: CommittedRow): void {
    const task = this.#table.get(row.partition)
    if (task === undefined || (task.isReady && task.startsOver)) return
    if (!task.isReady) {
      task.row = task.startsOver ? { ...row, offset: -1, metadata: null } : row
    } else if (row.offset < 0) {
      task.mustCommit = true
    } else if (row.offset !== task.confirmedOffset && !task.triedOffsets.has(row.offset)) {
      // Somebody else committed: what this task holds is not the whole truth any more.
      this.#counters.kept -= 1
      this.#table.drop(task)
      this.#table.gain(row.partition).row = row
    }
  }

  /** By assignment, not by attempt: a join that fails leaves the assignment as it is, and its ledger is still wanted. */
  #readLedger(sinceMs: number): void {
    if (this.#intake.isStopped) return
    this.#reading = { sinceMs, nextAtMs: Number.POSITIVE_INFINITY }
    this.#deps.port.readLedger(
      this.#assignment,
      this.#table.all().map((task) => task.partition),
    )
  }

  #onAnswer(kind: QuestionKind, task: SourceTask, offset: number, sentAtMs: number): void {
    switch (kind) {
      case 'start':
        this.#intake.begin(task, offset)
        break
      case 'start-end':
        this.#intake.onStartEnd(task, offset)
        break
      case 'jump-start':
        this.#intake.onJumpStart(task, offset)
        break
      case 'jump-end':
        this.#intake.onJumpEnd(task, offset)
        break
      case 'quiet':
        this.#intake.onEnd(task, offset, sentAtMs)
    }
  }

  #askQuiet(nowMs: number): void {
    const { quietPollMs } = this.#deps.settings
    if (nowMs < this.#nextQuietAtMs || this.#questions.hasQuietQuestion) return
    this.#nextQuietAtMs = nowMs + quietPollMs
    const quiet = this.#table
      .all()
      .filter(
        (task) =>
          task.isReady && !task.isJumping && !task.isBlocked && nowMs - task.newestReadAtMs >= quietPollMs,
      )
    if (quiet.length > 0) this.#questions.ask('quiet', quiet)
  }

  #tickHandlers(nowMs: number): void {
    if (nowMs < this.#nextHandlerTickAtMs) return
    this.#nextHandlerTickAtMs = nowMs + this.#deps.settings.tickMs
    for (const task of this.#table.all()) task.handler?.onTick()
  }

  #watch(nowMs: number): void {
    this.#membership.shiftDoubt(this.#watchdog.noteTick(nowMs))
    const verdict = this.#watchdog.verdict(nowMs, {
      doubtSinceMs: this.#membership.doubtSinceMs,
      waitingSinceMs: this.#reading?.sinceMs ?? this.#questions.waitingSinceMs(),
    })
    if (verdict !== undefined) this.#fail(verdict)
  }

  #guard(what: string, run: () => void): void {
    if (this.#failure !== undefined) return
    try {
      run()
    } catch (cause) {
      this.#fail(`a bug was met (${what})`, cause)
    }
  }

  #fail(reason: string, cause?: unknown): void {
    if (this.#failure !== undefined) return
    const { topic, groupId } = this.#deps.settings
    this.#failure = new SiderealError(
      'SIDEREAL_SOURCE_LOST',
      `lost the source ${topic} of group ${groupId}: ${reason}; start the process again, it goes on where it was`,
      { cause },
    )
    this.#deps.port.fatal(this.#failure)
  }

  /** Of the partition that is furthest behind, while more waits there. */
  #lagMs(): number {
    return this.stats().tasks.reduce((most, { lagMs }) => Math.max(most, lagMs), 0)
  }

  #nowMs(): number {
    return this.#deps.clock.monotonicMs()
  }
}
