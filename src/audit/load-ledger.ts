import { z } from 'zod'
import type { NodeTraceLog } from '../model/node-trace-log.ts'
import type { SpanBatch } from '../model/span.ts'
import type { ExpectedRevision, ExpectedSpan, ExpectedTrace, Origin } from './expected.ts'
import { generateTrace } from './generator.ts'
import { ledgerFault, readLedgerLines } from './ledger.ts'
import { type LoadPlan, SPANS_PER_RECORD } from './load-plan.ts'

const count = z.number().int().min(0)
const share = z.number().min(0).max(1)

const headerSchema = z.object({
  type: z.literal('load'),
  version: z.literal(1),
  topic: z.string(),
  plan: z.object({
    seed: count,
    run: count,
    startMs: count,
    traces: count,
    spansPerTrace: count.min(1),
    payloadShare: share,
    hasLogs: z.boolean(),
    openShare: share,
    oddTimeShare: share,
  }),
})

const pair = z.tuple([count, count])
const lineSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('send'), send: count, records: z.array(pair) }),
  z.object({ type: z.literal('acknowledged'), send: count, at: z.array(pair) }),
  z.object({ type: z.literal('failed'), send: count }),
])

const SENT = 1
const ACKNOWLEDGED = 2

/** What became of each record of a load, in 13 bytes a record whatever the size of the run. */
export class LoadLedger {
  readonly topic: string
  readonly plan: LoadPlan
  readonly #recordsPerTrace: number
  readonly #states: Uint8Array
  readonly #partitions: Int32Array
  readonly #offsets: Float64Array

  private constructor(topic: string, plan: LoadPlan) {
    this.topic = topic
    this.plan = plan
    // Two publications of the log, at most.
    this.#recordsPerTrace = Math.ceil(plan.spansPerTrace / SPANS_PER_RECORD) + 2
    const records = plan.traces * this.#recordsPerTrace
    this.#states = new Uint8Array(records)
    this.#partitions = new Int32Array(records)
    this.#offsets = new Float64Array(records)
  }

  static async read(path: string): Promise<LoadLedger> {
    let ledger: LoadLedger | undefined
    const open = new Map<number, readonly (readonly [number, number])[]>()
    for await (const { number, value } of readLedgerLines(path)) {
      if (ledger === undefined) {
        const header = headerSchema.safeParse(value)
        if (!header.success) throw ledgerFault(path, number, 'is not the first line of a load ledger')
        ledger = new LoadLedger(header.data.topic, header.data.plan)
        continue
      }
      const line = lineSchema.safeParse(value)
      if (!line.success) throw ledgerFault(path, number, 'is not a line of a load ledger')
      const { data } = line
      if (data.type === 'send') {
        open.set(data.send, data.records)
        for (const name of data.records) ledger.#mark(ledger.#slot(path, number, name), SENT)
        continue
      }
      const records = open.get(data.send)
      if (records === undefined) throw ledgerFault(path, number, 'answers a send that was never made')
      open.delete(data.send)
      if (data.type === 'failed') continue
      if (data.at.length !== records.length)
        throw ledgerFault(path, number, 'does not answer for each record')
      records.forEach((name, place) => {
        const slot = ledger!.#slot(path, number, name)
        const [partition, offset] = data.at[place]!
        ledger!.#mark(slot, ACKNOWLEDGED)
        ledger!.#partitions[slot] = partition
        ledger!.#offsets[slot] = offset
      })
    }
    if (ledger === undefined) throw ledgerFault(path, 1, 'is missing')
    return ledger
  }

  /** Every trace of which something was sent, in the order of their numbers. */
  *traces(): Generator<ExpectedTrace> {
    for (let index = 0; index < this.plan.traces; index++) {
      const first = index * this.#recordsPerTrace
      if (this.#states.subarray(first, first + this.#recordsPerTrace).every((state) => state === 0)) continue
      const trace = generateTrace(this.plan, index)
      const spans: ExpectedSpan[] = []
      const revisions: ExpectedRevision[] = []
      trace.records.forEach((record, place) => {
        const origin = this.#origin(first + place)
        if (origin === undefined) return
        if (record.kind === 'spans') spans.push(...expectedSpans(record.batch, origin))
        else revisions.push(expectedRevision(record.log, origin))
      })
      yield { sid: trace.sid, spans, revisions }
    }
  }

  #origin(slot: number): Origin | undefined {
    const state = this.#states[slot]
    if (state === ACKNOWLEDGED) {
      return { isAcknowledged: true, partition: this.#partitions[slot]!, offset: this.#offsets[slot]! }
    }
    return state === SENT ? { isAcknowledged: false } : undefined
  }

  #slot(path: string, line: number, [trace, record]: readonly [number, number]): number {
    if (trace >= this.plan.traces || record >= this.#recordsPerTrace)
      throw ledgerFault(path, line, 'names a record outside its plan')
    return trace * this.#recordsPerTrace + record
  }

  #mark(slot: number, state: number): void {
    this.#states[slot] = Math.max(this.#states[slot]!, state)
  }
}

/** What a span batch of the model leads one to expect of each of its spans. */
export function expectedSpans(batch: SpanBatch, origin: Origin): ExpectedSpan[] {
  const { appId, uid, chatId, batchId, resource, scope } = batch
  return batch.spans.map((span) => ({ ...span, origin, appId, uid, chatId, batchId, resource, scope }))
}

export function expectedRevision(log: NodeTraceLog, origin: Origin): ExpectedRevision {
  return { ...log, origin }
}
