import { testFragment, testRecord, testRecordType } from '../src/sinks/fragments.testing.ts'
import { exportRequests } from '../src/sinks/otlp/export-requests.ts'
import { ProtoWriter } from '../src/sinks/otlp/proto-writer.ts'
import { RequestMemory } from '../src/sinks/otlp/request-memory.ts'
import { SpanBytes } from '../src/sinks/otlp/span-bytes.ts'
import { compareByTurns } from './by-turns.ts'
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
const memory = new RequestMemory()
const encoders = { objects: undefined, bytes: new SpanBytes(testRecordType) }
compareByTurns(['objects', 'bytes'], Number(process.argv[2] ?? 20), (way) => {
  const before = process.cpuUsage()
  let spans = 0
  for (const request of exportRequests(fragments, { bytes: encoders[way], writer, memory }, LIMITS)) {
    spans += request.spanCount
    memory.give(request.bytes)
  }
  const cpu = process.cpuUsage(before)
  if (spans !== TRACES * SPANS_PER_TRACE) throw new Error(`encoded ${spans} spans`)
  return { spans, cpu }
})
