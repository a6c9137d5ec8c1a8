import { testFragment, testRecord, testRecordType } from '../src/sinks/fragments.testing.ts'
import { exportRequests } from '../src/sinks/otlp/export-requests.ts'
import { ProtoWriter } from '../src/sinks/otlp/proto-writer.ts'
import { SpanBytes } from '../src/sinks/otlp/span-bytes.ts'
import { benchTrace, SPANS_PER_TRACE } from './data.ts'

/**
 * CPU from records to OTLP requests, in microseconds a span: from the bytes beside decoded objects. Sending is not in it.
 * Run: `node bench/otlp-encoders.ts [rounds]`.
 */

const TRACES = 1_000
const START_NS = 1_781_524_800_000_000_000n
const LIMITS = { maxBytes: 3_500_000, maxSpans: 1_000 }

const fragments = Array.from({ length: TRACES }, (_, index) =>
  testFragment(benchTrace(index, 1, START_NS).map((batch, place) => testRecord(batch, { offset: place }))),
)
const writer = new ProtoWriter()
const encoders = { objects: undefined, bytes: new SpanBytes(testRecordType) }
const figures: Record<keyof typeof encoders, number[]> = { objects: [], bytes: [] }
const rounds = Number(process.argv[2] ?? 20)
for (let round = 0; round < rounds; round++) {
  for (const [name, bytes] of Object.entries(encoders)) {
    const before = process.cpuUsage()
    let sent = 0
    for (const request of exportRequests(fragments, { bytes, writer }, LIMITS)) sent += request.spanCount
    const { user, system } = process.cpuUsage(before)
    if (sent !== TRACES * SPANS_PER_TRACE) throw new Error(`encoded ${sent} spans`)
    figures[name as keyof typeof encoders].push((user + system) / sent)
  }
}
for (const [name, values] of Object.entries(figures)) {
  values.sort((a, b) => a - b)
  const median = values[values.length >> 1] ?? 0
  process.stdout.write(
    `${name.padEnd(8)} ${median.toFixed(2)} µs of CPU a span (median of ${rounds}, least ${values[0]?.toFixed(2)})\n`,
  )
}
