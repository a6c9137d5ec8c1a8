import { setTimeout as sleep } from 'node:timers/promises'
import { processUsage } from '../integration-tests/support/process-usage.ts'
import type { BenchGround, Run } from './bench-ground.ts'
import { builtProgram } from './built-program.ts'
import type { Produced } from './produce.ts'
import { type Metrics, WorkerProcess } from './worker-process.ts'

/** Until something was read. */
const FIRST_POLL_MS = 250
/** After that: each look at the metrics costs the worker a few milliseconds. */
const POLL_MS = 1_000
const DEADLINE_MS = 900_000
export const LOG_FOLDER = '.sidereal/bench'

export interface WorkerRun {
  readonly run: Run
  readonly produced: Produced
  /** Beside those of the run. */
  readonly env: Readonly<Record<string, string>>
  /** Processes of one group on the same backlog. */
  readonly workers: number
  /** Options of Node. */
  readonly nodeArgs: readonly string[]
}

/** Figures of one run. CPU is user + system of all threads; a unit is a span, or a log where the data are logs. */
export interface WorkerFigures {
  /** Whole processes, from their start to the last committed offset. */
  readonly cpuMicros: number
  /** The same from when they had joined the group: without loading the code. */
  readonly runCpuMicros: number
  /** From the first record read to the last commit. */
  readonly perSecond: number
  /** From the start of the processes. */
  readonly seconds: number
  /** Of the process that had most. MiB. */
  readonly peakRssMb: number
  readonly peakOpenTraces: number
  /** While it worked, the worst process. */
  readonly loopP99Ms: number
  readonly loopMaxMs: number
  readonly clickhouseCpuMicros: number
  /** Of the broker, to serve them. */
  readonly brokerCpuMicros: number
  /** All tables, a unit. */
  readonly diskBytes: number
  /** Spans and nodes in one batch to the sinks. */
  readonly rowsPerBatch: number
  /** Objects with payloads, and their bytes. */
  readonly packs: number
  readonly packBytes: number
}

/** Runs workers over a whole topic, checks what the tables hold, and reads the operating system's account. Drops the tables. */
export async function measureWorkers(ground: BenchGround, options: WorkerRun): Promise<WorkerFigures> {
  const { run, produced } = options
  // Not within what is measured.
  builtProgram()
  const clickhouseBefore = processUsage(ground.clickhousePid).cpuSeconds
  const brokerBefore = processUsage(ground.kafkaPid).cpuSeconds
  const startedAt = performance.now()
  const workers = Array.from(
    { length: options.workers },
    (_, index) =>
      new WorkerProcess({
        env: { ...run.env, ...options.env },
        logFolder: LOG_FOLDER,
        name: `worker-${index}`,
        nodeArgs: options.nodeArgs,
      }),
  )
  const failed = Promise.race(workers.map((worker) => worker.failed))
  const polling = new AbortController()
  try {
    const startCpuSeconds = sum(
      await Promise.all(
        workers.map(async (worker) => {
          await worker.started()
          const { cpuSeconds } = worker.usage()
          await worker.loopDelay()
          return cpuSeconds
        }),
      ),
    )
    const watched = watch(workers, polling.signal)
    await Promise.race([ground.settled(run, DEADLINE_MS), failed, watched.then(() => failed)])
    const endedAt = performance.now()
    const usages = workers.map((worker) => worker.usage())
    polling.abort()
    const delays = await Promise.all(workers.map((worker) => worker.loopDelay()))
    const { firstReadAt, peakOpenTraces } = await watched
    const totals = await Promise.all(workers.map((worker) => worker.metrics()))
    const clickhouseCpu = processUsage(ground.clickhousePid).cpuSeconds - clickhouseBefore
    const brokerCpu = processUsage(ground.kafkaPid).cpuSeconds - brokerBefore
    await ground.checkRows(run, produced.rows)
    const total = (name: string) => sum(totals.map((metrics) => metrics?.get(name) ?? Number.NaN))
    const payloads = total('sidereal_payloads_total')
    if (payloads !== produced.rows.payloads)
      throw new Error(`${payloads} payloads were stored instead of ${produced.rows.payloads}`)
    const cpuSeconds = sum(usages.map((usage) => usage.cpuSeconds))
    const { units } = produced
    return {
      cpuMicros: (cpuSeconds * 1e6) / units,
      runCpuMicros: ((cpuSeconds - startCpuSeconds) * 1e6) / units,
      perSecond: (units * 1000) / (endedAt - (firstReadAt ?? startedAt)),
      seconds: (endedAt - startedAt) / 1000,
      peakRssMb: Math.max(...usages.map((usage) => usage.peakRssMb)),
      peakOpenTraces,
      loopP99Ms: Math.max(...delays.map(({ p99Ms }) => p99Ms)),
      loopMaxMs: Math.max(...delays.map(({ maxMs }) => maxMs)),
      clickhouseCpuMicros: (clickhouseCpu * 1e6) / units,
      brokerCpuMicros: (brokerCpu * 1e6) / units,
      diskBytes: (await ground.diskBytes(run.database)) / units,
      rowsPerBatch: total('sidereal_rows_settled_total') / total('sidereal_batches_total'),
      packs: total('sidereal_payload_packs_total'),
      packBytes: total('sidereal_payload_bytes_total'),
    }
  } finally {
    polling.abort()
    await Promise.all(workers.map((worker) => worker.end()))
    await ground.dropDatabase(run.database)
  }
}

/** Looks at the metrics until the signal: the highest number of open traces, and when a record had been read. */
async function watch(
  workers: readonly WorkerProcess[],
  signal: AbortSignal,
): Promise<{ peakOpenTraces: number; firstReadAt: number | undefined }> {
  let peakOpenTraces = 0
  let firstReadAt: number | undefined
  while (!signal.aborted) {
    const all = await Promise.all(workers.map((worker) => worker.metrics()))
    const total = (name: string) => sum(all.map((metrics: Metrics | undefined) => metrics?.get(name) ?? 0))
    if (firstReadAt === undefined && total('sidereal_records_consumed_total') > 0)
      firstReadAt = performance.now()
    peakOpenTraces = Math.max(peakOpenTraces, total('sidereal_open_traces'))
    await sleep(firstReadAt === undefined ? FIRST_POLL_MS : POLL_MS)
  }
  return { peakOpenTraces, firstReadAt }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
