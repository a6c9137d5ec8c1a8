import { setTimeout as sleep } from 'node:timers/promises'
import { bundledSchema } from '../src/codec/bundled-schemas.ts'
import { RecordWriter } from '../src/codec/record-writer.ts'
import { SchemaRegistry, subjectFor } from '../src/codec/schema-registry.ts'
import { CheckedProducer, type OutgoingRecord } from '../src/kafka/checked-producer.ts'
import { createKafka } from '../src/kafka/client.ts'
import { createLogger } from '../src/telemetry/logger.ts'
import { benchTrace, SERVICES, SPANS_PER_RECORD } from './data.ts'

const SEED = 1
/** Records of one trace lie this many traces apart, as services end their spans at different times. */
const TRACE_SPREAD = 100
const RECORDS_PER_SEND = 500
/** An even pace, so that append times say how many traces were open at once. */
const RECORDS_PER_SECOND = 7_000

export interface Produced {
  readonly records: number
  readonly spans: number
  /** Avro values without framing. */
  readonly avroBytes: number
  /** Between the first and the last send. */
  readonly seconds: number
}

/** Fills the topic with the reference data, uncompressed. */
export async function produceBench(options: {
  env: Readonly<Record<string, string>>
  topic: string
  traces: number
  onProgress: (line: string) => void
}): Promise<Produced> {
  const { env, topic, traces, onProgress } = options
  const brokers = (env['SIDEREAL_KAFKA_BROKERS'] ?? '').split(',')
  const logger = createLogger({ level: 'warn', base: { role: 'bench' } })
  const registry = new SchemaRegistry({
    url: env['SIDEREAL_REGISTRY_URL'] ?? '',
    timeoutMs: 10_000,
    payloadLimitBytes: 5 * 1024,
  })
  const schemaId = await registry.register(
    subjectFor(topic, 'sidereal.SpanBatch'),
    bundledSchema('sidereal.SpanBatch').json,
  )
  const producer = new CheckedProducer({
    kafka: createKafka({ brokers }, { clientId: 'bench', logger }),
    brokers,
    logger,
    compression: 'none',
  })
  await producer.start()
  const writer = new RecordWriter()
  const startNs = BigInt(Date.now()) * 1_000_000n
  const startedAt = performance.now()
  let records = 0
  let avroBytes = 0
  let waiting: OutgoingRecord[] = []
  let inFlight: Promise<unknown> = Promise.resolve()
  const send = async () => {
    const batch = waiting
    waiting = []
    await inFlight
    await sleep(Math.max(0, (records / RECORDS_PER_SECOND) * 1000 - (performance.now() - startedAt)))
    inFlight = producer.send(topic, batch)
  }
  for (const batch of interleaved(traces, startNs)) {
    const value = writer.encodeSpanBatch(batch, schemaId)
    records += 1
    avroBytes += value.length - 5
    waiting.push({ key: Buffer.from(batch.sid), value })
    if (waiting.length >= RECORDS_PER_SEND) await send()
    if (records % 30_000 === 0) onProgress(`produced ${records} records`)
  }
  await send()
  await inFlight
  const seconds = (performance.now() - startedAt) / 1000
  await producer.close()
  return { records, spans: records * SPANS_PER_RECORD, avroBytes, seconds }
}

function* interleaved(traces: number, startNs: bigint) {
  const open: ReturnType<typeof benchTrace>[] = []
  for (let slot = 0; slot < traces + TRACE_SPREAD * (SERVICES.length - 1); slot++) {
    if (slot < traces) open[slot] = benchTrace(slot, SEED, startNs + BigInt(slot) * 1_000_000n)
    for (let service = 0; service < SERVICES.length; service++) {
      const trace = slot - service * TRACE_SPREAD
      const batch = open[trace]?.[service]
      if (batch !== undefined) yield batch
      if (service === SERVICES.length - 1 && trace >= 0) delete open[trace]
    }
  }
}
