import type { SeededRandom } from '../../src/audit/seeded-random.ts'
import { RecordWriter } from '../../src/codec/record-writer.ts'
import type { NodeLog, NodeTraceLog } from '../../src/model/node-trace-log.ts'
import type { Span, SpanBatch } from '../../src/model/span.ts'
import { expectedText, factKeysOf, type ProducedRecord, REFUSED, rowsOf } from './records.ts'

export const SPANS_SCHEMA_ID = 1
export const LOG_SCHEMA_ID = 2
/** No registry has it. */
export const UNKNOWN_SCHEMA_ID = 77
/** The registry has it, and it is of something else. */
export const FOREIGN_SCHEMA_ID = 78
export const START_MS = 1_781_524_800_000
const START_NS = BigInt(START_MS) * 1_000_000n

/** A record and when it is sent, since the start of the run. Null = the log gets an offset that shows no record (a control record). */
export interface PlannedRecord {
  readonly atMs: number
  readonly record: ProducedRecord | null
}

/** Random traces, with everything that makes assembly difficult. */
export class TraceGenerator {
  readonly #random: SeededRandom
  readonly #isOffloading: boolean
  readonly #writer = new RecordWriter()
  readonly #planned: PlannedRecord[] = []
  #records = 0
  #ids = 0

  constructor(random: SeededRandom, isOffloading: boolean) {
    this.#random = random
    this.#isOffloading = isOffloading
  }

  generate(): PlannedRecord[] {
    const random = this.#random
    const traces = random.pick([2, 5, 9, 14])
    for (let i = 0; i < traces; i++) this.#trace(`sid-${i}`, random.integer(0, 7_000))
    for (let i = random.pick([0, 0, 1, 3]); i > 0; i--) this.#bad(random.integer(0, 9_000))
    for (let i = random.pick([0, 0, 2]); i > 0; i--) {
      this.#planned.push({ atMs: random.integer(0, 9_000), record: null })
    }
    this.#repeat()
    return this.#planned.sort((a, b) => a.atMs - b.atMs)
  }

  /** All records of one SID. */
  #trace(sid: string, startMs: number): void {
    const random = this.#random
    const app = random.pick(['app-1', 'app-1', 'app-2', ''])
    const spans = Array.from({ length: random.pick([0, 1, 1, 1, 2, 3]) }, () => this.#spans()).flat()
    let atMs = startMs
    while (spans.length > 0) {
      // Services flush on their own timers: children may come before their parents, and some much later.
      const some = random.chance(0.3) ? random.pick([-1, -2]) : random.integer(1, 3)
      const taken = some < 0 ? spans.splice(some) : spans.splice(0, some)
      const claim = random.chance(0.1) ? { appId: 'app-3', uid: 'user-9' } : {}
      this.#add(atMs, this.#batch(sid, app, taken, claim))
      atMs += this.#gap()
    }
    if (random.chance(0.5)) this.#logs(sid, app, random.integer(startMs, startMs + 3_000))
  }

