/**
 * What tracing costs a service: Sidereal's producer beside OpenTelemetry's BatchSpanProcessor with its OTLP gRPC exporter, in one run, by turns.
 * Broker and receiver are processes of their own: their CPU is not counted.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { createKafka } from '../src/kafka/client.ts'
import { startStack } from '../src/local/stack.ts'
import { silentLogger } from '../src/telemetry/logger.ts'
import { median } from './median.ts'
import type { ProducerRun } from './producer-run.ts'
import { ReceiverProcess } from './receiver-process.ts'

const WAYS = ['none', 'kafka-zstd', 'kafka-none', 'otlp-grpc'] as const
const { values } = parseArgs({
  options: { spans: { type: 'string', default: '40000' }, rounds: { type: 'string', default: '3' } },
})
const path = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const say = (line: string) => process.stderr.write(`${line}\n`)

await using stack = await startStack({ servers: ['kafka', 'registry'], onProgress: say })
const topic = 'bench-producer'
const kafka = createKafka({ brokers: [stack.kafka!.address] }, { clientId: 'bench', logger: silentLogger })
const admin = kafka.admin()
await admin.connect()
await admin.createTopics({ topics: [{ topic, numPartitions: 6 }], waitForLeaders: true })
await admin.disconnect()
using receiver = await ReceiverProcess.start()
const env = { ...process.env, ...stack.env, SIDEREAL_TOPIC: topic, BENCH_OTLP_URL: receiver.url }
const runs = new Map<string, ProducerRun[]>(WAYS.map((way) => [way, []]))
for (let round = 1; round <= Number(values.rounds); round++) {
  for (const way of round % 2 === 1 ? WAYS : [...WAYS].reverse()) {
    const args = [path('producer-run.ts'), way, String(Math.ceil(Number(values.spans) / 4))]
    const { stdout } = await promisify(execFile)(process.execPath, args, { env })
    const run = JSON.parse(stdout) as ProducerRun
    if (way !== 'none' && run.delivered !== run.spans)
      throw new Error(`${way}: ${run.delivered} of ${run.spans} spans were acknowledged`)
    runs.get(way)!.push(run)
    say(`round ${round}, ${way}: ${run.cpuMicrosPerSpan.toFixed(1)} CPU µs a span`)
  }
}
print(runs)

/** The best round of each, since what disturbs a run only makes it dearer, but for the median and the peak. */
function print(runs: ReadonlyMap<string, readonly ProducerRun[]>): void {
  const best = (way: string, of: (run: ProducerRun) => number) => Math.min(...runs.get(way)!.map(of))
  const idle = best('none', (run) => run.cpuMicrosPerSpan)
  const rows: [string, (way: string) => string][] = [
    ['CPU µs a span, whole process', (way) => best(way, (run) => run.cpuMicrosPerSpan).toFixed(1)],
    ['… median of the rounds', (way) => median(runs.get(way)!.map((run) => run.cpuMicrosPerSpan)).toFixed(1)],
    ['… above spans that go nowhere', (way) => (best(way, (run) => run.cpuMicrosPerSpan) - idle).toFixed(1)],
    ['request of 4 spans, p50 µs', (way) => best(way, (run) => run.requestMicros.p50).toFixed(0)],
    ['request of 4 spans, p99 µs', (way) => best(way, (run) => run.requestMicros.p99).toFixed(0)],
    ['request of 4 spans, max µs', (way) => best(way, (run) => run.requestMicros.max).toFixed(0)],
    [
      'peak RSS, MB, of all rounds',
      (way) => Math.max(...runs.get(way)!.map(({ peakRssMb }) => peakRssMb)).toFixed(0),
    ],
  ]
  console.log(''.padEnd(34) + WAYS.map((way) => way.padStart(12)).join(''))
  for (const [name, of] of rows)
    console.log(name.padEnd(34) + WAYS.map((way) => of(way).padStart(12)).join(''))
}
