import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { BenchGround } from './bench-ground.ts'
import { Calibration } from './calibration.ts'
import { JobRunner } from './job-run.ts'
import { JOBS } from './jobs.ts'
import { median } from './median.ts'
import { roundNumber } from './result.ts'

const BASELINE_FILE = new URL('baseline.json', import.meta.url)
const SPANS = 120_000
const OPEN_TRACES = 2_000
/** Further rounds only while the limit is passed. */
const MAX_ROUNDS = 5
const BASELINE_ROUNDS = 5
const SLICE_PAUSE_MS = 200
const LIMIT = 1.35

/** What the guard compares with. Written by `npm run bench -- --write-baseline`, on a quiet machine. */
interface Baseline {
  /** CPU of a span in the worker, after its start, over the CPU that avsc needs to decode it. */
  readonly ratio: number
  readonly cpuMicros: number
  readonly calibrationMicros: number
  readonly spans: number
  readonly node: string
}

/** One round: µs of CPU a span. */
interface Round {
  readonly cpuMicros: number
  readonly calibrationMicros: number
}

/**
 * Fails when the hot path has become dearer: the job `plain` on 120,000 spans, over a fixed piece of work. CPU time, not the clock. Slices of the fixed work run all the while beside the worker, so that both meet the same disturbance: other
 * work on the machine takes their caches and makes both dearer. The round with the least ratio counts. Loading the code is left out: with so few spans it would hide the rest.
 *
 * @returns false when the ratio is more than 35 % above the baseline
 */
export async function runGuard(
  ground: BenchGround,
  options: { writesBaseline: boolean; onProgress: (line: string) => void },
): Promise<boolean> {
  const { writesBaseline, onProgress } = options
  const baseline = writesBaseline ? undefined : readBaseline()
  const limit = baseline === undefined ? 0 : baseline.ratio * LIMIT
  const runner = new JobRunner(ground)
  // Produced before, so that a round holds the worker alone.
  await runner.fill(JOBS.plain.data, SPANS, onProgress)
  const calibration = new Calibration()
  let best: Round = { cpuMicros: Number.POSITIVE_INFINITY, calibrationMicros: 1 }
  const rounds = writesBaseline ? BASELINE_ROUNDS : MAX_ROUNDS
  const ratios: number[] = []
  for (let number = 1; number <= rounds; number++) {
    const round = await measureRound(runner, calibration)
    if (ratioOf(round) < ratioOf(best)) best = round
    ratios.push(ratioOf(round))
    onProgress(
      `round ${number}: ${round.cpuMicros.toFixed(2)} µs of CPU a span, avsc ${round.calibrationMicros.toFixed(2)}, ratio ${ratioOf(round).toFixed(2)}`,
    )
    if (!writesBaseline && ratioOf(best) <= limit) break
  }
  const { cpuMicros, calibrationMicros } = best
  if (baseline === undefined) {
    // The one in the middle: the best of five would be a limit that a sound run may miss.
    const ratio = median(ratios)
    const written: Baseline = { ratio, cpuMicros, calibrationMicros, spans: SPANS, node: process.version }
    writeFileSync(BASELINE_FILE, `${JSON.stringify(written, roundNumber, 2)}\n`)
    console.log(`baseline: ratio ${ratio.toFixed(2)}`)
    return true
  }
  const ratio = ratioOf(best)
  const isGood = ratio <= limit
  console.log(
    `a span costs ${ratio.toFixed(2)} times its avsc decode (${cpuMicros.toFixed(2)} of ${calibrationMicros.toFixed(2)} µs); baseline ${baseline.ratio}, limit ${limit.toFixed(2)}: ${isGood ? 'good' : 'too dear'}`,
  )
  if (!isGood)
    console.log(
      'Find what it is with `npm run bench -- --profile`; if the price is wanted, write a new baseline with `npm run bench -- --write-baseline` on a quiet machine and say why in the commit.',
    )
  return isGood
}

async function measureRound(runner: JobRunner, calibration: Calibration): Promise<Round> {
  const slices: number[] = []
  const ended = new AbortController()
  const calibrating = (async () => {
    while (!ended.signal.aborted) {
      slices.push(calibration.slice())
      await sleep(SLICE_PAUSE_MS)
    }
  })()
  try {
    const { figures } = await runner.measure(JOBS.plain, {
      ...{ units: SPANS, openTraces: OPEN_TRACES, runs: 1, workers: 1, nodeArgs: [] },
      onProgress: () => undefined,
    })
    ended.abort()
    await calibrating
    const calibrationMicros = slices.reduce((sum, slice) => sum + slice, 0) / slices.length
    return { cpuMicros: figures.runCpuMicros, calibrationMicros }
  } finally {
    ended.abort()
  }
}

function ratioOf({ cpuMicros, calibrationMicros }: Round): number {
  return cpuMicros / calibrationMicros
}

function readBaseline(): Baseline {
  const baseline = JSON.parse(readFileSync(BASELINE_FILE, 'utf8')) as Baseline
  if (baseline.spans !== SPANS || !(baseline.ratio > 0))
    throw new Error(
      'bench/baseline.json was made for another job: write it again with `npm run bench -- --write-baseline`',
    )
  return baseline
}
