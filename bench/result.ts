import type { JobResult } from './job-run.ts'
import type { WorkerFigures } from './worker-run.ts'

interface Row {
  readonly name: string
  readonly of: (figures: WorkerFigures) => string
}

/** A table for people; with `isJson` one more line, the last, for programs. */
export function printJob(name: string, result: JobResult, options: { isJson: boolean }): void {
  const { unit, units, figures, compared, cpuMicrosOfRuns } = result
  const workers = `${result.workers} worker${result.workers === 1 ? '' : 's'}`
  console.log(
    `${name}: ${units} ${unit}s of ${result.valueBytesPerUnit.toFixed(0)} B, ${workers}, median of ${cpuMicrosOfRuns.length} (CPU ${range(cpuMicrosOfRuns)} µs)`,
  )
  if (compared !== undefined) console.log(`${''.padEnd(46)}${'job'.padStart(12)}${'beside it'.padStart(12)}`)
  for (const row of rowsFor(unit)) {
    const beside = compared === undefined ? '' : row.of(compared).padStart(12)
    console.log(`${row.name.padEnd(46)}${row.of(figures).padStart(12)}${beside}`)
  }
  if (compared !== undefined)
    console.log(
      `${'CPU, job to what is beside it'.padEnd(46)}${(figures.cpuMicros / compared.cpuMicros).toFixed(2).padStart(12)}`,
    )
  if (result.payloadMicrosPerKb !== undefined)
    console.log(
      `${'payload work, CPU µs a KB'.padEnd(46)}${result.payloadMicrosPerKb.toFixed(1).padStart(12)}`,
    )
  console.log(
    `${'avsc decode of a plain span, CPU µs'.padEnd(46)}${result.calibrationMicros.toFixed(2).padStart(12)}`,
  )
  if (options.isJson) console.log(JSON.stringify({ job: name, ...result }, roundNumber))
}

/** Spans a second and CPU by number of workers. */
export function printScaling(results: readonly JobResult[]): void {
  const first = results[0]
  if (first === undefined || results.length < 2) return
  console.log(`workers${`${first.unit}s/s`.padStart(12)}${`CPU µs a ${first.unit}`.padStart(18)}`)
  for (const { workers, figures } of results)
    console.log(
      `${String(workers).padStart(7)}${figures.perSecond.toFixed(0).padStart(12)}${figures.cpuMicros.toFixed(1).padStart(18)}`,
    )
}

/** Of numbers in JSON: two digits. */
export function roundNumber(_key: string, value: unknown): unknown {
  return typeof value === 'number' ? Math.round(value * 100) / 100 : value
}

function range(values: readonly number[]): string {
  return `${Math.min(...values).toFixed(1)} to ${Math.max(...values).toFixed(1)}`
}

function rowsFor(unit: string): readonly Row[] {
  return [
    { name: `CPU µs a ${unit}, whole process`, of: ({ cpuMicros }) => cpuMicros.toFixed(1) },
    { name: '… without loading the code', of: ({ runCpuMicros }) => runCpuMicros.toFixed(1) },
    { name: 'peak RSS of a process, MB', of: ({ peakRssMb }) => peakRssMb.toFixed(0) },
    { name: `${unit}s/s`, of: ({ perSecond }) => perSecond.toFixed(0) },
    { name: 'open traces at the peak', of: ({ peakOpenTraces }) => String(peakOpenTraces) },
    {
      name: 'event loop held up, p99 · longest, ms',
      of: ({ loopP99Ms, loopMaxMs }) => `${loopP99Ms.toFixed(1)} · ${loopMaxMs.toFixed(1)}`,
    },
    { name: 'rows of a batch to the sinks', of: ({ rowsPerBatch }) => rowsPerBatch.toFixed(0) },
    {
      name: 'payload objects · their MB',
      of: ({ packs, packBytes }) => `${packs} · ${(packBytes / 1024 ** 2).toFixed(1)}`,
    },
    {
      name: `ClickHouse CPU µs a ${unit}`,
      of: ({ clickhouseCpuMicros }) => clickhouseCpuMicros.toFixed(1),
    },
    { name: `bytes on disk a ${unit}, all tables`, of: ({ diskBytes }) => diskBytes.toFixed(0) },
  ]
}
