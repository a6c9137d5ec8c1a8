import { BUNDLED_SCHEMA_NAMES, bundledSchema } from '../../src/codec/bundled-schemas.ts'
import { RecordWriter } from '../../src/codec/record-writer.ts'
import { SchemaRegistry, subjectFor } from '../../src/codec/schema-registry.ts'
import type { CheckedProducer } from '../../src/kafka/checked-producer.ts'
import type { SpanBatch } from '../../src/model/span.ts'
import { testBatch, testSpan, testSpanId, testTraceId } from '../../src/sinks/fragments.testing.ts'
import type { ClickHouse } from '../../src/storage/clickhouse/client.ts'

const APP = 'chaos-canary'
const SEND_EVERY_MS = 200
const LOOK_EVERY_MS = 250

export interface CanariesOptions {
  readonly producer: CheckedProducer
  readonly topic: string
  readonly registryUrl: string
  readonly clickHouse: ClickHouse
}

/** A trace of one span, from the acknowledgement of its record to the row of the trace. */
export interface CanaryDelay {
  readonly sentMs: number
  readonly delayMs: number
}

/** Sends a small trace five times a second and looks when each becomes visible: what a user sees of a fault. */
export class Canaries {
  readonly #options: CanariesOptions
  readonly #writer = new RecordWriter()
  readonly #registry: SchemaRegistry
  /** By SID: when its record was acknowledged (monotonic). */
  readonly #pending = new Map<string, number>()
  readonly delays: CanaryDelay[] = []
  #schemaId = 0
  #schemas = 0
  #sent = 0
  #sending: NodeJS.Timeout | undefined
  #looking: NodeJS.Timeout | undefined
  #isLooking = false

  constructor(options: CanariesOptions) {
    this.#options = options
    this.#registry = new SchemaRegistry({
      url: options.registryUrl,
      timeoutMs: 10_000,
      payloadLimitBytes: 5_120,
    })
  }

  async start(): Promise<void> {
    this.useSchema(await this.newSchema())
    this.#sending = setInterval(() => void this.#send(), SEND_EVERY_MS)
    this.#looking = setInterval(() => void this.#look(), LOOK_EVERY_MS)
  }

  /** Registers a schema that no worker has seen: whoever reads the next canary has to ask the registry. */
  async newSchema(): Promise<number> {
    const [name] = BUNDLED_SCHEMA_NAMES
    if (name === undefined) throw new Error('no schema is bundled')
    const schema: object = JSON.parse(bundledSchema(name).json)
    this.#schemas += 1
    const json = JSON.stringify({ ...schema, doc: `chaos ${this.#schemas}` })
    return await this.#registry.register(subjectFor(this.#options.topic, name), json)
  }

  useSchema(id: number): void {
    this.#schemaId = id
  }

  /** Waited for and not seen yet. */
  get pending(): number {
    return this.#pending.size
  }

  /** Age of the oldest that is waited for; 0 = none. */
  get oldestMs(): number {
    // Acknowledged in order, but for those of one moment.
    const [oldest] = this.#pending.values()
    return oldest === undefined ? 0 : performance.now() - oldest
  }

  get missing(): readonly string[] {
    return [...this.#pending.keys()]
  }

  stopSending(): void {
    clearInterval(this.#sending)
  }

  stop(): void {
    this.stopSending()
    clearInterval(this.#looking)
  }

  async #send(): Promise<void> {
    this.#sent += 1
    const n = this.#sent
    const sid = `canary-${process.pid}-${n}`
    const value = this.#writer.encodeSpanBatch(canary(sid, n), this.#schemaId)
    try {
      await this.#options.producer.send(this.#options.topic, [{ key: Buffer.from(sid), value }])
      this.#pending.set(sid, performance.now())
    } catch {
      // Not acknowledged, so not waited for. It may be there all the same.
    }
  }

  async #look(): Promise<void> {
    if (this.#isLooking || this.#pending.size === 0) return
    this.#isLooking = true
    try {
      const sids = this.missing.map((sid) => `'${sid}'`).join(',')
      const sql = `SELECT DISTINCT sid FROM trace_fragments WHERE app_id = '${APP}' AND sid IN (${sids})`
      const rows = await this.#options.clickHouse.query<{ sid: string }>(sql)
      const nowMs = performance.now()
      for (const { sid } of rows) {
        const sentMs = this.#pending.get(sid)
        if (sentMs === undefined) continue
        this.#pending.delete(sid)
        this.delays.push({ sentMs, delayMs: nowMs - sentMs })
      }
    } catch {
      // ClickHouse is away, which the delay will show.
    } finally {
      this.#isLooking = false
    }
  }
}

function canary(sid: string, n: number): SpanBatch {
  const nowNs = BigInt(Date.now()) * 1_000_000n
  const span = testSpan({
    traceId: testTraceId(n),
    spanId: testSpanId(n),
    startTimeNs: nowNs - 1_000_000n,
    endTimeNs: nowNs,
  })
  const batchId = `0197a1b2c3d47e5f8a9b${n.toString(16).padStart(12, '0')}`
  return testBatch({ sid, appId: APP, batchId, spans: [span] })
}
