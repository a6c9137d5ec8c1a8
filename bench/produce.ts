import { setTimeout as sleep } from 'node:timers/promises'
import { processUsage } from '../integration-tests/support/process-usage.ts'
import { CheckedProducer, type OutgoingRecord } from '../src/kafka/checked-producer.ts'
import { createKafka } from '../src/kafka/client.ts'
import type { Compression } from '../src/kafka/codecs.ts'
import { createLogger } from '../src/telemetry/logger.ts'
import type { BenchGround } from './bench-ground.ts'
import type { DataSet, RowCounts } from './data-sets.ts'
import type { RecordEncoder } from './encoders.ts'

const SEED = 1
/** Records of one trace lie this many traces apart, as services end their spans at different times. */
const TRACE_SPREAD = 100
const RECORDS_PER_SEND = 500

export interface Produced {
  readonly records: number
  readonly traces: number
  /** Spans or logs: what costs are stated for. */
  readonly units: number
  readonly rows: RowCounts
  /** Values without framing. */
  readonly valueBytes: number
  /** On the broker's disk, without indexes. */
  readonly topicBytes: number
  /** Of the broker, to take it; a unit. */
  readonly brokerCpuMicros: number
  /** Between the first and the last send. */
  readonly seconds: number
}

export async function openBenchProducer(
  brokers: readonly string[],
  compression: Compression,
): Promise<CheckedProducer> {
  const logger = createLogger({ level: 'warn', base: { role: 'bench' } })
  const producer = new CheckedProducer({
    kafka: createKafka({ brokers: [...brokers] }, { clientId: 'bench', logger }),
    brokers,
    logger,
    compression,
  })
  await producer.start()
  return producer
}

/** Fills a topic with a data set at its even pace. */
export async function produceBench(options: {
  ground: BenchGround
  compression: Compression
  topic: string
  data: DataSet
  encoder: RecordEncoder
  traces: number
  onProgress: (line: string) => void
}): Promise<Produced> {
  const { ground, topic, data, encoder, traces, onProgress } = options
  const producer = await openBenchProducer(ground.brokers, options.compression)
  const brokerCpuBefore = processUsage(ground.kafkaPid).cpuSeconds
  const startNs = BigInt(Date.now()) * 1_000_000n
  const startedAt = performance.now()
  let records = 0
  let valueBytes = 0
  let waiting: OutgoingRecord[] = []
  let inFlight: Promise<unknown> = Promise.resolve()
  const recordsPerSend = Math.min(RECORDS_PER_SEND, Math.ceil(data.recordsPerSecond / 10))
  const send = async () => {
    const batch = waiting
    waiting = []
    await inFlight
    await sleep(Math.max(0, (records / data.recordsPerSecond) * 1000 - (performance.now() - startedAt)))
    inFlight = producer.send(topic, batch)
  }
  for (const record of interleaved(data, traces, startNs)) {
    const value = encoder.encode(record)
    records += 1
    valueBytes += value.length - encoder.frameBytes
    waiting.push({ key: Buffer.from(record.sid), value })
    if (waiting.length >= recordsPerSend) await send()
    if (records % 30_000 === 0) onProgress(`produced ${records} records`)
  }
  await send()
  await inFlight
  const seconds = (performance.now() - startedAt) / 1000
  await producer.close()
  const units = traces * data.unitsPerTrace
  return {
    records,
    traces,
    units,
    brokerCpuMicros: ((processUsage(ground.kafkaPid).cpuSeconds - brokerCpuBefore) * 1e6) / units,
    topicBytes: ground.topicBytes(topic),
    rows: data.rowsOf(traces),
    valueBytes,
    seconds,
  }
}

function* interleaved(data: DataSet, traces: number, startNs: bigint) {
  const { recordsPerTrace } = data
  const open = new Map<number, ReturnType<DataSet['trace']>>()
  for (let slot = 0; slot < traces + TRACE_SPREAD * (recordsPerTrace - 1); slot++) {
    if (slot < traces) open.set(slot, data.trace(slot, SEED, startNs + BigInt(slot) * 1_000_000n))
    for (let place = 0; place < recordsPerTrace; place++) {
      const index = slot - place * TRACE_SPREAD
      const record = open.get(index)?.[place]
      if (record !== undefined) yield record
      if (place === recordsPerTrace - 1) open.delete(index)
    }
  }
}
