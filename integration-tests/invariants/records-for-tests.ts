import { writeFileSync } from 'node:fs'
import { bundledSchema } from '../../src/codec/bundled-schemas.ts'
import { RecordWriter } from '../../src/codec/record-writer.ts'
import { SchemaRegistry, subjectFor } from '../../src/codec/schema-registry.ts'
import {
  CheckedProducer,
  type CheckedProducerOptions,
  type OutgoingRecord,
  type SentRecord,
} from '../../src/kafka/checked-producer.ts'
import { createKafka } from '../../src/kafka/client.ts'
import type { NodeTraceLog } from '../../src/model/node-trace-log.ts'
import type { Span, SpanBatch } from '../../src/model/span.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { freshName } from '../support/fresh.ts'
import type { TestServers } from '../support/servers.ts'

type SenderServers = Pick<TestServers, 'brokers' | 'registryUrl'>
type SenderOptions = Partial<
  Pick<CheckedProducerOptions, 'compression' | 'maxBatchBytes' | 'maxRequestBytes'>
>

/** Sends records of a test's own making to a topic, good and bad. */
export class RecordSender {
  readonly registry: SchemaRegistry
  readonly #topic: string
  readonly #producer: CheckedProducer
  readonly #writer = new RecordWriter()
  #schemaIds = { spans: 0, log: 0 }

  private constructor(servers: SenderServers, topic: string, options: SenderOptions) {
    const kafka = createKafka(
      { brokers: servers.brokers },
      { clientId: freshName('client'), logger: silentLogger },
    )
    this.#topic = topic
    this.#producer = new CheckedProducer({
      kafka,
      brokers: servers.brokers,
      logger: silentLogger,
      ...options,
    })
    this.registry = new SchemaRegistry({
      url: servers.registryUrl,
      timeoutMs: 10_000,
      payloadLimitBytes: 5_120,
    })
  }

  static async open(
    servers: SenderServers,
    topic: string,
    options: SenderOptions = {},
  ): Promise<RecordSender> {
    const sender = new RecordSender(servers, topic, options)
    const register = (name: 'sidereal.SpanBatch' | 'sidereal.NodeTraceLog') =>
      sender.registry.register(subjectFor(topic, name), bundledSchema(name).json)
    sender.#schemaIds = {
      spans: await register('sidereal.SpanBatch'),
      log: await register('sidereal.NodeTraceLog'),
    }
    await sender.#producer.start()
    return sender
  }

  spanBatch(batch: SpanBatch): Buffer {
    return this.#writer.encodeSpanBatch(batch, this.#schemaIds.spans)
  }

  nodeTraceLog(log: NodeTraceLog): Buffer {
    return this.#writer.encodeNodeTraceLog(log, this.#schemaIds.log)
  }

  send(records: OutgoingRecord[]): Promise<SentRecord[]> {
    return this.#producer.send(this.#topic, records)
  }

  close(): Promise<void> {
    return this.#producer.close()
  }
}

/** Writes a content ledger: what `verify` holds the tables against when the content is not the generator's. */
export function writeContentLedger(path: string, lines: readonly object[]): void {
  const all = [{ type: 'content', version: 1 }, ...lines]
  writeFileSync(path, all.map((line) => `${JSON.stringify(line)}\n`).join(''))
}

/** The line of a span in a content ledger. */
export function spanLine(batch: SpanBatch, span: Span): object {
  const { sid, appId, uid, chatId } = batch
  const { traceId, spanId, parentSpanId, name, kind, statusCode, startTimeNs, endTimeNs } = span
  const times = { startTimeNs: String(startTimeNs), endTimeNs: String(endTimeNs) }
  const events = span.events.map((event) => ({ name: event.name, timeNs: String(event.timeNs) }))
  return {
    type: 'span',
    ...{ sid, appId, uid, chatId },
    ...{ traceId, spanId, parentSpanId, name, kind, statusCode },
    ...times,
    events,
  }
}

/** The line of a NodeTraceLog in a content ledger. */
export function logLine(log: NodeTraceLog): object {
  const { sid, appId, uid, chatId, logId, revision, traceId, startTimeMs, endTimeMs } = log
  const trace = log.trace.map(({ id, nodeId, nodeType, startTimeMs: start, endTimeMs: end }) => ({
    ...{ id, nodeId, nodeType },
    ...{ startTimeMs: start, endTimeMs: end },
  }))
  return {
    type: 'log',
    ...{ sid, appId, uid, chatId, logId, revision, traceId },
    ...{ startTimeMs, endTimeMs, trace },
  }
}
