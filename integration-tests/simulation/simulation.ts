import { SeededRandom } from '../../src/audit/seeded-random.ts'
import type { RecordType } from '../../src/codec/record-type.ts'
import { planFault } from './fault-effects.ts'
import { FAULTS_END_MS, type Fault, randomFaults, randomOutOfRange } from './faults.ts'
import { isTight, type RunOptions, randomOptions } from './options.ts'
import { type PlannedRecord, START_MS, TraceGenerator } from './traces.ts'
import { World } from './world.ts'

/** How long a run may take to come to rest after the last fault, in virtual time. */
const REST_MS = 90_000
const LOOK_MS = 500
/** A partition that no longer stands still has come to its end by then. */
const GOES_ON_MS = 20_000
/** After the last fault. Records that were bad all along may have stopped a partition too: so limits are lifted in the end. */
const CAP_ENDS = {
  mended: { restarts: false, liftedAfterMs: 88_000 },
  'mended, restarted': { restarts: true, liftedAfterMs: 8_000 },
  'limits lifted': { restarts: false, liftedAfterMs: 0 },
} as const

/** Everything that a run does from outside, decided before it begins: a run is a function of its schedule. */
export interface Schedule {
  readonly seed: number
  readonly options: RunOptions
  readonly records: readonly PlannedRecord[]
  readonly faults: readonly Fault[]
}

export interface RunResult {
  readonly violation: string | undefined
  readonly steps: number
  /** Differs when anything happened in another order or at another time. */
  readonly digest: number
  readonly virtualMs: number
  readonly records: number
  readonly figures: RunFigures
}

/** To see that the faults are really met. */
export interface RunFigures {
  readonly lives: number
  readonly fatals: readonly string[]
  readonly skipped: number
  readonly jumps: number
  readonly kept: number
  readonly lostByRetention: number
  readonly truncations: number
  readonly deadLetters: number
  readonly fragments: number
  readonly failedCommits: number
  /** Partitions that stood still for their dead letters, and went on by themselves. */
  readonly capStops: number
  readonly capReleases: number
  readonly limitsLifted: number
  /** Runs with a metadata limit of 64 characters or less, and with a ledger that is ignored. */
  readonly shortLedgers: number
  readonly ignoredLedgers: number
}

export function scheduleOf(seed: number): Schedule {
  const options = randomOptions(new SeededRandom(seed, 0))
  const random = new SeededRandom(seed, 1)
  const records = new TraceGenerator(random, options.hasObjectStore).generate()
  const faults = randomFaults(random, options)
  return {
    seed,
    options,
    records,
    faults: [...faults, ...randomOutOfRange(new SeededRandom(seed, 8), options)],
  }
}

export async function runSchedule(
  schedule: Schedule,
  recordTypes: ReadonlyMap<number, RecordType>,
  onEvent?: (atMs: number, label: string) => void,
): Promise<RunResult> {
  const { seed, options, records, faults } = schedule
  const world = new World(seed, options, recordTypes)
  world.hadMemoryPressure = faults.some(({ kind }) => kind === 'memory over limit')
  world.scheduler.onEvent = onEvent
  for (const { atMs, record } of records) {
    world.scheduler.post(atMs, null, record === null ? 'control record' : `produce r${record.id}`, () =>
      world.produce(record),
    )
  }
  for (const fault of faults) planFault(world, fault)
  const starts = new SeededRandom(seed, 7)
  for (let worker = 0; worker < options.workers; worker++) {
    world.scheduler.post(
      worker === 0 ? 0 : starts.integer(0, 4_000),
      world.supervisor,
      `w${worker} starts`,
      () => world.startWorker(worker),
    )
  }
  const lastMs = Math.max(FAULTS_END_MS, ...records.map(({ atMs }) => atMs))
  await runUntil(world, START_MS + lastMs)
  const capEnd = isTight(options) ? CAP_ENDS[options.capEnding] : undefined
  if (capEnd?.restarts === true) world.restartAll()
  const limitMs = START_MS + lastMs + REST_MS + (capEnd?.liftedAfterMs ?? 0)
  while (!isAtRest(world) && world.scheduler.nowMs < limitMs && world.oracle.violation === undefined) {
    const restMs = world.scheduler.nowMs - START_MS - lastMs
    if (capEnd !== undefined && !world.areLimitsLifted && restMs >= capEnd.liftedAfterMs) {
      checkStops(world)
      world.liftLimits()
    }
    await runUntil(world, world.scheduler.nowMs + LOOK_MS)
  }
  if (world.oracle.violation === undefined) {
    world.oracle.checkEnd()
    if (world.oracle.violation !== undefined && !isAtRest(world)) {
      world.oracle.violation = `not at rest ${REST_MS / 1_000} s after the last fault: ${world.oracle.violation}`
    }
    if (isCalm(schedule)) checkCalm(world)
    if (!isClientAstray(schedule) && world.fatals.some((message) => message.includes('jumped'))) {
      world.oracle.fail('a process ended for jumps that its log explains')
    }
  }
  const result: RunResult = {
    violation: world.oracle.violation,
    steps: world.scheduler.steps,
    digest: world.scheduler.digest,
    virtualMs: world.scheduler.nowMs - START_MS,
    records: records.length,
    figures: figuresOf(world),
  }
  for (const life of world.lives) life.process.isAlive = false
  return result
}

