import type { Committer } from './committer.ts'
import type { SourceTask } from './source-task.ts'

/** Totals since the process started. */
export class SourceCounters {
  /** Records handed over. */
  records = 0
  /** Records that a former owner had settled: not handed over again. */
  skipped = 0
  /** Times that a handler could not take a record. */
  blocked = 0
  rebalances = 0
  /** Partitions kept with their state, over all joins. */
  kept = 0
  /** Partitions read anew, over all joins. */
  gained = 0
  /** Batches that came while reading was paused, and were left, whole or in part. */
  refusedBatches = 0
  /** Batches that began elsewhere than the last one ended. */
  jumps = 0
  /** Offsets that retention took before they were read. */
  lostByRetention = 0
  /** Partitions whose log ended before what was read. */
  truncations = 0
  /** Metadata strings that could not be read. */
  ledgersIgnored = 0
}

export interface TaskStats {
  readonly partition: number
  /** False until the ledger has been read. */
  readonly isReady: boolean
  readonly isBlocked: boolean
  readonly position: number
  readonly watermark: number
  /** −1 = not known yet. */
  readonly endOffset: number
  /** Records between the watermark and the end; −1 = not known yet. */
  readonly lag: number
  /** Wall clock minus the append time of the record at the watermark; 0 when nothing is open. */
  readonly watermarkAgeMs: number
  /** Wall clock minus stream time while there is more to read; 0 when all is read. */
  readonly lagMs: number
  readonly streamTimeMs: number
  /** Length of the metadata string that was committed last. */
  readonly ledgerCharacters: number
}

export interface SourceStats extends Readonly<SourceCounters> {
  readonly tasks: readonly TaskStats[]
  readonly commitsOk: number
  readonly commitsFailed: number
  /** Milliseconds since the last fetch came back. */
  readonly loopAgeMs: number
  readonly isInDoubt: boolean
  readonly pauseReasons: readonly string[]
}

export function sourceStats(from: {
  tasks: readonly SourceTask[]
  counters: SourceCounters
  committer: Committer
  nowMs: number
  loopAgeMs: number
  isInDoubt: boolean
  pauseReasons: readonly string[]
}): SourceStats {
  return {
    ...from.counters,
    tasks: from.tasks.map((task) => taskStats(task, from.nowMs)),
    commitsOk: from.committer.okCount,
    commitsFailed: from.committer.failedCount,
    loopAgeMs: from.loopAgeMs,
    isInDoubt: from.isInDoubt,
    pauseReasons: from.pauseReasons,
  }
}

function taskStats(task: SourceTask, nowMs: number): TaskStats {
  const end = Math.max(task.endOffset, task.position)
  const watermarkTimeMs = task.watermarkTimeMs()
  return {
    partition: task.partition,
    isReady: task.isReady,
    isBlocked: task.isBlocked,
    position: task.position,
    watermark: task.watermark,
    endOffset: task.endOffset,
    lag: task.endOffset < 0 || !task.isReady ? -1 : end - task.watermark,
    watermarkAgeMs: watermarkTimeMs === undefined ? 0 : Math.max(0, nowMs - watermarkTimeMs),
    lagMs: task.streamTimeMs === 0 || task.position >= end ? 0 : Math.max(0, nowMs - task.streamTimeMs),
    streamTimeMs: task.streamTimeMs,
    ledgerCharacters: task.ledgerCharacters,
  }
}
