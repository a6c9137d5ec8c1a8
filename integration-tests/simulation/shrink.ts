import type { RecordType } from '../../src/codec/record-type.ts'
import { describeFault } from './faults.ts'
import { runSchedule, type Schedule } from './simulation.ts'

/** What a schedule is made of, by name: `f0` is its first fault, `r0` its first record. */
export interface Kept {
  readonly faults: readonly number[]
  readonly records: readonly number[]
}

export function keepAll(schedule: Schedule): Kept {
  return { faults: [...schedule.faults.keys()], records: [...schedule.records.keys()] }
}

export function reduceTo(schedule: Schedule, kept: Kept): Schedule {
  return {
    ...schedule,
    faults: kept.faults.flatMap((i) => schedule.faults[i] ?? []),
    records: kept.records.flatMap((i) => schedule.records[i] ?? []),
  }
}

/** One violation is another when only its numbers differ. */
export function kindOf(violation: string): string {
  return violation.replaceAll(/[0-9]+/g, 'N').slice(0, 60)
}

const MAX_RUNS = 300

/**
 * Leaves out what the violation does not need: halves first, then smaller parts, as delta debugging does. The latencies of what is left may
 * differ from before, so another violation of the same kind may remain.
 */
export async function shrink(
  schedule: Schedule,
  violation: string,
  recordTypes: ReadonlyMap<number, RecordType>,
): Promise<Kept> {
  let kept = keepAll(schedule)
  let runs = 0
  const stillFails = async (candidate: Kept): Promise<boolean> => {
    runs += 1
    const result = await runSchedule(reduceTo(schedule, candidate), recordTypes)
    return result.violation !== undefined && kindOf(result.violation) === kindOf(violation)
  }
  for (const part of ['faults', 'records', 'faults'] as const) {
    for (
      let size = Math.ceil(kept[part].length / 2);
      size >= 1;
      size = size === 1 ? 0 : Math.ceil(size / 2)
    ) {
      for (let at = 0; at < kept[part].length && runs < MAX_RUNS; ) {
        const candidate = { ...kept, [part]: kept[part].filter((_, i) => i < at || i >= at + size) }
        if (await stillFails(candidate)) kept = candidate
        else at += size
      }
    }
  }
  return kept
}

/** What is left, line by line, in the order of time. */
export function describe(schedule: Schedule, kept: Kept): string[] {
  const events = [
    ...kept.faults.map((i) => {
      const fault = schedule.faults[i]!
      return { atMs: 'atMs' in fault ? fault.atMs : 0, line: `f${i}: ${describeFault(fault)}` }
    }),
    ...kept.records.map((i) => {
      const { atMs, record } = schedule.records[i]!
      const what =
        record === null ? 'a control record' : `record ${record.id} of ${record.sid}, ${record.about}`
      return { atMs, line: `r${i}: ${what}` }
    }),
  ]
  return events
    .sort((a, b) => a.atMs - b.atMs)
    .map(({ atMs, line }) => `${String(atMs).padStart(6)} ms  ${line}`)
}

/** `f0,f2-4,r1`. */
export function keptText({ faults, records }: Kept): string {
  return [...ranges('f', faults), ...ranges('r', records)].join(',') || 'none'
}

export function parseKept(text: string): Kept {
  const kept = { faults: [] as number[], records: [] as number[] }
  for (const part of text.split(',')) {
    const [, letter, first, last] = /^([fr])([0-9]+)(?:-([0-9]+))?$/.exec(part) ?? []
    if (part !== 'none' && letter === undefined) throw new Error(`--keep: ${part} is not like f0, r3 or r3-7`)
    const list = letter === 'f' ? kept.faults : kept.records
    for (let i = Number(first); i <= Number(last ?? first); i++) list.push(i)
  }
  return kept
}

function ranges(letter: string, numbers: readonly number[]): string[] {
  const texts: string[] = []
  for (let i = 0; i < numbers.length; ) {
    let end = i
    while (numbers[end + 1] === numbers[end]! + 1) end++
    texts.push(end === i ? `${letter}${numbers[i]}` : `${letter}${numbers[i]}-${numbers[end]}`)
    i = end + 1
  }
  return texts
}
