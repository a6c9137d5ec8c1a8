import { setTimeout as sleep } from 'node:timers/promises'
import { processUsage } from '../integration-tests/support/process-usage.ts'
import type { BenchGround } from './bench-ground.ts'
import { CollectorProcess } from './collector-process.ts'
import { dataSet } from './data-sets.ts'
import { otlpEncoder } from './encoders.ts'
import { JobRunner } from './job-run.ts'
import { JOBS } from './jobs.ts'
import { medianFigures } from './median.ts'
import { type Produced, produceBench } from './produce.ts'
import { roundNumber } from './result.ts'
import { LOG_FOLDER } from './worker-run.ts'

const POLL_MS = 500
const DEADLINE_MS = 600_000
/** A Collector that has stored nothing for so long has lost what is missing: it may lose a trace of its memory (0.165 did, 12 spans of 480,000). */
const STANDSTILL_MS = 60_000
/** More than so much is no loss to be told of, but another job. */
const MAX_LOST_SHARE = 0.001

export interface PeerOptions {
  /** Path of a Collector; see `peer.md`. */
  readonly binary: string
  readonly units: number
  readonly openTraces: number
  readonly runs: number
  readonly isJson: boolean
  readonly onProgress: (line: string) => void
}

/** What is compared. CPU of whole processes until the last row is in the table; µs a span, MiB. */
interface PeerFigures {
  readonly cpuMicros: number
  readonly peakRssMb: number
  readonly seconds: number
  readonly clickhouseCpuMicros: number
  readonly diskBytes: number
  /** Spans that never came to the table. */
  readonly lostSpans: number
}

/** Runs a Collector and a worker by turns on the same spans, each in its own encoding, with one broker and one ClickHouse, and prints both. */
export async function measurePeer(ground: BenchGround, options: PeerOptions): Promise<void> {
  const { units, openTraces, onProgress } = options
  const runner = new JobRunner(ground)
  const { produced } = await runner.fill('plain', units, onProgress)
  const topic = ground.topicName('otlp-proto')
  await ground.createTopic(topic)
  onProgress('producing the same spans as otlp_proto')
  const producedOtlp = await produceBench({
    ...{ ground, compression: 'none', topic, data: dataSet('plain'), encoder: otlpEncoder() },
    ...{ traces: produced.traces, onProgress },
  })
  const ours: PeerFigures[] = []
  const theirs: PeerFigures[] = []
  for (let number = 1; number <= options.runs; number++) {
    theirs.push(await measureCollector(ground, options.binary, topic, producedOtlp, number))
    const { figures } = await runner.measure(JOBS.plain, {
      ...{ units, openTraces, runs: 1, workers: 1, nodeArgs: [], onProgress },
    })
    const { cpuMicros, peakRssMb, seconds, clickhouseCpuMicros, diskBytes } = figures
    // The run fails when one is missing.
    ours.push({ cpuMicros, peakRssMb, seconds, clickhouseCpuMicros, diskBytes, lostSpans: 0 })
    onProgress(
      `run ${number}: Collector ${theirs.at(-1)?.cpuMicros.toFixed(1)} µs (${theirs.at(-1)?.lostSpans} spans lost), Sidereal ${cpuMicros.toFixed(1)} µs of CPU a span`,
    )
  }
  print(produced, producedOtlp, ours, theirs, options.isJson)
}

