import { bundledSchema } from '../src/codec/bundled-schemas.ts'
import { RecordWriter } from '../src/codec/record-writer.ts'
import { SchemaRegistry, subjectFor } from '../src/codec/schema-registry.ts'
import { BODY_START } from '../src/codec/wire.ts'
import type { NodeTraceLog } from '../src/model/node-trace-log.ts'
import type { SpanBatch } from '../src/model/span.ts'
import { testFragment, testRecord, testRecordType } from '../src/sinks/fragments.testing.ts'
import { exportRequests } from '../src/sinks/otlp/export-requests.ts'
import { ProtoWriter } from '../src/sinks/otlp/proto-writer.ts'
import { RequestMemory } from '../src/sinks/otlp/request-memory.ts'
import { SpanBytes } from '../src/sinks/otlp/span-bytes.ts'

/** Writes the value of one Kafka record. */
export interface RecordEncoder {
  /** Bytes around the data itself: the frame of the registry. */
  readonly frameBytes: number
  encode(record: SpanBatch | NodeTraceLog): Buffer
}

/** As Sidereal's producer writes records; registers the schemas for the topic. */
export async function avroEncoder(registryUrl: string, topic: string): Promise<RecordEncoder> {
  const registry = new SchemaRegistry({ url: registryUrl, timeoutMs: 10_000, payloadLimitBytes: 5 * 1024 })
  const register = (name: 'sidereal.SpanBatch' | 'sidereal.NodeTraceLog') =>
    registry.register(subjectFor(topic, name), bundledSchema(name).json)
  const spansId = await register('sidereal.SpanBatch')
  const logsId = await register('sidereal.NodeTraceLog')
  const writer = new RecordWriter()
  return {
    frameBytes: BODY_START,
    encode: (record) =>
      'spans' in record ? writer.encodeSpanBatch(record, spansId) : writer.encodeNodeTraceLog(record, logsId),
  }
}

/** As an OpenTelemetry Collector writes and reads them (`otlp_proto`): one request a record. */
export function otlpEncoder(): RecordEncoder {
  const memory = new RequestMemory()
  const encoders = { bytes: new SpanBytes(testRecordType), writer: new ProtoWriter(), memory }
  const limits = { maxBytes: Number.MAX_SAFE_INTEGER, maxSpans: Number.MAX_SAFE_INTEGER }
  return {
    frameBytes: 0,
    encode: (record) => {
      const [request] = exportRequests([testFragment([testRecord(record)])], encoders, limits)
      const bytes = Buffer.from(request!.bytes)
      memory.give(request!.bytes)
      return bytes
    },
  }
}
