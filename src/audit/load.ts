import { setTimeout as sleep } from 'node:timers/promises'
import type { NodeTraceLog } from '../model/node-trace-log.ts'
import type { SpanBatch } from '../model/span.ts'
import { type GeneratedRecord, type GeneratedTrace, generateTrace } from './generator.ts'
import type { LedgerWriter, RecordName, RecordPlace } from './ledger.ts'
import type { LoadPlan } from './load-plan.ts'
import { SeededRandom } from './seeded-random.ts'

/** Turns records into what Kafka takes. */
export interface RecordEncoder {
  spanBatch(batch: SpanBatch): Buffer
  nodeTraceLog(log: NodeTraceLog): Buffer
}

export interface LoadOptions {
  readonly plan: LoadPlan
  readonly ledger: LedgerWriter
  readonly encoder: RecordEncoder
  readonly send: (
    records: readonly { key: Buffer; value: Buffer }[],
  ) => Promise<readonly { partition: number; offset: number }[]>
  /** Spans a second; 0 = as fast as it goes. */
  readonly rate: number
  readonly onProgress: (progress: LoadProgress) => void
  readonly signal: AbortSignal
}

export interface LoadProgress {
  readonly traces: number
  readonly spans: number
  readonly records: number
  readonly bytes: number
}

const OPEN_TRACES = 64
const SEND_RECORDS = 250
const SEND_BYTES = 4 * 1024 * 1024
const PAUSE_MS = 20

/**
 * Sends a plan. Traces overlap as they do in life: a window of them is open at a time, and each record is the next one of any of these.
 * Every send stands in the ledger before it is made; what Kafka said of it, after. Stops between two sends when `signal` aborts.
 *
 * @throws SiderealError of the producer, after noting the failed send
 */
export async function runLoad(options: LoadOptions): Promise<LoadProgress> {
  const { plan, ledger, signal, rate } = options
  const queue = new RecordQueue(plan)
  const startedMs = performance.now()
  const total = { traces: 0, spans: 0, records: 0, bytes: 0 }
  while (!queue.isEmpty && !signal.aborted) {
    const due =
      rate === 0 ? Number.POSITIVE_INFINITY : ((performance.now() - startedMs) / 1000) * rate - total.spans
    if (due < 0) {
      await sleep(Math.min(PAUSE_MS, (-due / rate) * 1000))
      continue
    }
    const names: RecordName[] = []
    const records: { key: Buffer; value: Buffer }[] = []
    let bytes = 0
    let spans = 0
    while (records.length < SEND_RECORDS && bytes < SEND_BYTES && spans <= due) {
      const next = queue.take()
      if (next === undefined) break
      const value = encode(options.encoder, next.record)
      names.push(next.name)
      records.push({ key: Buffer.from(next.sid), value })
      bytes += value.length
      spans += next.record.kind === 'spans' ? next.record.batch.spans.length : 0
    }
    const send = ledger.sending(names)
    ledger.acknowledged(send, await places(options, send, records))
    total.traces = queue.finishedTraces
    total.spans += spans
    total.records += records.length
    total.bytes += bytes
    options.onProgress({ ...total })
  }
  return total
}

async function places(
  { ledger, send: sendRecords }: LoadOptions,
  send: number,
  records: readonly { key: Buffer; value: Buffer }[],
): Promise<RecordPlace[]> {
  try {
    const sent = await sendRecords(records)
    return sent.map(({ partition, offset }) => [partition, offset])
  } catch (error) {
    ledger.failed(send, error instanceof Error ? error.message : String(error))
    throw error
  }
}

function encode(encoder: RecordEncoder, record: GeneratedRecord): Buffer {
  return record.kind === 'spans' ? encoder.spanBatch(record.batch) : encoder.nodeTraceLog(record.log)
}

interface QueuedRecord {
  readonly name: RecordName
  readonly sid: string
  readonly record: GeneratedRecord
}

/** The records of a plan, those of {@link OPEN_TRACES} traces mixed, those of one trace in order. */
class RecordQueue {
  readonly #plan: LoadPlan
  readonly #random: SeededRandom
  readonly #open: { trace: GeneratedTrace; next: number }[] = []
  #nextTrace = 0
  finishedTraces = 0

  constructor(plan: LoadPlan) {
    this.#plan = plan
    this.#random = new SeededRandom(plan.seed, plan.run, 0x6c6f6164)
    this.#fill()
  }

  get isEmpty(): boolean {
    return this.#open.length === 0
  }

  take(): QueuedRecord | undefined {
    if (this.#open.length === 0) return undefined
    const place = this.#random.integer(0, this.#open.length - 1)
    const entry = this.#open[place]!
    const { trace, next } = entry
    const record = trace.records[next]!
    entry.next += 1
    if (entry.next === trace.records.length) {
      this.#open.splice(place, 1)
      this.finishedTraces += 1
      this.#fill()
    }
    return { name: [trace.index, next], sid: trace.sid, record }
  }

  #fill(): void {
    while (this.#open.length < OPEN_TRACES && this.#nextTrace < this.#plan.traces) {
      this.#open.push({ trace: generateTrace(this.#plan, this.#nextTrace), next: 0 })
      this.#nextTrace += 1
    }
  }
}
