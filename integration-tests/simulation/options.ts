import type { SeededRandom } from '../../src/audit/seeded-random.ts'
import { DEAD_LETTER_LIMITS, type DeadLetterLimits } from '../../src/model/dead-letter-cap.ts'
import type { ClosingRules } from '../../src/worker/assemble/trace-table.ts'

/** How one run is set up. Everything is small and quick: a schedule is 20 to 200 records in half a minute of virtual time. */
export interface RunOptions {
  readonly workers: number
  readonly partitions: number
  readonly brokers: number
  readonly rules: ClosingRules
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  readonly heartbeatMs: number
  readonly commitIntervalMs: number
  readonly maxUncommittedMs: number
  readonly fetchSilenceMs: number
  readonly tickMs: number
  readonly maxWaitMs: number
  readonly maxFetchRecords: number
  /** The records of a batch that are handed over at a time. */
  readonly partRecords: number
  /** What the workers believe, and what the broker takes. */
  readonly clientLedgerCharacters: number
  readonly brokerLedgerCharacters: number
  readonly ledger: 'kept' | 'ignored' | 'damaged'
  readonly maxMemoryBytes: number
  readonly isMemorySmall: boolean
  readonly batchRows: number
  readonly batchMs: number
  readonly hasObjectStore: boolean
  /** `rows` = the tables behind a lean sink; `clickhouse` = behind the real sink, its Native blocks included. */
  readonly tables: 'rows' | 'clickhouse'
  readonly hasArchive: boolean
  readonly hasBestEffort: boolean
  readonly bestEffortQueueBytes: number
  readonly bestEffortNeverAnswers: boolean
  readonly latencyMs: number
  /** Chance that an answer takes a hundred times as long. */
  readonly slowChance: number
  /** Chance that a batch of before a join is handed over after it. */
  readonly oldBatchChance: number
  readonly appendSkewMs: number
  /** False = nobody tells the generation at the join; the first heartbeat does. */
  readonly knowsGeneration: boolean
  readonly hasInstanceIds: boolean
  readonly deadLetterLimits: DeadLetterLimits
  /** How partitions that stand still for their dead letters go on: what was wrong is mended and they notice, or workers start again, or without limits. */
  readonly capEnding: 'mended' | 'mended, restarted' | 'limits lifted'
}

/** Few enough dead letters for a run of so few records. */
const TIGHT_LIMITS: readonly DeadLetterLimits[] = [
  { maxConsecutive: 2, maxRatio: 0 },
  { maxConsecutive: 3, maxRatio: 0 },
  { maxConsecutive: 0, maxRatio: 0.002 },
  { maxConsecutive: 0, maxRatio: 0.004 },
  { maxConsecutive: 3, maxRatio: 0.004 },
]

export function isTight({ deadLetterLimits }: RunOptions): boolean {
  return deadLetterLimits !== DEAD_LETTER_LIMITS
}

export function randomOptions(random: SeededRandom): RunOptions {
  const isMemorySmall = random.chance(0.15)
  // The ledgers of so few records have 14 to 30 characters: a limit must be lower than the smallest of real brokers to be felt.
  const clientLedgerCharacters = random.pick([4_096, 4_096, 4_096, 64, 16, 0])
  return {
    workers: random.pick([1, 2, 2, 3]),
    partitions: random.integer(1, 4),
    brokers: random.integer(1, 2),
    rules: {
      quietMs: 700,
      idleMs: 2_500,
      maxAgeMs: random.pick([5_000, 9_000]),
      maxRows: random.pick([6, 10_000, 10_000]),
      maxBytes: random.pick([900, 1_000_000, 1_000_000, 1_000_000]),
    },
    sessionTimeoutMs: 2_000,
    rebalanceTimeoutMs: 2_500,
    heartbeatMs: 500,
    commitIntervalMs: random.pick([300, 600, 1_000]),
    maxUncommittedMs: 3_000,
    fetchSilenceMs: 8_000,
    tickMs: random.pick([150, 250, 300]),
    maxWaitMs: random.pick([150, 250, 400]),
    maxFetchRecords: random.pick([3, 8, 50]),
    partRecords: random.pick([2, 5, 50]),
    clientLedgerCharacters,
    brokerLedgerCharacters: random.pick([4_096, 4_096, 4_096, clientLedgerCharacters, 64, 15]),
    ledger: random.pick(['kept', 'kept', 'kept', 'kept', 'ignored', 'damaged']),
    maxMemoryBytes: isMemorySmall ? random.integer(12_000, 40_000) : 64 * 1024 * 1024,
    isMemorySmall,
    batchRows: random.pick([3, 12, 1_000]),
    batchMs: random.pick([20, 150, 400]),
    hasObjectStore: random.chance(0.4),
    tables: random.chance(0.06) ? 'clickhouse' : 'rows',
    hasArchive: random.chance(0.4),
    hasBestEffort: random.chance(0.4),
    bestEffortQueueBytes: random.pick([600, 100_000]),
    bestEffortNeverAnswers: random.chance(0.15),
    latencyMs: random.pick([1, 4, 15]),
    slowChance: random.pick([0, 0, 0.02, 0.1]),
    oldBatchChance: random.pick([0, 0.5]),
    appendSkewMs: random.pick([0, 0, 300]),
    knowsGeneration: random.chance(0.8),
    hasInstanceIds: random.chance(0.3),
    deadLetterLimits: random.chance(0.1) ? random.pick(TIGHT_LIMITS) : DEAD_LETTER_LIMITS,
    // To wait until a partition notices takes a minute of ticks: not in every run.
    capEnding: random.pick([
      'mended',
      'mended, restarted',
      'mended, restarted',
      'limits lifted',
      'limits lifted',
    ]),
  }
}
