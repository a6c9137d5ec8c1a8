import { SeededRandom } from '../../src/audit/seeded-random.ts'
import { bundledSchema } from '../../src/codec/bundled-schemas.ts'
import { compileRecordType, type RecordType } from '../../src/codec/record-type.ts'
import { DEAD_LETTER_HEADERS } from '../../src/model/dead-letter.ts'
import type { DeadLetterLimits } from '../../src/model/dead-letter-cap.ts'
import type { SiderealError } from '../../src/model/errors.ts'
import type { LogFields } from '../../src/telemetry/logger.ts'
import type { DeadLetterRecord } from '../../src/worker/deliver/dead-letters.ts'
import { decodeLedger } from '../../src/worker/source/ledger.ts'
import type { CommittedRow } from '../../src/worker/source/source-port.ts'
import { BadDeploy, DEPLOYED_LOG_SCHEMA_ID, DEPLOYED_SPANS_SCHEMA_ID } from './bad-deploy.ts'
import { RefusedBudget } from './caps-oracle.ts'
import type { Fault } from './faults.ts'
import { KafkaGroup } from './kafka-group.ts'
import { PartitionLog } from './kafka-log.ts'
import { Network } from './network.ts'
import type { RunOptions } from './options.ts'
import { Oracle } from './oracle.ts'
import { PAYLOAD_LIMIT, type ProducedRecord, type TableName } from './records.ts'
import { Scheduler, SimProcess } from './scheduler.ts'
import { placeOf } from './sinks.ts'
import { type StoredFragment, type StoredRow, Tables } from './tables.ts'
import { LOG_SCHEMA_ID, SPANS_SCHEMA_ID, START_MS } from './traces.ts'
import { WorkerLife } from './worker-life.ts'

const RESTART_AFTER_FATAL_MS = 400
/** After so long a process has asked again for committed offsets that it did not get. */
const ASKED_AGAIN_MS = 2_000

export interface StoredDeadLetter {
  readonly partition: number
  readonly offset: number
  readonly reason: string
  readonly record: DeadLetterRecord
}

/** Everything outside the workers, which outlives them: Kafka, the destinations, the supervisor. */
export class World {
  readonly seed: number
  readonly options: RunOptions
  readonly topic = 'traces'
  readonly sinkTimeoutMs = 1_500
  readonly scheduler: Scheduler
  readonly network: Network
  readonly group: KafkaGroup
  readonly logs: PartitionLog[]
  readonly tables: Tables
  readonly payloads = new Set<string>()
  readonly archived = new Set<string>()
  readonly exported = new Set<string>()
  readonly deadLetters = new Map<string, StoredDeadLetter>()
  readonly oracle: Oracle
  readonly deploy = new BadDeploy()
  readonly refusedBudget: RefusedBudget
  /** Of workers that start now. */
  deadLetterLimits: DeadLetterLimits
  capStops = 0
  capReleases = 0
  lastCapReleaseMs = 0
  readonly recordTypes: ReadonlyMap<number, RecordType>
  readonly lives: WorkerLife[] = []
  /** Starts workers, and starts them again. */
  readonly supervisor = new SimProcess('supervisor')
  readonly #random: SeededRandom
  readonly #killsAt: Extract<Fault, { kind: 'kill at' }>[] = []
  readonly #requests = new Map<string, number>()
  #held: ProducedRecord[] = []
  metadataRefreshes = 0
  hadMemoryPressure = false
  /** Processes that ended without draining: what their best-effort queues held is nowhere counted. */
  deaths = 0
  fatals: string[] = []

