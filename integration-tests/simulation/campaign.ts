import type { RecordType } from '../../src/codec/record-type.ts'
import { describe, keptText, reduceTo, shrink } from './shrink.ts'
import { type RunFigures, type RunResult, runSchedule, scheduleOf } from './simulation.ts'

export interface Failed {
  readonly seed: number
  readonly violation: string
}

export interface Campaign {
  readonly runs: number
  readonly failed: readonly Failed[]
  readonly records: number
  readonly steps: number
  readonly totals: Readonly<Record<string, number>>
}

/** Runs the schedules of `runs` seeds, one after the other; ends at the first that fails unless told to go on. */
export async function runCampaign(
  firstSeed: number,
  runs: number,
  recordTypes: ReadonlyMap<number, RecordType>,
  onRun: (result: RunResult, seed: number) => 'go on' | 'end',
): Promise<Campaign> {
  const failed: Failed[] = []
  const totals: Record<string, number> = {}
  let records = 0
  let steps = 0
  let done = 0
  for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
    const result = await runSchedule(scheduleOf(seed), recordTypes)
    done += 1
    records += result.records
    steps += result.steps
    addTo(totals, result.figures)
    if (result.violation !== undefined) failed.push({ seed, violation: result.violation })
    if (onRun(result, seed) === 'end') break
  }
  return { runs: done, failed, records, steps, totals }
}

function addTo(totals: Record<string, number>, figures: RunFigures): void {
  for (const [name, value] of Object.entries({ ...figures, fatals: figures.fatals.length })) {
    totals[name] = (totals[name] ?? 0) + value
  }
}

/** A failing seed as somebody wants to read it: what is needed for the violation, and how to see it again. */
export async function reportOf(
  failed: Failed,
  recordTypes: ReadonlyMap<number, RecordType>,
): Promise<string> {
  const { seed, violation } = failed
  const schedule = scheduleOf(seed)
  const kept = await shrink(schedule, violation, recordTypes)
  const again = await runSchedule(reduceTo(schedule, kept), recordTypes)
  return [
    `seed ${seed}: ${violation}`,
    `shortened from ${schedule.faults.length} faults and ${schedule.records.length} records:`,
    ...describe(schedule, kept),
    `then: ${again.violation ?? 'nothing is wrong any more, see the whole seed'}`,
    `set up: ${JSON.stringify(schedule.options)}`,
    `again: npm run simulate -- --seed ${seed} --keep ${keptText(kept)} --events`,
    `whole: npm run simulate -- --seed ${seed} --events`,
  ].join('\n')
}