  #spans(): Span[] {
    const random = this.#random
    const traceId = this.#hex(16)
    const count = random.integer(1, 5)
    const spans: Span[] = []
    for (let i = 0; i < count; i++) {
      const isRoot = i === 0 && random.chance(0.85)
      const isRemote = !isRoot && random.chance(i === 0 ? 0.5 : 0.1)
      const parentSpanId = isRoot
        ? null
        : i > 0 && random.chance(0.9)
          ? random.pick(spans).spanId
          : this.#hex(8)
      const isError = random.chance(0.15)
      spans.push({
        traceId,
        spanId: this.#hex(8),
        parentSpanId,
        flags: isRemote ? 0x301 : 0x101,
        name: random.chance(0.015) ? REFUSED : random.pick(['GET /chat', 'call', 'query']),
        kind: 1,
        startTimeNs: START_NS + BigInt(random.integer(0, 10_000)),
        endTimeNs: START_NS + BigInt(random.integer(10_000, 20_000)),
        statusCode: isError ? 2 : 0,
        statusMessage: random.chance(0.1) ? this.#largeText() : '',
        traceState: '',
        attributes: [],
        droppedAttributesCount: 0,
        events: random.chance(0.05)
          ? [{ timeNs: START_NS, name: 'exception', attributes: [], droppedAttributesCount: 0 }]
          : [],
        droppedEventsCount: 0,
        links: [],
        droppedLinksCount: 0,
      })
    }
    return spans
  }

  #batch(sid: string, appId: string, spans: Span[], claim: Partial<SpanBatch>): SpanBatch {
    const service = this.#random.pick(['entry', 'worker', ''])
    return {
      sid,
      appId,
      uid: 'user-1',
      chatId: this.#random.pick(['chat-1', '']),
      batchId: this.#hex(16),
      resource: {
        attributes: service === '' ? [] : [{ key: 'service.name', value: service }],
        droppedAttributesCount: 0,
        schemaUrl: '',
        entityRefs: [],
      },
      scope: { name: '', version: '', attributes: [], droppedAttributesCount: 0, schemaUrl: '' },
      spans,
      ...claim,
    }
  }

  /** One log and its revisions, which may come in any order. Places mostly grow. */
  #logs(sid: string, appId: string, startMs: number): void {
    const random = this.#random
    const logId = `0197a1b2c3d47${this.#hex(10).slice(1)}`
    const revisions = random.pick([1, 1, 2, 3])
    const isAnnouncing = random.chance(0.4)
    for (let revision = 0; revision < revisions; revision++) {
      const places = Math.max(0, revision + random.integer(-1, 2))
      const trace = Array.from({ length: places }, (_, place) => this.#node(sid, place, isAnnouncing))
      const model: NodeTraceLog = {
        sid,
        appId,
        uid: 'user-1',
        chatId: '',
        logId,
        revision,
        traceId: null,
        spanId: null,
        serviceId: 'flow',
        flowId: '',
        botId: '',
        sub: '',
        caller: '',
        logCaller: '',
        question: random.chance(0.03) ? REFUSED : '',
        answer: random.chance(0.3) ? this.#largeText() : `answer ${revision}`,
        startTimeMs: START_MS,
        endTimeMs: START_MS + 100 + revision,
        durationMs: 100,
        firstFrameDurationMs: -1,
        srv: [],
        srvTag: [],
        status: { code: random.pick([0, 0, 7]), message: '' },
        usage: this.#usage(),
        version: '',
        trace,
        extra: [],
      }
      this.#add(startMs + (random.chance(0.7) ? revision * 300 : random.integer(0, 4_000)), model)
    }
  }

  #node(sid: string, place: number, isAnnouncing: boolean): NodeLog {
    const random = this.#random
    return {
      id: `n${place}`,
      sid,
      nodeId: random.chance(0.5) ? `node-${place}` : '',
      nodeType: random.chance(0.15) ? 'end' : 'llm',
      nodeName: '',
      funcId: '',
      funcType: '',
      funcName: '',
      nextLogIds: isAnnouncing ? [`n${place + 1}`] : [],
      startTimeMs: START_MS,
      endTimeMs: START_MS + 50,
      durationMs: 50,
      firstFrameDurationMs: -1,
      nodeFirstCostTime: 0,
      llmOutput: random.chance(0.1) ? this.#largeText() : '',
      runningStatus: random.chance(0.8),
      data: { input: [], output: [], config: [], usage: this.#usage() },
      logs: [],
      extra: [],
    }
  }

  #usage(): NodeTraceLog['usage'] {
    const random = this.#random
    const promptTokens = random.integer(0, 9)
    const completionTokens = random.integer(0, 9)
    return { questionTokens: 1, promptTokens, completionTokens, totalTokens: promptTokens + completionTokens }
  }

  #add(atMs: number, model: SpanBatch | NodeTraceLog): void {
    const isSpans = 'spans' in model
    const value = isSpans
      ? this.#writer.encodeSpanBatch(model, SPANS_SCHEMA_ID)
      : this.#writer.encodeNodeTraceLog(model, LOG_SCHEMA_ID)
    const isRefused = isSpans ? model.spans.some(({ name }) => name === REFUSED) : model.question === REFUSED
    const id = this.#records++
    this.#planned.push({
      atMs,
      record: {
        id,
        sid: model.sid,
        model,
        key: Buffer.from(model.sid),
        value,
        headers: this.#random.chance(0.2) ? { source: `r${id}` } : {},
        end: isRefused ? 'refused' : 'rows',
        rows: rowsOf(model, expectedText(this.#isOffloading)),
        factKeys: factKeysOf(model),
        revision: isSpans ? 0 : model.revision,
        about: isSpans
          ? `${model.spans.length} spans`
          : `log revision ${model.revision}, ${model.trace.length} nodes`,
      },
    })
  }

  /** What can never become part of a trace. */
  #bad(atMs: number): void {
    const random = this.#random
    const sid = `sid-${random.integer(0, 3)}`
    const good = this.#writer.encodeSpanBatch(this.#batch(sid, 'app-1', this.#spans(), {}), SPANS_SCHEMA_ID)
    const withSchema = (id: number): Buffer => {
      const framed = Buffer.from(good)
      framed.writeUInt32BE(id, 1)
      return framed
    }
    const cases: readonly Pick<ProducedRecord, 'key' | 'value' | 'end'>[] = [
      { key: Buffer.from(sid), value: null, end: 'tombstone' },
      { key: null, value: good, end: 'null_key' },
      { key: Buffer.from(sid), value: Buffer.from('garbage'), end: 'bad_frame' },
      { key: Buffer.from(sid), value: withSchema(UNKNOWN_SCHEMA_ID), end: 'schema_unknown' },
      { key: Buffer.from(sid), value: withSchema(FOREIGN_SCHEMA_ID), end: 'schema_unusable' },
      { key: Buffer.from(sid), value: good.subarray(0, good.length - 2), end: 'record_invalid' },
      { key: Buffer.from('another'), value: good, end: 'key_mismatch' },
    ]
    const chosen = random.pick(cases)
    this.#planned.push({
      atMs,
      record: {
        id: this.#records++,
        sid,
        model: null,
        ...chosen,
        headers: random.chance(0.3) ? { source: 'bad' } : {},
        rows: [],
        factKeys: [],
        revision: 0,
        about: `bad: ${chosen.end}`,
      },
    })
  }

  /** Producers repeat records after a lost reply, some long after. */
  #repeat(): void {
    const random = this.#random
    for (const { atMs, record } of [...this.#planned]) {
      if (!random.chance(0.06)) continue
      this.#planned.push({ atMs: atMs + random.pick([1, 400, 2_000, 6_000]), record })
    }
  }

  #gap(): number {
    const random = this.#random
    return random.pick([5, 40, 200, 200, 600, 600, 1_500, 4_000])
  }

  #largeText(): string {
    return `${'long text '.repeat(6)}${this.#random.integer(0, 5)}`
  }

  #hex(bytes: number): string {
    this.#ids += 1
    const tail = this.#ids.toString(16).padStart(6, '0')
    return `${this.#random.integer(1, 0xffff).toString(16).padStart(4, 'a')}${'5'.repeat(bytes * 2 - 10)}${tail}`
  }
}