  constructor(seed: number, options: RunOptions, recordTypes: ReadonlyMap<number, RecordType>) {
    this.seed = seed
    this.options = options
    this.recordTypes = recordTypes
    this.#random = new SeededRandom(seed, 2)
    this.scheduler = new Scheduler(START_MS, new SeededRandom(seed, 3))
    this.network = new Network(this.scheduler, new SeededRandom(seed, 4), options)
    this.network.onRequest = (process, name) => this.#onRequest(process, name)
    this.logs = Array.from({ length: options.partitions }, (_, p) => new PartitionLog(p, p % options.brokers))
    this.tables = new Tables((sha256) => this.payloads.has(sha256))
    this.oracle = new Oracle(this)
    this.deadLetterLimits = options.deadLetterLimits
    this.refusedBudget = new RefusedBudget(options.deadLetterLimits)
    this.group = new KafkaGroup(
      {
        topic: this.topic,
        sessionTimeoutMs: options.sessionTimeoutMs,
        rebalanceTimeoutMs: options.rebalanceTimeoutMs,
        maxMetadataCharacters: options.brokerLedgerCharacters,
        onCommit: (entry) => this.oracle.onCommit(entry),
      },
      this.scheduler,
      options.partitions,
    )
  }

  log(partition: number): PartitionLog {
    const log = this.logs[partition]
    if (log === undefined) throw new Error(`there is no partition ${partition}`)
    return log
  }

  /** The life of a worker that runs now, if any. */
  lifeOf(worker: number): WorkerLife | undefined {
    return this.lives.findLast((life) => life.index === worker && life.process.isAlive)
  }

  startWorker(worker: number): void {
    if (this.lifeOf(worker) !== undefined) return
    const life = new WorkerLife(this, worker, this.lives.filter(({ index }) => index === worker).length)
    this.lives.push(life)
    life.start()
  }

  kill(worker: number, awayMs: number): void {
    const life = this.lifeOf(worker)
    if (life === undefined) return
    life.process.isAlive = false
    this.deaths += 1
    this.scheduler.post(awayMs, this.supervisor, `w${worker} starts`, () => this.startWorker(worker))
  }

  /** What an operator does when bad records shall become dead letters. */
  liftLimits(): void {
    this.deadLetterLimits = { maxConsecutive: 0, maxRatio: 0 }
    this.restartAll()
  }

  restartAll(): void {
    for (let worker = 0; worker < this.options.workers; worker++) this.stop(worker, 100)
  }

  get areLimitsLifted(): boolean {
    return this.deadLetterLimits !== this.options.deadLetterLimits
  }

  stop(worker: number, awayMs: number): void {
    const life = this.lifeOf(worker)
    if (life === undefined) return
    this.scheduler.post(0, life.process, `${life.process.name} SIGTERM`, () => {
      void life.stop().then(() => {
        if (!life.process.isAlive) return
        life.process.isAlive = false
        this.scheduler.post(awayMs, this.supervisor, `w${worker} starts`, () => this.startWorker(worker))
      })
    })
  }

  onFatal(process: SimProcess, error: SiderealError): void {
    const life = this.lives.find((one) => one.process === process)
    if (life === undefined || !process.isAlive) return
    this.fatals.push(error.message)
    if (/\bbug\b/.test(error.message)) {
      this.oracle.fail(
        `${process.name} met a bug: ${error.message}; ${error.cause instanceof Error ? error.cause.stack : ''}`,
      )
    }
    if (error.message.includes('no word from the consumer group') && !life.client.isInDoubt) {
      this.oracle.fail(`${process.name} gives up for want of a word from its group, and has had one`)
    }
    const waitsSinceMs = Math.max(life.client.ledgerFailedAtMs ?? Number.NaN, process.stoppedUntilMs)
    if (error.message.includes('could not be read') && this.scheduler.nowMs - waitsSinceMs > ASKED_AGAIN_MS) {
      this.oracle.fail(
        `${process.name} gives up for want of committed offsets, and has not asked for them again`,
      )
    }
    this.kill(life.index, RESTART_AFTER_FATAL_MS)
  }

  killAt(fault: Extract<Fault, { kind: 'kill at' }>): void {
    this.#killsAt.push(fault)
  }

  produce(record: ProducedRecord | null): void {
    const partition =
      record === null ? this.#random.integer(0, this.logs.length - 1) : partitionOf(record, this.logs.length)
    const log = this.log(partition)
    if (!log.isHeld)
      this.deploy.noteAppended(
        log.append(record === null ? null : this.deploy.write(record), this.scheduler.nowMs),
      )
    else if (record !== null) this.#held.push(record)
  }

  get hasHeld(): boolean {
    return this.#held.length > 0
  }

