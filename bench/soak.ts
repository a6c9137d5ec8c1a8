import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { BenchGround } from './bench-ground.ts'
import { SPANS_PER_TRACE } from './data.ts'
import { avroEncoder } from './encoders.ts'
import { openBenchProducer } from './produce.ts'
import { slopeOf } from './slope.ts'
import { SoakLoad } from './soak-load.ts'
import { type LoopDelay, type Metrics, WorkerProcess } from './worker-process.ts'
import { LOG_FOLDER } from './worker-run.ts'

// npm run soak -- --minutes N [--rate SPANS_A_SECOND] [--long-share 0.01] [--long-minutes N/6]: a worker with default settings under a steady load. The first
// third of the time is its warm-up. Ends with 1 when memory grows, the event loop is held up, or a count is not right.

const MIB = 1024 * 1024
const SAMPLE_MS = 1_000
const SETTLE_MS = 600_000
const WARM_UP_SHARE = 1 / 3
const MAX_SLOPE_MB_PER_MINUTE = 1
const MAX_LOOP_P99_MS = 50
const TOPIC = 'soak'
const SAMPLES_FILE = `${LOG_FOLDER}/soak-samples.jsonl`

interface Sample {
  readonly minute: number
  readonly metrics: Metrics
}

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    rate: { type: 'string', default: '2000' },
    'long-share': { type: 'string', default: '0.01' },
    'long-minutes': { type: 'string' },
  },
})
const say = (line: string) => process.stderr.write(`${line}\n`)
const minutes = positive('minutes', values.minutes)
const longMinutes = positive('long-minutes', values['long-minutes'] ?? String(minutes / 6))
const spansPerSecond = positive('rate', values.rate)
const longShare = Number(values['long-share'])
if (!(longShare >= 0 && longShare <= 1)) throw new Error('--long-share is between 0 and 1')

await using ground = await BenchGround.open(say)
const topic = ground.topicName(TOPIC)
const run = await ground.newRun(topic)
const producer = await openBenchProducer(ground.brokers, 'zstd')
const encoder = await avroEncoder(ground.registryUrl, topic)
const load = new SoakLoad({
  ...{ producer, topic, encoder, spansPerSecond, longShare },
  longestLifeMs: longMinutes * 60_000,
})
const worker = new WorkerProcess({ env: run.env, logFolder: LOG_FOLDER, name: 'soak' })
try {
  await worker.started()
  const startedAt = performance.now()
  const endAt = startedAt + minutes * 60_000
  const warmAt = startedAt + minutes * 60_000 * WARM_UP_SHARE
  const loading = load.run(endAt)
  const [samples, delay] = await Promise.race([
    watch(startedAt, warmAt, endAt),
    worker.failed,
    failing(loading),
  ])
  await loading
  await Promise.race([ground.settled(run, SETTLE_MS), worker.failed])
  await ground.checkRows(run, { spans: load.traces * SPANS_PER_TRACE, logs: 0, nodes: 0, payloads: 0 })
  writeFileSync(SAMPLES_FILE, samples.map(sampleLine).join(''))
  process.exitCode = report(samples, delay) ? 0 : 1
} finally {
  await worker.end()
  await producer.close()
}

/** Samples after the warm-up, and how the event loop was doing in that time. */
async function watch(startedAt: number, warmAt: number, endAt: number): Promise<[Sample[], LoopDelay]> {
  const samples: Sample[] = []
  await sleep(warmAt - performance.now())
  say(`warm after ${((warmAt - startedAt) / 60_000).toFixed(1)} minutes: measuring from here`)
  await worker.loopDelay()
  while (performance.now() < endAt) {
    const metrics = await worker.metrics()
    if (metrics !== undefined) samples.push({ minute: (performance.now() - startedAt) / 60_000, metrics })
    await sleep(SAMPLE_MS)
  }
  return [samples, await worker.loopDelay()]
}

/** Rejects when the load does; a load that is done says nothing. */
async function failing(loading: Promise<void>): Promise<never> {
  await loading
  return await new Promise<never>(() => undefined)
}

function report(samples: readonly Sample[], delay: LoopDelay): boolean {
  const of = (name: string) => samples.map(({ metrics }) => metrics.get(name) ?? Number.NaN)
  const inMb = (bytes: number) => (bytes / MIB).toFixed(1)
  const slope = (name: string) =>
    slopeOf(samples.map(({ minute, metrics }) => ({ x: minute, y: (metrics.get(name) ?? Number.NaN) / MIB })))
  const rssSlope = slope('process_resident_memory_bytes')
  const consumed = of('sidereal_rows_consumed_total{kind="spans"}')
  const seconds = ((samples.at(-1)?.minute ?? Number.NaN) - (samples[0]?.minute ?? Number.NaN)) * 60
  console.log(
    `${minutes} minutes, ${load.traces * SPANS_PER_TRACE} spans, ${load.longTraces} of ${load.traces} traces lived up to ${longMinutes.toFixed(1)} minutes; all of them are in the table`,
  )
  console.log(
    `spans/s, measured                    ${((consumed.at(-1)! - consumed[0]!) / seconds).toFixed(0)}`,
  )
  for (const [title, name] of [
    ['RSS', 'process_resident_memory_bytes'],
    ['heap in use', 'nodejs_heap_size_used_bytes'],
    ['buffers', 'nodejs_external_memory_bytes'],
    ['slabs', 'sidereal_slab_bytes'],
    ['… of that open traces', 'sidereal_open_bytes'],
  ] as const) {
    const all = of(name)
    const mean = all.reduce((sum, value) => sum + value, 0) / all.length
    console.log(
      `${`${title}, MB`.padEnd(36)} mean ${inMb(mean)}, ${inMb(Math.min(...all))} to ${inMb(Math.max(...all))}, ${slope(name).toFixed(2)} a minute`,
    )
  }
  console.log(`open traces at the end               ${of('sidereal_open_traces').at(-1)}`)
  for (const [name, value] of samples.at(-1)?.metrics ?? [])
    if (name.startsWith('sidereal_slab')) console.log(`${name.padEnd(36)} ${value}`)
  console.log(
    `event loop held up, ms               p50 ${delay.p50Ms.toFixed(1)}, p99 ${delay.p99Ms.toFixed(1)}, longest ${delay.maxMs.toFixed(1)}`,
  )
  const isSteady = rssSlope < MAX_SLOPE_MB_PER_MINUTE
  const isQuick = delay.p99Ms < MAX_LOOP_P99_MS
  console.log(
    `RSS slope ${rssSlope.toFixed(2)} MB a minute (limit ${MAX_SLOPE_MB_PER_MINUTE}): ${isSteady ? 'good' : 'too much'}; p99 ${delay.p99Ms.toFixed(1)} ms (limit ${MAX_LOOP_P99_MS}): ${isQuick ? 'good' : 'too much'}`,
  )
  return isSteady && isQuick
}

function sampleLine({ minute, metrics }: Sample): string {
  const kept = [...metrics].filter(([name]) =>
    /^(process_resident|nodejs_(heap_size|external)|sidereal_)/.test(name),
  )
  return `${JSON.stringify({ minute, ...Object.fromEntries(kept) })}\n`
}

function positive(name: string, text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new Error(`--${name} is a number above 0, not ${text}`)
  return value
}
