import { createHash } from 'node:crypto'
import { createWriteStream, type WriteStream } from 'node:fs'
import { finished } from 'node:stream/promises'
import type { AttributeValue } from '@opentelemetry/api'
import type { ReadableSpan, SpanProcessor } from '@opentelemetry/sdk-trace'
import type { NodeLog, NodeTraceLog } from '../../producer/index.ts'

/** Larger texts are written down as size and hash. */
const LARGEST_WRITTEN_TEXT = 1024

/**
 * Writes down what a demo service did, independently of Sidereal: it reads OpenTelemetry's spans and the values of the demo itself, and
 * knows neither codec nor producer. Its lines are those of a content ledger (`audit/ledger.ts`), but for the identity of the request:
 * that is added by whoever sent the request, from what it sent.
 */
export class Witness implements SpanProcessor {
  readonly #file: WriteStream
  readonly #serviceName: string

  constructor(path: string, serviceName: string) {
    this.#file = createWriteStream(path)
    this.#serviceName = serviceName
  }

  onStart(): void {
    // Only ended spans count.
  }

  onEnd(span: ReadableSpan): void {
    const { traceId, spanId, traceFlags } = span.spanContext()
    const parent = span.parentSpanContext
    this.#write({
      type: 'span',
      traceId,
      spanId,
      parentSpanId: parent?.spanId ?? null,
      flags: traceFlags | 0x100 | (parent?.isRemote ? 0x200 : 0),
      name: span.name,
      // The API counts kinds from 0 = internal, OTLP from 1.
      kind: span.kind + 1,
      startTimeNs: nanoseconds(span.startTime),
      endTimeNs: nanoseconds(span.endTime),
      statusCode: span.status.code,
      statusMessage: text(span.status.message ?? ''),
      serviceName: this.#serviceName,
      attributes: attributes(span.attributes),
      events: span.events.map((event) => ({
        timeNs: nanoseconds(event.time),
        name: event.name,
        attributes: attributes(event.attributes ?? {}),
      })),
    })
  }

  /** Call it when the log is finished: it reads the fields that the service has filled. */
  onLog(log: NodeTraceLog, traceId: string): void {
    this.#write({
      type: 'log',
      traceId,
      logId: log.logId,
      revision: 0,
      question: text(log.question),
      answer: text(log.answer),
      startTimeMs: log.startTime,
      endTimeMs: log.endTime,
      durationMs: log.duration,
      firstFrameDurationMs: log.firstFrameDuration,
      status: { code: log.status.code, message: text(log.status.message) },
      trace: log.trace.map(node),
    })
  }

  async forceFlush(): Promise<void> {
    // The stream writes by itself; `shutdown` waits for it.
  }

  async shutdown(): Promise<void> {
    this.#file.end()
    await finished(this.#file)
  }

  #write(line: object): void {
    this.#file.write(`${JSON.stringify(line)}\n`)
  }
}

function node(log: NodeLog): object {
  return {
    id: log.id,
    nodeId: log.nodeId,
    nodeType: log.nodeType,
    nodeName: log.nodeName,
    nextLogIds: [...log.nextLogIds],
    startTimeMs: log.startTime,
    endTimeMs: log.endTime,
    durationMs: log.duration,
    firstFrameDurationMs: log.firstFrameDuration,
    runningStatus: log.runningStatus,
    llmOutput: text(log.llmOutput),
    logs: log.logs.map(text),
    data: {
      input: pairs(log.data.input),
      output: pairs(log.data.output),
      config: pairs(log.data.config),
      usage: { ...log.data.usage },
    },
  }
}

function pairs(values: Readonly<Record<string, unknown>>): [string, unknown][] {
  return Object.entries(values).map(([key, value]) => [key, plainValue(value)])
}

/** The demo's nodes hold texts and whole numbers only. */
function plainValue(value: unknown): unknown {
  if (typeof value === 'string') return { string: text(value) }
  if (typeof value === 'number' && Number.isSafeInteger(value)) return { int: String(value) }
  throw new Error(`the demo has a node value of an unexpected kind: ${typeof value}`)
}

function attributes(values: Readonly<Record<string, AttributeValue | undefined>>): [string, unknown][] {
  return Object.entries(values)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => [key, attributeValue(value)])
}

/** As OTLP has it: a whole number is an int, any other a double. */
function attributeValue(value: unknown): unknown {
  if (typeof value === 'string') return { string: text(value) }
  if (typeof value === 'boolean') return { bool: value }
  if (typeof value === 'number') {
    return Number.isInteger(value) ? { int: String(value) } : { double: String(value) }
  }
  if (Array.isArray(value)) return { array: value.map(attributeValue) }
  throw new Error(`the demo has an attribute of an unexpected kind: ${typeof value}`)
}

function text(value: string): string | { digest: [number, string] } {
  const size = Buffer.byteLength(value)
  if (size <= LARGEST_WRITTEN_TEXT) return value
  return { digest: [size, createHash('sha256').update(value).digest('hex')] }
}

function nanoseconds([seconds, rest]: readonly [number, number]): string {
  return String(BigInt(seconds) * 1_000_000_000n + BigInt(rest))
}
