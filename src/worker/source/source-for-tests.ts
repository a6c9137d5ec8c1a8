import type { SiderealError } from '../../model/errors.ts'
import { ManualClock } from '../../model/manual-clock.ts'
import type { SourceRecord, Task, TaskHandler } from '../../model/task.ts'
import { silentLogger } from '../../telemetry/logger.ts'
import { type SourceOptions, sourceSettings } from './source-options.ts'
import type { CommitRequest, CommittedRow, OffsetQuestion, SourcePort } from './source-port.ts'
import { SourceState } from './source-state.ts'

/** What the source told the client, in order. */
export type Effect =
  | { kind: 'seek'; partition: number; offset: number }
  | { kind: 'pause' | 'resume'; partitions: readonly number[] }
  | { kind: 'readLedger'; assignment: number; partitions: readonly number[] }
  | { kind: 'listOffsets'; question: OffsetQuestion }
  | { kind: 'commit'; request: CommitRequest }
  | { kind: 'refreshMetadata' }
  | { kind: 'fatal'; error: SiderealError }

export class RecordingPort implements SourcePort {
  effects: Effect[] = []

  seek = (partition: number, offset: number) => void this.effects.push({ kind: 'seek', partition, offset })
  pause = (partitions: readonly number[]) => void this.effects.push({ kind: 'pause', partitions })
  resume = (partitions: readonly number[]) => void this.effects.push({ kind: 'resume', partitions })
  readLedger = (assignment: number, partitions: readonly number[]) =>
    void this.effects.push({ kind: 'readLedger', assignment, partitions })
  listOffsets = (question: OffsetQuestion) => void this.effects.push({ kind: 'listOffsets', question })
  commit = (request: CommitRequest) => void this.effects.push({ kind: 'commit', request })
  refreshMetadata = () => void this.effects.push({ kind: 'refreshMetadata' })
  fatal = (error: SiderealError) => void this.effects.push({ kind: 'fatal', error })

  /** Takes the effects of one kind out of the list. */
  take<K extends Effect['kind']>(kind: K): Extract<Effect, { kind: K }>[] {
    const isOfKind = (effect: Effect): effect is Extract<Effect, { kind: K }> => effect.kind === kind
    const taken = this.effects.filter(isOfKind)
    this.effects = this.effects.filter((effect) => effect.kind !== kind)
    return taken
  }
}

/** Writes down what it is called with. */
export class RecordingHandler implements TaskHandler {
  readonly task: Task
  readonly taken: number[] = []
  readonly skipped: number[] = []
  readonly quiet: number[] = []
  ticks = 0
  isLost = false
  answer: (record: SourceRecord) => 'taken' | 'blocked' = () => 'taken'

  constructor(task: Task) {
    this.task = task
  }

  onRecord(record: SourceRecord): 'taken' | 'blocked' {
    const answer = this.answer(record)
    if (answer === 'taken') this.taken.push(record.offset)
    return answer
  }

  onSkipped = (record: SourceRecord) => void this.skipped.push(record.offset)
  onQuiet = (clockMs: number) => void this.quiet.push(clockMs)
  onTick = () => void this.ticks++
  onLost = () => {
    this.isLost = true
  }
}

/** A source with a recording client, and the client's usual answers as methods. */
export class SourceBench {
  readonly clock = new ManualClock(1_000_000)
  readonly port = new RecordingPort()
  readonly handlers: RecordingHandler[] = []
  readonly state: SourceState
  /** Append time of every record that is handed over. */
  appendTimeMs = 5_000

  constructor(options: Partial<SourceOptions> = {}) {
    this.state = new SourceState({
      settings: sourceSettings({ topic: 't', groupId: 'g', ...options }, () => 0.5),
      clock: this.clock,
      logger: silentLogger,
      port: this.port,
      createHandler: (task) => {
        const handler = new RecordingHandler(task)
        this.handlers.push(handler)
        return handler
      },
    })
  }

  /** The living handler of a partition. */
  handler(partition: number): RecordingHandler {
    const found = this.handlers.findLast((handler) => handler.task.partition === partition && !handler.isLost)
    if (found === undefined) throw new Error(`no handler for partition ${partition}`)
    return found
  }

  join(partitions: readonly number[], memberId = 'm', generation: number | undefined = 1): void {
    this.state.onJoinStarting()
    this.state.onGroupJoined({ memberId, generation, partitions })
  }

  /** Answers the open ledger request. */
  answerLedger(rows: readonly CommittedRow[]): void {
    const [request] = this.port.take('readLedger')
    if (request === undefined) throw new Error('no ledger was asked for')
    this.state.onLedgerRead(request.assignment, rows)
  }

  /** Answers the open questions about offsets, equal for all partitions. Returns how many there were. */
  answerOffsets(offset: number): number {
    const asked = this.port.take('listOffsets')
    for (const { question } of asked) {
      this.state.onOffsets(question.id, new Map(question.partitions.map((partition) => [partition, offset])))
    }
    return asked.length
  }

  /** Joins as the only member and opens each partition at offset 0. */
  open(partitions: readonly number[]): void {
    this.join(partitions)
    this.answerLedger(partitions.map((partition) => ({ partition, offset: -1, metadata: null })))
    this.answerOffsets(0)
    this.port.effects = []
  }

  /** Hands over the records `[from, to]`; what lies behind them, up to `lastOffset`, is not shown. */
  batch(partition: number, from: number, to: number, fetchedOffset = from, lastOffset = to): number {
    const records = Array.from({ length: to - from + 1 }, (_, i) => this.#record(from + i))
    return this.state.onBatch({
      partition,
      fetchedOffset,
      lastOffset,
      highWatermark: lastOffset + 1,
      records,
      isStale: false,
    })
  }

  /** Hands over the offsets `[from, to]`, none of which shows a record. */
  hiddenBatch(partition: number, from: number, to: number, { isStale = false } = {}): number {
    const batch = {
      partition,
      fetchedOffset: from,
      lastOffset: to,
      highWatermark: to + 1,
      records: [],
      isStale,
    }
    return this.state.onBatch(batch)
  }

  /** Confirms the commit that is on its way, and returns it. */
  confirm(): CommitRequest {
    const [commit] = this.port.take('commit')
    if (commit === undefined) throw new Error('nothing was committed')
    this.confirmRequest(commit.request)
    return commit.request
  }

  confirmRequest({ id, entries }: CommitRequest): void {
    this.state.onCommitted(id, { confirmed: entries, error: undefined, isMetadataTooLarge: false })
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 100) {
      await this.clock.advance(Math.min(100, left))
      this.state.tick()
    }
  }

  #record(offset: number): SourceRecord {
    return { offset, appendTimeMs: this.appendTimeMs, key: null, value: null, headers: {} }
  }
}
