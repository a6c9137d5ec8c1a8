import { FactsCollector } from '../../codec/facts.ts'
import { RecordHeader } from '../../codec/record-header.ts'
import type { Clock } from '../../model/clock.ts'
import type { DeadLetterQueue } from '../../model/dead-letter.ts'
import type { PartitionCaps } from '../../model/dead-letter-cap.ts'
import type { Task, TaskHandler } from '../../model/task.ts'
import type { WorkerCounters } from '../../telemetry/counters.ts'
import { type Logger, RepeatedWarnings } from '../../telemetry/logger.ts'
import type { ClosedFragment } from './closed-fragment.ts'
import { SchemaGate, type SchemaSource } from './schema-gate.ts'
import { SlabPool } from './slabs.ts'
import { TaskAssembler } from './task-assembler.ts'
import type { ClosingRules } from './trace-table.ts'

/** What the assemblers of all partitions have in common. */
export interface AssemblyShared {
  readonly rules: ClosingRules
  readonly recentSids: number | undefined
  readonly schemas: SchemaGate
  readonly slabs: SlabPool
  /** Reused from record to record and from trace to trace: there is one thread. */
  readonly header: RecordHeader
  readonly facts: FactsCollector
  readonly deadLetters: DeadLetterQueue
  readonly counters: WorkerCounters
  readonly warnings: RepeatedWarnings
  openCaps(task: Task): PartitionCaps
  onFragment(closed: ClosedFragment): void
  /** Adds to what all open traces hold. */
  account(bytes: number, traces: number): void
  onTick(): void
  forget(assembler: TaskAssembler): void
}

export interface AssemblyOptions {
  readonly rules: ClosingRules
  /** What open traces may hold. Over it the oldest are closed; reading goes on, since a paused partition's time stands still. */
  readonly maxOpenBytes: number
  /** SIDs that a task remembers after they closed. Default 32,768. */
  readonly recentSids?: number
  readonly schemas: SchemaSource
  readonly deadLetters: DeadLetterQueue
  /** The caps of a new task, which closes them when it is lost. */
  readonly openCaps: (task: Task) => PartitionCaps
  readonly onFragment: (closed: ClosedFragment) => void
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  readonly counters: WorkerCounters
}

/** Below that part of the share closing for memory stops: so that not every record closes a trace. */
const RELIEF = 0.95
/** Memory that was not needed for that long is given back. */
const SHRINK_MS = 10_000

/** Assembly of all partitions of this worker: makes their handlers, and bounds what they hold together. */
export class Assembly {
  readonly #options: AssemblyOptions
  readonly #shared: AssemblyShared
  readonly #slabs = new SlabPool()
  readonly #gate: SchemaGate
  readonly #warnings: RepeatedWarnings
  readonly #assemblers = new Set<TaskAssembler>()
  #openBytes = 0
  #openTraces = 0
  #shareScale = 1
  #isRelieving = false
  #shrunkAtMs = 0

  constructor(options: AssemblyOptions) {
    this.#options = options
    this.#gate = new SchemaGate(options)
    this.#warnings = new RepeatedWarnings(options.logger, options.clock)
    this.#shared = {
      rules: options.rules,
      recentSids: options.recentSids,
      schemas: this.#gate,
      slabs: this.#slabs,
      header: new RecordHeader(),
      facts: new FactsCollector(),
      deadLetters: options.deadLetters,
      counters: options.counters,
      warnings: this.#warnings,
      openCaps: options.openCaps,
      onFragment: options.onFragment,
      account: (bytes, traces) => {
        this.#openBytes += bytes
        this.#openTraces += traces
        if (bytes > 0) this.#relieve()
      },
      onTick: () => this.#tidy(),
      forget: (assembler) => void this.#assemblers.delete(assembler),
    }
  }

  get openBytes(): number {
    return this.#openBytes
  }

  /** How long the schema registry has failed while a partition waits for it; 0 = it does not. */
  get registryFailingForMs(): number {
    return this.#gate.failingForMs
  }

  get openTraces(): number {
    return this.#openTraces
  }

  /** Memory allocated for record bytes, of open traces and of fragments not yet released. */
  get slabBytes(): number {
    return this.#slabs.allocatedBytes
  }

  /** For the source: one handler for each partition. */
  handlerFor(task: Task): TaskHandler {
    const assembler = new TaskAssembler(task, this.#shared)
    this.#assemblers.add(assembler)
    return assembler
  }

  /** Makes the share of memory smaller while the process is over its limit (1 = the whole share). */
  scaleShare(scale: number): void {
    this.#shareScale = scale
    if (scale < 1) this.#slabs.trim()
    this.#relieve()
  }

  close(): void {
    this.#gate.close()
  }

  /** Called by every task's tick: cheap most of the time. */
  #tidy(): void {
    this.#slabs.compact()
    const nowMs = this.#options.clock.monotonicMs()
    if (nowMs - this.#shrunkAtMs < SHRINK_MS) return
    this.#shrunkAtMs = nowMs
    this.#slabs.shrink()
  }

  /** Closes the oldest traces of all partitions until there is room again. */
  #relieve(): void {
    const share = this.#options.maxOpenBytes * this.#shareScale
    if (this.#openBytes <= share || this.#isRelieving) return
    this.#isRelieving = true
    let closed = 0
    while (this.#openBytes > share * RELIEF) {
      let oldest: TaskAssembler | null = null
      for (const assembler of this.#assemblers) {
        if (oldest === null || assembler.oldestMs < oldest.oldestMs) oldest = assembler
      }
      if (oldest === null || !oldest.closeOldest()) break
      closed += 1
    }
    this.#isRelieving = false
    this.#warnings.warn(
      'memory',
      { closed, openTraces: this.#openTraces, openBytes: this.#openBytes, share },
      'open traces are over their share of memory: the oldest were closed as memory_pressure',
    )
  }
}
