import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { processUsage } from '../integration-tests/support/process-usage.ts'
import { waitUntilCommitted } from '../src/audit/committed.ts'
import { createKafka } from '../src/kafka/client.ts'
import { spawnCli } from '../src/local/demo/cli-process.ts'
import { createLogger } from '../src/telemetry/logger.ts'
import type { BenchResult } from './result.ts'

const POLL_MS = 500
const DEADLINE_MS = 300_000
const LOG_FOLDER = '.sidereal/bench'

export interface WorkerRun {
  readonly env: Readonly<Record<string, string>>
  readonly topic: string
  readonly group: string
  readonly database: string
  readonly spans: number
  readonly clickhousePid: number
  /** Leaves a CPU profile of the worker in the log folder. */
  readonly isProfiled: boolean
  readonly onProgress: (line: string) => void
}

type Measured = Omit<BenchResult, 'spans' | 'avroBytesPerSpan' | 'quietMs' | 'calibrationMicrosPerSpan'>

/** Runs a worker over the whole topic and reads the operating system's account of it. Ends it afterwards. */
export async function measureWorker(run: WorkerRun): Promise<Measured> {
  mkdirSync(LOG_FOLDER, { recursive: true })
  const logFile = `${LOG_FOLDER}/worker.log`
  const log = openSync(logFile, 'w')
  const clickhouseBefore = processUsage(run.clickhousePid).cpuSeconds
  const startedAt = performance.now()
  const profileArgs = run.isProfiled ? ['--cpu-prof', `--cpu-prof-dir=${LOG_FOLDER}`] : []
  const worker = spawnCli(['worker'], run.env, log, profileArgs)
  const exited = once(worker, 'exit')
  const polling = new AbortController()
  const peakOpenTraces = pollOpenTraces(logFile, polling.signal)
  try {
    await Promise.race([
      settled(run),
      exited.then(() => {
        throw new Error(`the worker ended: ${readFileSync(logFile, 'utf8').slice(-2000)}`)
      }),
    ])
    const seconds = (performance.now() - startedAt) / 1000
    polling.abort()
    const usage = processUsage(worker.pid!)
    const clickhouseCpu = processUsage(run.clickhousePid).cpuSeconds - clickhouseBefore
    const rows = Number(await queryClickHouse(run, `SELECT count() FROM ${run.database}.spans_exact`))
    if (rows !== run.spans) throw new Error(`the table holds ${rows} spans instead of ${run.spans}`)
    const disk = await queryClickHouse(
      run,
      `SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = '${run.database}'`,
    )
    return {
      cpuMicrosPerSpan: (usage.cpuSeconds * 1e6) / run.spans,
      peakRssMb: usage.peakRssMb,
      spansPerSecond: run.spans / seconds,
      peakOpenTraces: await peakOpenTraces,
      clickhouseCpuMicrosPerSpan: (clickhouseCpu * 1e6) / run.spans,
      diskBytesPerSpan: Number(disk) / run.spans,
      seconds,
    }
  } finally {
    polling.abort()
    worker.kill('SIGTERM')
    await exited
    closeSync(log)
  }
}

/** Resolves when the committed offsets are the end offsets. */
async function settled(run: WorkerRun): Promise<void> {
  const brokers = (run.env['SIDEREAL_KAFKA_BROKERS'] ?? '').split(',')
  const logger = createLogger({ level: 'silent' })
  const admin = createKafka({ brokers }, { clientId: 'bench-offsets', logger }).admin()
  await admin.connect()
  try {
    await waitUntilCommitted({ admin, topic: run.topic, group: run.group, timeoutMs: DEADLINE_MS })
  } finally {
    await admin.disconnect()
  }
}

async function queryClickHouse(run: WorkerRun, sql: string): Promise<string> {
  const response = await fetch(run.env['SIDEREAL_CLICKHOUSE_URL'] ?? '', { method: 'POST', body: sql })
  const text = await response.text()
  if (!response.ok) throw new Error(`ClickHouse refused "${sql}": ${text.slice(0, 300)}`)
  return text.trim()
}

/** The highest number of open traces that the worker's metrics said, until the signal. */
async function pollOpenTraces(logFile: string, signal: AbortSignal): Promise<number> {
  let peak = 0
  while (!signal.aborted) {
    const address = /"metricsUrl":"([^"]+)"/.exec(readFileSync(logFile, 'utf8'))?.[1]
    if (address !== undefined) {
      const response = await fetch(address)
      const value = /^sidereal_open_traces (\S+)$/m.exec(await response.text())?.[1]
      peak = Math.max(peak, Number(value ?? 0))
    }
    await sleep(POLL_MS)
  }
  return peak
}
