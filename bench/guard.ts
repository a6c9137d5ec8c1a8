import { readFileSync, writeFileSync } from 'node:fs'
import type { BenchGround } from './bench-ground.ts'
import { calibrate } from './calibration.ts'
import { JobRunner } from './job-run.ts'
import { JOBS } from './jobs.ts'
import { roundNumber } from './result.ts'

const BASELINE_FILE = new URL('baseline.json', import.meta.url)
const SPANS = 120_000
/** Least number of rounds; further ones, up to the most, only while the limit is passed. */
const MIN_ROUNDS = 2
const MAX_ROUNDS = 5
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

/**
 * Fails when the hot path has become dearer: the job `plain` on 120,000 spans and a fixed piece of work, by turns in one run; CPU time, not the clock; the best of several rounds of each, since other
 * work on the machine only makes them dearer. Loading the code is not in it: with so few spans it would hide the rest.
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
  let calibrationMicros = calibrate()
  let cpuMicros = Number.POSITIVE_INFINITY
  for (let round = 1; round <= MAX_ROUNDS; round++) {
    const { figures } = await runner.measure(JOBS.plain, {
      ...{ units: SPANS, openTraces: SPANS / 60, runs: 1, workers: 1, isProfiled: false },
      onProgress: () => undefined,
    })
    cpuMicros = Math.min(cpuMicros, figures.runCpuMicros)
    calibrationMicros = Math.min(calibrationMicros, calibrate())
    onProgress(
      `round ${round}: ${figures.runCpuMicros.toFixed(2)} µs of CPU a span, best ${cpuMicros.toFixed(2)}; avsc ${calibrationMicros.toFixed(2)}; ratio ${(cpuMicros / calibrationMicros).toFixed(2)}`,
    )
    if (round >= MIN_ROUNDS && cpuMicros / calibrationMicros <= limit) break
  }
  const ratio = cpuMicros / calibrationMicros
  if (baseline === undefined) {
    const written: Baseline = { ratio, cpuMicros, calibrationMicros, spans: SPANS, node: process.version }
    writeFileSync(BASELINE_FILE, `${JSON.stringify(written, roundNumber, 2)}\n`)
    console.log(`baseline: ratio ${ratio.toFixed(2)}`)
    return true
  }
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

function readBaseline(): Baseline {
  const baseline = JSON.parse(readFileSync(BASELINE_FILE, 'utf8')) as Baseline
  if (baseline.spans !== SPANS || !(baseline.ratio > 0))
    throw new Error(
      'bench/baseline.json was made for another job: write it again with `npm run bench -- --write-baseline`',
    )
  return baseline
}
