import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { spawnCli } from '../src/local/demo/cli-process.ts'
import { startStack } from '../src/local/stack.ts'
import { calibrate } from './calibration.ts'
import { SPANS_PER_TRACE } from './data.ts'
import { produceBench } from './produce.ts'
import { type BenchResult, printResult } from './result.ts'
import { measureWorker } from './worker-run.ts'

const PARTITIONS = 6

const { values } = parseArgs({
  options: {
    spans: { type: 'string', default: '480000' },
    'open-traces': { type: 'string', default: '8000' },
    json: { type: 'boolean', default: false },
    profile: { type: 'boolean', default: false },
  },
})
const traces = Math.ceil(Number(values.spans) / SPANS_PER_TRACE)
const wantedOpenTraces = Number(values['open-traces'])
const say = (line: string) => process.stderr.write(`${line}\n`)

await using stack = await startStack({ onProgress: say })
const run = Date.now().toString(36)
const names = {
  SIDEREAL_TOPIC: `bench-${run}`,
  SIDEREAL_DEAD_LETTER_TOPIC: `bench-dead-letters-${run}`,
  SIDEREAL_GROUP: `bench-${run}`,
  SIDEREAL_CLICKHOUSE_DATABASE: `bench_${run}`,
  SIDEREAL_TOPIC_PARTITIONS: String(PARTITIONS),
}
const env = { ...stack.env, ...names }
// Standard output belongs to the figures.
const [setupCode] = await once(spawnCli(['setup'], env, process.stderr.fd), 'exit')
if (setupCode !== 0) throw new Error(`sidereal setup ended with code ${setupCode}`)

say(`producing ${traces} traces of ${SPANS_PER_TRACE} spans`)
const produced = await produceBench({ env, topic: names.SIDEREAL_TOPIC, traces, onProgress: say })
// Stream time is the append time: traces a second of it, times the quiet time, is what is open at once.
const quietMs = Math.max(50, Math.round((wantedOpenTraces / traces) * produced.seconds * 1000))
say(
  `${produced.records} records, ${(produced.avroBytes / produced.spans).toFixed(0)} B of Avro a span, in ${produced.seconds.toFixed(1)} s`,
)

const clickhouse = stack.clickhouse
if (clickhouse === undefined) throw new Error('the stack has no ClickHouse')
const clickhousePid = clickhouse.processes[0]?.pid
if (clickhousePid === undefined) throw new Error('the ClickHouse of the stack has no process')
const calibrationBefore = calibrate()
const measured = await measureWorker({
  env: {
    ...env,
    SIDEREAL_QUIET_MS: String(quietMs),
    SIDEREAL_METRICS_PORT: '0',
  },
  topic: names.SIDEREAL_TOPIC,
  group: names.SIDEREAL_GROUP,
  database: names.SIDEREAL_CLICKHOUSE_DATABASE,
  spans: produced.spans,
  clickhousePid,
  isProfiled: values.profile,
  onProgress: say,
})
const result: BenchResult = {
  ...measured,
  spans: produced.spans,
  avroBytesPerSpan: produced.avroBytes / produced.spans,
  quietMs,
  calibrationMicrosPerSpan: (calibrationBefore + calibrate()) / 2,
}
printResult(result, { isJson: values.json })