  /**
   * Producers go on in partitions whose loss the group has noticed, and written down: whoever reads a ledger of before the cut, when the log has grown
   * past what it names, has no way to know.
   */
  releaseHeld(): void {
    for (const log of this.logs) {
      if (!log.isHeld || this.#committedEnd(log.partition) > log.end) continue
      const isAhead = this.lives.some(
        ({ process, state }) =>
          process.isAlive &&
          state
            .stats()
            .tasks.some(({ partition, position }) => partition === log.partition && position > log.end),
      )
      if (!isAhead) log.isHeld = false
    }
    const held = this.#held
    this.#held = []
    for (const record of held) this.produce(record)
  }

  /** Behind the last offset that the committed row calls settled. */
  #committedEnd(partition: number): number {
    const { offset, metadata } = this.group.row(partition)
    return decodeLedger(metadata, { topic: this.topic, partition }, offset).set.end
  }

  committedRow(partition: number): CommittedRow {
    const row = this.group.row(partition)
    const { ledger } = this.options
    if (ledger === 'kept') return row
    return { ...row, metadata: ledger === 'ignored' ? null : `${row.metadata?.slice(0, -2)}zz` }
  }

  insertRow(table: TableName, row: StoredRow): void {
    this.oracle.guard(() => this.tables.insert(table, row))
  }

  insertFragment(fragment: StoredFragment): void {
    this.oracle.guard(() => this.tables.insertFragment(fragment))
  }

  storeDeadLetter(record: DeadLetterRecord): void {
    const header = (name: keyof typeof DEAD_LETTER_HEADERS): string =>
      String(record.headers[DEAD_LETTER_HEADERS[name]])
    const partition = Number(header('partition'))
    const offset = Number(header('offset'))
    const place = placeOf(partition, offset, Number(header('appendTimeMs')))
    if (header('reason') === 'refused' && !this.areLimitsLifted) {
      const problem = this.refusedBudget.noteStored(partition, offset)
      if (problem !== undefined) this.oracle.fail(problem)
    }
    this.deadLetters.set(place, { partition, offset, reason: header('reason'), record })
  }

  onErrorLine(fields: LogFields, message: string): void {
    if (fields['code'] === 'SIDEREAL_DEAD_LETTER_CAP') this.capStops += 1
    this.oracle.onErrorLine(fields, message)
  }

  onInfoLine(fields: LogFields, message: string): void {
    if (message !== 'the partition goes on') return
    this.capReleases += 1
    this.lastCapReleaseMs = this.scheduler.nowMs
    this.refusedBudget.noteBegun(Number(fields['partition']))
  }

  #onRequest(process: SimProcess, name: string): void {
    const worker = this.lives.find((life) => life.process === process)?.index
    if (worker === undefined) return
    const key = `${worker} ${name}`
    const count = (this.#requests.get(key) ?? 0) + 1
    this.#requests.set(key, count)
    for (const fault of this.#killsAt) {
      if (fault.worker === worker && fault.request === name && fault.nth === count)
        this.kill(worker, fault.awayMs)
    }
  }
}

/** The schemas that the registry of the simulation has. Compiled once: they are functions without state. */
export function simulatedRecordTypes(): ReadonlyMap<number, RecordType> {
  const limits = { payloadLimitBytes: PAYLOAD_LIMIT }
  const compile = (name: 'sidereal.SpanBatch' | 'sidereal.NodeTraceLog', id: number) =>
    [id, compileRecordType(bundledSchema(name).json, id, limits)] as const
  return new Map([
    compile('sidereal.SpanBatch', SPANS_SCHEMA_ID),
    compile('sidereal.NodeTraceLog', LOG_SCHEMA_ID),
    compile('sidereal.SpanBatch', DEPLOYED_SPANS_SCHEMA_ID),
    compile('sidereal.NodeTraceLog', DEPLOYED_LOG_SCHEMA_ID),
  ])
}

/** A record without a key goes anywhere; by its id, so that a repetition goes there too. */
function partitionOf(record: ProducedRecord, partitions: number): number {
  const text = record.key?.toString() ?? String(record.id)
  let hash = 7
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return (hash >>> 8) % partitions
}