async function runUntil(world: World, untilMs: number): Promise<void> {
  while (world.oracle.violation === undefined && (await world.scheduler.step(untilMs)))
    world.oracle.afterStep()
  if (world.logs.some(({ isHeld }) => isHeld)) world.releaseHeld()
}

function isAtRest(world: World): boolean {
  if (world.logs.some(({ isHeld }) => isHeld) || world.hasHeld) return false
  for (const log of world.logs) {
    const { offset } = world.group.row(log.partition)
    if (offset !== log.end && !(offset < 0 && log.end === log.start)) return false
  }
  const queued = (life: World['lives'][number]): number => life.pipeline.deliverer.sinkQueueBytes['otlp'] ?? 0
  return (
    world.options.bestEffortNeverAnswers ||
    world.lives.every((life) => !life.process.isAlive || queued(life) === 0)
  )
}

/** Nothing makes a batch begin elsewhere than the last one ended. */
function isCalm({ faults, options }: Schedule): boolean {
  const causes: readonly Fault['kind'][] = [
    'astray',
    'leader move',
    'out of range',
    'retention',
    'truncation',
  ]
  return options.oldBatchChance === 0 && !faults.some(({ kind }) => causes.includes(kind))
}

/** The client itself delivers what was not asked for. */
function isClientAstray({ faults, options }: Schedule): boolean {
  const causes: readonly Fault['kind'][] = ['astray', 'leader move', 'out of range']
  return options.oldBatchChance > 0 || faults.some(({ kind }) => causes.includes(kind))
}

/** What stands still now must have a reason that is still there; what goes on again must have come to its end. */
function checkStops(world: World): void {
  if (world.options.capEnding !== 'mended') return
  const stops = world.lives.flatMap(({ process, pipeline }) => (process.isAlive ? pipeline.caps.stops : []))
  for (const { partition, offset } of stops) {
    const { entries } = world.log(partition)
    // A fragment that was refused for several records is told by the first of them.
    if (entries.some((entry) => entry.record?.end === 'refused')) continue
    if (entries[offset]?.record?.mayEnd === undefined) continue
    world.oracle.fail(`partition ${partition} stands still at ${offset}, which was mended long ago`)
  }
  if (stops.length === 0 && world.scheduler.nowMs - world.lastCapReleaseMs > GOES_ON_MS) {
    world.oracle.fail(
      `no partition stands still any more since ${GOES_ON_MS / 1_000} s, and not all are read`,
    )
  }
}

/** Then kept tasks go on where they were: without one batch fetched twice. */
function checkCalm(world: World): void {
  const { jumps } = figuresOf(world)
  if (jumps > 0)
    world.oracle.fail(`${jumps} batches began elsewhere than the last one ended, without a cause`)
}

function figuresOf(world: World): RunFigures {
  const stats = world.lives.map(({ state }) => state.stats())
  const sum = (of: (one: (typeof stats)[number]) => number): number =>
    stats.reduce((total, one) => total + of(one), 0)
  let fragments = 0
  for (const ofSid of world.tables.fragments.values()) fragments += ofSid.size
  return {
    lives: world.lives.length,
    fatals: world.fatals,
    skipped: sum(({ skipped }) => skipped),
    jumps: sum(({ jumps }) => jumps),
    kept: sum(({ kept }) => kept),
    lostByRetention: sum(({ lostByRetention }) => lostByRetention),
    truncations: sum(({ truncations }) => truncations),
    deadLetters: world.deadLetters.size,
    fragments,
    failedCommits: sum(({ commitsFailed }) => commitsFailed),
    capStops: world.capStops,
    capReleases: world.capReleases,
    limitsLifted: world.areLimitsLifted ? 1 : 0,
    shortLedgers: world.options.clientLedgerCharacters <= 64 ? 1 : 0,
    ignoredLedgers: world.options.ledger === 'ignored' ? 1 : 0,
  }
}
