import type { Fragment } from '../../src/model/fragment.ts'
import type { Task } from '../../src/model/task.ts'
import { decodeLedger } from '../../src/worker/source/ledger.ts'
import { SettledSet } from '../../src/worker/source/settled-set.ts'
import type { CommitEntry, CommitRequest, CommittedRow } from '../../src/worker/source/source-port.ts'
import { checkEnd } from './check-end.ts'
import { isComplete } from './expected-trace.ts'
import type { LogEntry } from './kafka-log.ts'
import type { SimProcess } from './scheduler.ts'
import { placeOf } from './sinks.ts'
import type { WorkerLife } from './worker-life.ts'
import type { World } from './world.ts'

/** Share of the session after which nobody may write any more. */
const LEASE_SHARE = 0.8
/** A record of the simulation with what it costs in memory, at most. */
const MAX_RECORD_BYTES = 2_500
/** A fragment with the facts of its rows, against its records alone, at most. */
const FACTS_FACTOR = 2.5
/** Within so much of a process's time it notices that its memory is short. */
const MEMORY_PAUSE_MS = 250

export interface RetentionLoss {
  readonly partition: number
  readonly logStart: number
  readonly count: number
}

/** What the oracle remembers of one task. */
export interface TaskSeen {
  readonly taken: Set<number>
  /** What its ledger said when it began. */
  settled: SettledSet | undefined
}

/** Watches a run from outside. The first promise that is broken ends it. */
export class Oracle {
  readonly #world: World
  /** Offsets below are known to be done, by partition. */
  readonly #verified = new Map<number, number>()
  /** What each process was told of the ledger, by partition. */
  readonly #told = new Map<string, Map<number, CommittedRow>>()
  readonly #done = new WeakSet<LogEntry>()
  readonly losses: RetentionLoss[] = []
  /** Where a group begins without a committed offset: what was deleted before that, nobody can count. */
  readonly unknownBelow = new Map<number, number>()
  violation: string | undefined

  constructor(world: World) {
    this.#world = world
  }

  fail(message: string): void {
    this.violation ??= message
  }

