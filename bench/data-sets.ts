import { SeededRandom } from '../src/audit/seeded-random.ts'
import type { NodeTraceLog } from '../src/model/node-trace-log.ts'
import type { SpanBatch } from '../src/model/span.ts'
import { benchLog, NODES_PER_LOG } from './bench-log.ts'
import { benchTrace, PLAIN_SHAPE, SERVICES, SPANS_PER_TRACE, type SpanShape } from './data.ts'
import { HARD_SHAPE } from './hard-shape.ts'
import { WordText } from './word-text.ts'

/** What lies in the tables when all traces were processed. */
export interface RowCounts {
  readonly spans: number
  readonly logs: number
  readonly nodes: number
  /** Values in the object store. */
  readonly payloads: number
}

/** One kind of records to measure with. The same index and seed give the same trace. */
export interface DataSet {
  readonly name: string
  /** What costs are stated for. */
  readonly unit: 'span' | 'log'
  readonly unitsPerTrace: number
  readonly recordsPerTrace: number
  /** At which they are produced: an even pace, so that append times say how many traces were open at once. */
  readonly recordsPerSecond: number
  /** Records of a trace in the order of their sending. */
  trace(index: number, seed: number, startNs: bigint): (SpanBatch | NodeTraceLog)[]
  rowsOf(traces: number): RowCounts
  /** Bytes of a value that is a payload, where there are any. */
  readonly payloadBytes?: number
}

const PAYLOAD_EVERY = 50
const PAYLOAD_BYTES = 20 * 1024
const VOCABULARY_SEED = 77

export type DataName = 'plain' | 'hard' | 'single' | 'logs' | 'payloads'

export function dataSet(name: DataName): DataSet {
  switch (name) {
    case 'plain':
      return spanSet(name, PLAIN_SHAPE)
    case 'hard':
      return spanSet(name, HARD_SHAPE)
    case 'single':
      return {
        ...spanSet(name, PLAIN_SHAPE),
        recordsPerTrace: SPANS_PER_TRACE,
        recordsPerSecond: 10_000,
        trace: (index, seed, startNs) => oneSpanARecord(benchTrace(index, seed, startNs), seed, index),
      }
    case 'payloads':
      return payloadSet()
    case 'logs': {
      const texts = new WordText(new SeededRandom(VOCABULARY_SEED))
      return {
        name,
        unit: 'log',
        unitsPerTrace: 1,
        recordsPerTrace: 1,
        recordsPerSecond: 1_000,
        trace: (index, seed, startNs) => [benchLog(index, seed, startNs, texts)],
        rowsOf: (traces) => ({ spans: 0, logs: traces, nodes: traces * NODES_PER_LOG, payloads: 0 }),
      }
    }
  }
}

function spanSet(name: DataName, shape: SpanShape): DataSet {
  return {
    name,
    unit: 'span',
    unitsPerTrace: SPANS_PER_TRACE,
    recordsPerTrace: SERVICES.length,
    recordsPerSecond: 7_000,
    trace: (index, seed, startNs) => benchTrace(index, seed, startNs, shape),
    rowsOf: (traces) => ({ spans: traces * SPANS_PER_TRACE, logs: 0, nodes: 0, payloads: 0 }),
  }
}

/** Every 50th span holds an answer of 20 KB, each unlike all others. */
function payloadSet(): DataSet {
  const texts = new WordText(new SeededRandom(VOCABULARY_SEED))
  const plain = spanSet('payloads', PLAIN_SHAPE)
  return {
    ...plain,
    payloadBytes: PAYLOAD_BYTES,
    trace: (index, seed, startNs) => {
      const batches = benchTrace(index, seed, startNs)
      const random = new SeededRandom(seed, index, 1)
      batches.forEach(({ spans }, service) => {
        spans.forEach((span, i) => {
          const number = index * SPANS_PER_TRACE + service * (SPANS_PER_TRACE / SERVICES.length) + i
          if (number % PAYLOAD_EVERY === 0) {
            span.attributes.push({ key: 'gen_ai.completion', value: texts.make(random, PAYLOAD_BYTES) })
          }
        })
      })
      return batches
    },
    rowsOf: (traces) => ({
      ...plain.rowsOf(traces),
      payloads: Math.ceil((traces * SPANS_PER_TRACE) / PAYLOAD_EVERY),
    }),
  }
}

function oneSpanARecord(batches: readonly SpanBatch[], seed: number, index: number): SpanBatch[] {
  const random = new SeededRandom(seed, index, 2)
  return batches.flatMap((batch) =>
    batch.spans.map((span) => ({ ...batch, batchId: random.hex(16), spans: [span] })),
  )
}
