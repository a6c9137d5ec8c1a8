import type { JobResult } from './job-run.ts'
import type { WorkerFigures } from './worker-run.ts'

const NAME = 42
const CELL = 16

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
  if (compared !== undefined) printLine('', 'job', 'beside it')
  for (const row of rowsFor(unit))
    printLine(row.name, row.of(figures), ...(compared === undefined ? [] : [row.of(compared)]))
  if (compared !== undefined)
    printLine('CPU, job to what is beside it', (figures.cpuMicros / compared.cpuMicros).toFixed(2))
  if (result.payloadMicrosPerKb !== undefined)
    printLine('payload work, CPU µs a KB', result.payloadMicrosPerKb.toFixed(1))
  printLine(`bytes in Kafka a ${unit}`, result.topicBytesPerUnit.toFixed(0))
  printLine(`broker CPU µs to take a ${unit}`, result.brokerTakeMicros.toFixed(1))
  printLine('avsc decode of a plain span, CPU µs', result.calibrationMicros.toFixed(2))
  if (options.isJson) console.log(JSON.stringify({ job: name, ...result }, roundNumber))
}

function printLine(name: string, ...cells: readonly string[]): void {
  console.log(name.padEnd(NAME) + cells.map((cell) => cell.padStart(CELL)).join(''))
}

/** Spans a second and CPU by number of workers. */
export function printScaling(results: readonly JobResult[]): void {
  const first = results[0]
  if (first === undefined || results.length < 2) return
  console.log(`workers${`${first.unit}s/s`.padStart(CELL)}${`CPU µs a ${first.unit}`.padStart(18)}`)
  for (const { workers, figures } of results)
    console.log(
      `${String(workers).padStart(7)}${figures.perSecond.toFixed(0).padStart(CELL)}${figures.cpuMicros.toFixed(1).padStart(18)}`,
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
    { name: `broker CPU µs to serve a ${unit}`, of: ({ brokerCpuMicros }) => brokerCpuMicros.toFixed(1) },
    { name: `bytes on disk a ${unit}, all tables`, of: ({ diskBytes }) => diskBytes.toFixed(0) },
  ]
}