  guard(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.fail(error instanceof Error ? error.message : String(error))
    }
  }

  /** At the broker: nothing is committed, as watermark or in the ledger, that has not come to its end. */
  onCommit(entry: CommitEntry): void {
    const { partition, offset, metadata } = entry
    const log = this.#world.log(partition)
    const before = this.#world.group.row(partition)
    if (offset < before.offset && log.cut.length === 0) {
      this.fail(`the committed offset of partition ${partition} went back from ${before.offset} to ${offset}`)
    }
    const from = Math.min(this.#verified.get(partition) ?? 0, log.end)
    for (let o = from; o < Math.min(offset, log.end); o++) this.#requireDone(partition, o, 'committed')
    this.#verified.set(partition, Math.max(from, Math.min(offset, log.end)))
    const { set, problem } = decodeLedger(metadata, { topic: this.#world.topic, partition }, offset)
    if (problem !== undefined) this.fail(`the ledger of partition ${partition} cannot be read: ${problem}`)
    for (let o = offset; o < Math.min(set.end, log.end); o++) {
      if (set.has(o)) this.#requireDone(partition, o, 'in the ledger')
    }
  }

  onCommitSent(process: SimProcess, isInDoubt: boolean, request: CommitRequest): void {
    if (isInDoubt) this.fail(`${process.name} commits while in doubt (generation ${request.generation})`)
  }

  onWrite(process: SimProcess, sink: string, fragments: readonly Fragment[]): void {
    const life = this.#world.lives.find((one) => one.process === process)
    if (life === undefined || !process.isAlive) return
    const own = new Set(life.state.stats().tasks.map(({ partition }) => partition))
    for (const { records, sid } of fragments) {
      // A best-effort sink may send what the new owner sends again.
      if (sink !== 'otlp' && records.some(({ partition }) => !own.has(partition))) {
        this.fail(`${process.name} writes ${sid} to ${sink}, of a partition that it has lost`)
      }
    }
    if (life.client.isInDoubt) this.fail(`${process.name} writes to ${sink} while in doubt`)
    const ageMs = this.#world.scheduler.nowMs - life.client.leaseAtMs
    if (ageMs > LEASE_SHARE * this.#world.options.sessionTimeoutMs + 1) {
      this.fail(`${process.name} writes to ${sink} with a lease of ${ageMs} ms`)
    }
  }

  onLedgerRead(process: SimProcess, rows: readonly CommittedRow[]): void {
    const told = this.#told.get(process.name) ?? new Map<number, CommittedRow>()
    this.#told.set(process.name, told)
    for (const row of rows) told.set(row.partition, row)
  }

  /** The broker names the start of a log. Who has no committed offset begins there. */
  onLogStartAsked(process: SimProcess, partition: number): void {
    const row = this.#told.get(process.name)?.get(partition)
    if (row !== undefined && row.offset < 0)
      this.unknownBelow.set(partition, this.#world.log(partition).start)
  }

  /** A task takes each record once, and none that its ledger says is settled. */
  onTaken(process: SimProcess, task: Task, offset: number, seen: TaskSeen): void {
    const place = `${task.partition}/${offset}`
    this.#checkMemory(process, place)
    if (seen.taken.has(offset)) this.fail(`${process.name} takes ${place} twice in one life of the task`)
    seen.taken.add(offset)
    seen.settled ??= this.#settledFor(process, task.partition)
    // What an unclean election cut is read again from the start, as it must be.
    if (this.#world.log(task.partition).cut.length > 0 || !seen.settled.has(offset)) return
    this.fail(`${process.name} takes ${place} again, and its ledger says that it is settled`)
  }

  /** Near its memory limit a process reads nothing until what it holds is delivered. */
  #checkMemory(process: SimProcess, place: string): void {
    const life = this.#world.lives.find((one) => one.process === process)
    const { nowMs } = this.#world.scheduler
    const since = [life?.overMemorySinceMs, life?.undeliveredSinceMs, process.stoppedUntilMs]
    if (since.some((atMs) => atMs === undefined || nowMs - atMs < MEMORY_PAUSE_MS)) return
    this.fail(`${process.name} takes ${place} while it is over its memory limit and has fragments to deliver`)
  }

  /** Records that are settled move the time as well: no trace may stay open over its age while they pass. */
  onSkipped(process: SimProcess, oldestMs: number, appendTimeMs: number): void {
    const { rules, appendSkewMs } = this.#world.options
    if (appendSkewMs > 0 || oldestMs + rules.maxAgeMs > appendTimeMs) return
    this.fail(
      `${process.name} keeps a trace open that is ${appendTimeMs - oldestMs} ms old while settled records pass`,
    )
  }

  checkOpenTraces({ process, pipeline, openTraces }: WorkerLife): void {
    if (this.#world.options.appendSkewMs > 0) return
    const most = openTraces.most()
    const open = pipeline.assembly.openTraces
    if (most === undefined || open <= most) return
    this.fail(`${process.name} has ${open} open traces, and the time of all but ${most} has passed`)
  }

  /** What the ledger that a process read says of a partition. */
  #settledFor(process: SimProcess, partition: number): SettledSet {
    const row = this.#told.get(process.name)?.get(partition)
    if (row === undefined) {
      this.fail(`${process.name} reads partition ${partition} before its ledger`)
      return new SettledSet(0)
    }
    const place = { topic: this.#world.topic, partition }
    return row.offset < 0 ? new SettledSet(0) : decodeLedger(row.metadata, place, row.offset).set
  }

  /** How a fragment was cut: neither before its time nor long after it. */
  onFragment(fragment: Fragment): void {
    const { rules, appendSkewMs, isMemorySmall } = this.#world.options
    const { reason, records, sid } = fragment
    const about = `${sid} (${records.map(({ partition, offset }) => `${partition}/${offset}`).join(' ')})`
    if (records.length === 0) this.fail(`an empty fragment of ${sid}`)
    const times = records.map(({ receivedAtMs }) => receivedAtMs)
    const lastMs = Math.max(...times)
    const firstMs = Math.min(...times)
    const nowMs = this.#world.scheduler.nowMs + appendSkewMs
    const waitMs =
      reason === 'complete' || reason === 'late' ? rules.quietMs : reason === 'idle' ? rules.idleMs : 0
    if (nowMs < lastMs + waitMs)
      this.fail(`${about} closed as ${reason} ${lastMs + waitMs - nowMs} ms too early`)
    if (reason === 'max_age' && nowMs < firstMs + rules.maxAgeMs)
      this.fail(`${about} closed as max_age too early`)
    const isShort = isMemorySmall || this.#world.hadMemoryPressure
    if (reason === 'memory_pressure' && !isShort) this.fail(`${about} closed for memory that was not short`)
    if (fragment.rowCount > rules.maxRows && records.length > 1)
      this.fail(`${about} has ${fragment.rowCount} rows`)
    if (fragment.byteLength > rules.maxBytes && records.length > 1)
      this.fail(`${about} has ${fragment.byteLength} bytes`)
    if (appendSkewMs === 0) {
      this.#checkGaps(fragment, about)
      if (waitMs > 0) this.#checkNothingIsNear(fragment, about, lastMs + waitMs)
    }
    if (reason === 'complete') this.#checkComplete(fragment, about)
  }

  /** After each step: what the workers hold. */
  afterStep(): void {
    for (const life of this.#world.lives) {
      if (!life.process.isAlive || life.hasLeft) continue
      const { assembly, caps, deliverer, memory } = life.pipeline
      const { openBytes, undeliveredBytes } = life.shares
      // What is held waits for somebody to mend what its partition stopped at: reading nothing would not make it less.
      if (deliverer.isIdle) life.undeliveredSinceMs = undefined
      else life.undeliveredSinceMs ??= this.#world.scheduler.nowMs
      // Traces of a partition that stands still for refused rows stay open: closed they would be held, and give nothing back.
      const isStopped = caps.stops.some(({ reason }) => reason === 'refused')
      const share = isStopped ? openBytes : openBytes * memory.scale
      if (assembly.openBytes > share) {
        this.fail(
          `${life.process.name} holds ${assembly.openBytes} bytes in open traces; its share is ${share}`,
        )
      }
      // One record may close all that is open, whose facts then count too; the rest of its batch waits. What is held has a share of its own.
      const most = openBytes * FACTS_FACTOR + undeliveredBytes * 2 + MAX_RECORD_BYTES
      if (assembly.openBytes + deliverer.undeliveredBytes > most) {
        this.fail(
          `${life.process.name} holds ${deliverer.undeliveredBytes} undelivered bytes; its share is ${undeliveredBytes}`,
        )
      }
    }
  }

  onErrorLine(fields: Readonly<Record<string, unknown>>, message: string): void {
    if (!message.startsWith('records were deleted before they were read')) return
    this.losses.push({
      partition: Number(fields['partition']),
      logStart: Number(fields['logStart']),
      count: Number(fields['lost']),
    })
  }

  /** Everything has come to rest: is all of it right? */
  checkEnd(): void {
    this.guard(() => checkEnd(this.#world, (partition, entry) => this.isDone(partition, entry)))
  }

  /** Has a record come to the end that it must come to? */
  isDone(partition: number, entry: LogEntry): boolean {
    const { record, offset, appendTimeMs } = entry
    if (record === null || this.#done.has(entry)) return true
    const { tables, deadLetters, archived, options } = this.#world
    const place = placeOf(partition, offset, appendTimeMs)
    if (record.end !== 'rows') return deadLetters.has(place)
    if (record.mayEnd !== undefined && deadLetters.has(place)) return true
    const { model, revision } = record
    const version = (BigInt(revision) << 48n) + BigInt(appendTimeMs)
    const isDone =
      model !== null &&
      (!options.hasArchive || archived.has(place)) &&
      record.rows.every(({ table, key }) => tables.hasRow(table, key, version)) &&
      record.factKeys.every((key) => tables.hasFactKey(record.sid, model.appId, key, version))
    if (isDone) this.#done.add(entry)
    return isDone
  }

  #requireDone(partition: number, offset: number, what: string): void {
    const log = this.#world.log(partition)
    const entry = log.entries[offset]
    if (entry === undefined || offset < log.start || this.isDone(partition, entry)) return
    this.fail(`${partition}/${offset} (${entry.record?.about}) is ${what} and not settled`)
  }

  /** The log alone says when a trace must have been cut: no record may join one whose time had passed. */
  #checkGaps({ records, reason }: Fragment, about: string): void {
    const { rules } = this.#world.options
    for (const [i, record] of records.entries()) {
      const before = records[i - 1]
      if (before === undefined) continue
      if (before.offset >= record.offset || before.partition !== record.partition) {
        this.fail(`${about} is not in the order of its partition`)
      }
      const gapMs = record.receivedAtMs - before.receivedAtMs
      const isTooLate = gapMs >= (reason === 'late' ? rules.quietMs : rules.idleMs)
      if (isTooLate || record.receivedAtMs - records[0]!.receivedAtMs >= rules.maxAgeMs) {
        this.fail(
          `${about} should have been cut before ${record.offset}, ${gapMs} ms after the record before it`,
        )
      }
    }
  }

  /** A trace that fell quiet has nothing more in the log before its time was up: or it was closed by a clock that ran ahead. */
  #checkNothingIsNear({ records, sid }: Fragment, about: string, dueMs: number): void {
    const { partition, offset } = records.at(-1)!
    const log = this.#world.log(partition)
    if (log.cut.length > 0) return
    for (let o = Math.max(offset + 1, log.start); o < log.end; o++) {
      const entry = log.entries[o]!
      if (entry.appendTimeMs >= dueMs) return
      const { record } = entry
      // One that may become a dead letter joins no trace then.
      const isAny =
        record === null || record.sid !== sid || record.model === null || record.mayEnd !== undefined
      if (isAny || this.isDone(partition, entry)) continue
      this.fail(`${about} was closed before ${o} was read, which came in time`)
    }
  }

  #checkComplete({ records }: Fragment, about: string): void {
    const models = records.map((record) => ({
      model: this.#modelAt(record),
      appendTimeMs: record.receivedAtMs,
    }))
    const known = models.flatMap(({ model, appendTimeMs }) =>
      model === undefined ? [] : [{ model, appendTimeMs }],
    )
    if (known.length < models.length) return
    if (!isComplete(known)) this.fail(`${about} closed as complete, and something is missing`)
  }

  #modelAt({ partition, offset }: Fragment['records'][number]) {
    return this.#world.log(partition).entries[offset]?.record?.model ?? undefined
  }
}
