/**
 * What a load needs, from measured figures. Run: `npm run bench -- --job plain --runs 5 --json > plain.txt`, then `node bench/capacity.ts plain.txt
 * [spans a second …]`. The same for any other job of spans; docs/capacity.md explains the rules.
 */
import { readFileSync } from 'node:fs'
import type { JobResult } from './job-run.ts'

/** What is not measured but chosen. */
const RULES = {
  /** Part of its core that a worker uses on average: the rest is for peaks, and for catching up. */
  workerUse: 0.6,
  partitionsPerWorker: 2,
  leastPartitions: 12,
  replicas: 3,
  /** What one broker writes, its copies of others included. */
  brokerBytesPerSecond: 100e6,
  /** Part of a ClickHouse node's cores for inserts: the rest merges and answers. */
  clickhouseUse: 0.4,
  clickhouseCores: 16,
  /** A batch is inserted into spans, id_lookup and trace_fragments. */
  insertsPerBatch: 3,
  batchesPerSecond: 1,
  packBytes: 8 * 1024 ** 2,
} as const

const [file, ...rates] = process.argv.slice(2)
if (file === undefined) throw new Error('the file with the output of `npm run bench -- --json` is missing')
const line = readFileSync(file, 'utf8')
  .split('\n')
  .findLast((one) => one.startsWith('{"job"'))
if (line === undefined) throw new Error(`${file} holds no line of JSON with a job: was --json given?`)
const result = JSON.parse(line) as JobResult
const loads = rates.length === 0 ? [10_000, 1_000_000, 10_000_000] : rates.map(Number)

const rows: readonly [string, (perSecond: number) => string][] = [
  ['worker cores in use', (load) => number((load * result.figures.runCpuMicros) / 1e6)],
  ['workers, one core each', (load) => number(workers(load))],
  ['partitions', (load) => number(partitions(load))],
  ['into Kafka, MB/s', (load) => number((load * result.topicBytesPerUnit) / 1e6)],
  ['brokers', (load) => number(brokers(load))],
  [
    'broker cores in use, first copy',
    (load) => number((load * (result.brokerTakeMicros + result.figures.brokerCpuMicros)) / 1e6),
  ],
  ['ClickHouse cores in use', (load) => number((load * result.figures.clickhouseCpuMicros) / 1e6)],
  ['ClickHouse nodes of 16 cores, one copy', (load) => number(nodes(load))],
  ['inserts/s into a node', (load) => number((batches(load) * RULES.insertsPerBatch) / nodes(load))],
  ['rows of a batch', (load) => number(load / batches(load))],
  ['ClickHouse disk a day, GB', (load) => number((load * 86_400 * result.figures.diskBytes) / 1e9)],
  ['objects written/s', (load) => number(objects(load))],
]
console.log(`| ${['', ...loads.map((load) => `${load.toLocaleString('en')} spans/s`)].join(' | ')} |`)
console.log(`|${'---|'.repeat(loads.length + 1)}`)
for (const [name, of] of rows) console.log(`| ${[name, ...loads.map(of)].join(' | ')} |`)

/** Two at least, so that one may fail. */
function workers(load: number): number {
  return Math.max(2, Math.ceil((load * result.figures.runCpuMicros) / 1e6 / RULES.workerUse))
}

function partitions(load: number): number {
  return Math.max(RULES.leastPartitions, RULES.partitionsPerWorker * workers(load))
}

function brokers(load: number): number {
  const bytes = load * result.topicBytesPerUnit * RULES.replicas
  return Math.max(RULES.replicas, Math.ceil(bytes / RULES.brokerBytesPerSecond))
}

function nodes(load: number): number {
  const cores = (load * result.figures.clickhouseCpuMicros) / 1e6 / RULES.clickhouseUse
  return Math.max(1, Math.ceil(cores / RULES.clickhouseCores))
}

/** A second: each worker makes one a second (`SIDEREAL_BATCH_MS`), or more when one is full before. */
function batches(load: number): number {
  return Math.max(workers(load) * RULES.batchesPerSecond, load / result.figures.rowsPerBatch)
}

/** Packs are full at 8 MB, or a second old; without payloads there are none. */
function objects(load: number): number {
  if (result.figures.packs === 0) return 0
  const bytes = (load * result.figures.packBytes) / result.units
  return Math.max(workers(load), bytes / RULES.packBytes)
}

function number(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en') : String(Math.round(value * 100) / 100)
}
