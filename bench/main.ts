import { parseArgs } from 'node:util'
import { COMPRESSIONS } from '../src/kafka/codecs.ts'
import { BenchGround } from './bench-ground.ts'
import { runGuard } from './guard.ts'
import { type JobResult, JobRunner } from './job-run.ts'
import { jobNamed } from './jobs.ts'
import { measurePeer } from './peer.ts'
import { printJob, printScaling } from './result.ts'
import { LOG_FOLDER } from './worker-run.ts'

// npm run bench -- [--job NAME] [--runs N] [--workers 1,2,4] [--spans N] [--open-traces N] [--compression zstd] [--profile] [--node-arg=ARG …] [--json]
// npm run bench -- --peer PATH_TO_OTELCOL [--runs N] [--spans N] [--json]
// npm run bench -- --guard [--write-baseline]

const { values } = parseArgs({
  options: {
    job: { type: 'string', default: 'plain' },
    runs: { type: 'string', default: '1' },
    workers: { type: 'string', default: '1' },
    /** Or logs. Default: the job's. */
    spans: { type: 'string' },
    'open-traces': { type: 'string' },
    /** Of the records in Kafka: none, gzip, snappy, lz4 or zstd. */
    compression: { type: 'string', default: 'none' },
    json: { type: 'boolean', default: false },
    profile: { type: 'boolean', default: false },
    /** For the workers, as in `--node-arg=--trace-gc`; what they print is in the log folder. */
    'node-arg': { type: 'string', multiple: true, default: [] },
    peer: { type: 'string' },
    guard: { type: 'boolean', default: false },
    'write-baseline': { type: 'boolean', default: false },
  },
})
const say = (line: string) => process.stderr.write(`${line}\n`)
const compression = COMPRESSIONS.find((name) => name === values.compression)
if (compression === undefined) throw new Error(`--compression is one of ${COMPRESSIONS.join(', ')}`)
const job = jobNamed(values.job)
const units = count('spans', values.spans ?? String(job.units))
const openTraces = count('open-traces', values['open-traces'] ?? String(job.openTraces))
const runs = count('runs', values.runs)
const profiling = values.profile ? ['--cpu-prof', `--cpu-prof-dir=${LOG_FOLDER}`] : []
const nodeArgs = [...values['node-arg'], ...profiling]
const workerCounts = values.workers.split(',').map((text) => count('workers', text))

await using ground = await BenchGround.open(say)
if (values.guard || values['write-baseline']) {
  const isGood = await runGuard(ground, { writesBaseline: values['write-baseline'], onProgress: say })
  process.exitCode = isGood ? 0 : 1
} else if (values.peer !== undefined) {
  await measurePeer(ground, {
    ...{ binary: values.peer, units, openTraces, runs, isJson: values.json, onProgress: say },
  })
} else {
  const runner = new JobRunner(ground, compression)
  const results: JobResult[] = []
  for (const workers of workerCounts) {
    const options = { units, openTraces, runs, workers, nodeArgs, onProgress: say }
    const result = await runner.measure(job, options)
    printJob(values.job, result, { isJson: values.json })
    results.push(result)
  }
  printScaling(results)
}

function count(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1)
    throw new Error(`--${name} is a whole number from 1, not ${text}`)
  return value
}