async function measureCollector(
  ground: BenchGround,
  binary: string,
  topic: string,
  produced: Produced,
  number: number,
): Promise<PeerFigures> {
  const database = `peer_${number}`
  await ground.query(`CREATE DATABASE ${database}`)
  const clickhouseBefore = processUsage(ground.clickhousePid).cpuSeconds
  const startedAt = performance.now()
  const collector = new CollectorProcess(
    binary,
    {
      BENCH_BROKERS: ground.brokers.join(','),
      BENCH_GROUP: `peer-${number}`,
      BENCH_TOPIC: topic,
      BENCH_CLICKHOUSE_TCP_PORT: String(ground.clickhouseTcpPort),
      BENCH_DATABASE: database,
    },
    LOG_FOLDER,
  )
  try {
    const usage = () => ({
      ...collector.usage(),
      seconds: (performance.now() - startedAt) / 1000,
      clickhouseCpu: processUsage(ground.clickhousePid).cpuSeconds - clickhouseBefore,
    })
    const stored = untilStored(ground, database, produced.units, usage)
    const { rows, cpuSeconds, peakRssMb, seconds, clickhouseCpu } = await Promise.race([
      stored,
      collector.failed,
    ])
    // With the SID: of 40,000 seeded traces a few pairs have equal ids.
    const distinctSql = `SELECT uniqExact(TraceId, SpanId, SpanAttributes['sid']) FROM ${database}.otel_traces`
    const distinct = Number(await ground.query(distinctSql))
    if (distinct !== rows) throw new Error(`the Collector stored ${distinct} different spans in ${rows} rows`)
    return {
      cpuMicros: (cpuSeconds * 1e6) / produced.units,
      peakRssMb,
      seconds,
      clickhouseCpuMicros: (clickhouseCpu * 1e6) / produced.units,
      diskBytes: (await ground.diskBytes(database)) / produced.units,
      lostSpans: produced.units - rows,
    }
  } finally {
    await collector.end()
    await ground.dropDatabase(database)
  }
}

/**
 * What was stored, and the usage in the moment of its last row. Rows are counted from the system tables, which costs ClickHouse little.
 * @throws when some are stored twice, since more was done than the job then, or too many are missing
 */
async function untilStored<Usage extends object>(
  ground: BenchGround,
  database: string,
  spans: number,
  usage: () => Usage,
): Promise<Usage & { readonly rows: number }> {
  const parts = `SELECT sum(rows) FROM system.parts WHERE active AND database = '${database}' AND table = 'otel_traces'`
  const deadline = performance.now() + DEADLINE_MS
  let last = { ...usage(), rows: 0 }
  let lastChangeMs = performance.now()
  for (;;) {
    const rows = Number(await ground.query(parts))
    const nowMs = performance.now()
    if (rows !== last.rows) {
      last = { ...usage(), rows }
      lastChangeMs = nowMs
    }
    if (rows === spans) return last
    if (rows > spans) throw new Error(`the Collector stored ${rows} rows of ${spans} spans: some twice`)
    const isStill = nowMs - lastChangeMs > STANDSTILL_MS
    if (isStill && rows >= spans * (1 - MAX_LOST_SHARE)) return last
    if (nowMs > deadline) throw new Error(`the Collector stored ${rows} of ${spans} spans in time`)
    await sleep(POLL_MS)
  }
}

function print(
  produced: Produced,
  producedOtlp: Produced,
  ours: readonly PeerFigures[],
  theirs: readonly PeerFigures[],
  isJson: boolean,
): void {
  const sidereal = medianFigures(ours)
  const collector = medianFigures(theirs)
  const perSpan = ({ valueBytes, units }: Produced) => (valueBytes / units).toFixed(0)
  const rows: [string, (figures: PeerFigures) => number][] = [
    ['CPU µs a span, whole process', ({ cpuMicros }) => cpuMicros],
    ['peak RSS, MB', ({ peakRssMb }) => peakRssMb],
    ['seconds', ({ seconds }) => seconds],
    ['ClickHouse CPU µs a span', ({ clickhouseCpuMicros }) => clickhouseCpuMicros],
    ['bytes on disk a span', ({ diskBytes }) => diskBytes],
    ['spans lost', ({ lostSpans }) => lostSpans],
  ]
  console.log(
    `${produced.units} spans, ${perSpan(produced)} B of Avro and ${perSpan(producedOtlp)} B of OTLP a span, median of ${ours.length}`,
  )
  console.log(''.padEnd(30) + ['Sidereal', 'Collector', 'ratio'].map((name) => name.padStart(12)).join(''))
  for (const [name, of] of rows) {
    const [mine, peer] = [of(sidereal), of(collector)]
    const ratio = mine === 0 ? '' : (peer / mine).toFixed(2)
    const cells = [mine.toFixed(1), peer.toFixed(1), ratio]
    console.log(name.padEnd(30) + cells.map((cell) => cell.padStart(12)).join(''))
  }
  const range = (runs: readonly PeerFigures[]) => runs.map(({ cpuMicros }) => cpuMicros.toFixed(1)).join(' ')
  console.log(`CPU of each run: Sidereal ${range(ours)}; Collector ${range(theirs)}`)
  if (isJson) console.log(JSON.stringify({ job: 'peer', sidereal, collector }, roundNumber))
}
