/**
 * One run of the producer benchmark, in a process of its own: a service that answers requests of four spans at an even pace, with one of several
 * ways of delivery behind it. Prints one line of JSON.
 */
import { ROOT_CONTEXT, type Tracer, trace } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc'
import { defaultResource } from '@opentelemetry/resources'
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import type { Compression } from '../src/kafka/codecs.ts'
import { TracingService } from '../src/producer/index.ts'

export interface ProducerRun {
  readonly spans: number
  readonly delivered: number
  /** User and system time of all threads, from the first request to the last acknowledgement. */
  readonly cpuMicrosPerSpan: number
  /** What a request of four spans takes. */
  readonly requestMicros: { readonly p50: number; readonly p99: number; readonly max: number }
  readonly peakRssMb: number
}

const SPANS_PER_REQUEST = 4
const WARM_UP_REQUESTS = 2_000
const REQUESTS_PER_TURN = 25
const TURN_MS = 20
const FLUSH_MS = 60_000

interface Way {
  readonly tracer: Tracer
  /** Resolves with the spans acknowledged since the start. */
  readonly flush: () => Promise<number>
  readonly close: () => Promise<unknown>
}

function open(way: string, env: NodeJS.ProcessEnv): Way {
  if (way === 'none') {
    const provider = new TracerProvider({ resource: defaultResource() })
    return { tracer: provider.getTracer('bench'), flush: async () => 0, close: () => provider.shutdown() }
  }
  if (way === 'otlp-grpc') {
    let delivered = 0
    const exporter = new OTLPTraceExporter({ url: env['BENCH_OTLP_URL'] ?? '' })
    const send = exporter.export.bind(exporter)
    exporter.export = (spans, done) =>
      send(spans, (result) => {
        if (result.code === 0) delivered += spans.length
        done(result)
      })
    // Its queue holds what ours holds: with its default of 2,048 it would drop.
    const processor = new BatchSpanProcessor({ exporter, maxQueueSize: 65_536 })
    const provider = new TracerProvider({ resource: defaultResource(), spanProcessors: [processor] })
    const flush = async () => {
      await processor.forceFlush()
      return delivered
    }
    return { tracer: provider.getTracer('bench'), flush, close: () => provider.shutdown() }
  }
  const service = new TracingService({
    serviceName: 'bench',
    kafka: { brokers: (env['SIDEREAL_KAFKA_BROKERS'] ?? '').split(',') },
    registry: { url: env['SIDEREAL_REGISTRY_URL'] ?? '' },
    topic: env['SIDEREAL_TOPIC'] ?? '',
    compression: way.replace('kafka-', '') as Compression,
  })
  const flush = async () => {
    if (!(await service.flush(FLUSH_MS))) throw new Error('Kafka did not take everything in time')
    return service.stats().spans.sent
  }
  return { tracer: service.tracer, flush, close: () => service.shutdown() }
}

function request(tracer: Tracer, number: number): void {
  const root = tracer.startSpan('POST /v1/chat', { kind: 1, attributes: attributes(number, 0) }, ROOT_CONTEXT)
  const inRoot = trace.setSpan(ROOT_CONTEXT, root)
  for (let i = 1; i < SPANS_PER_REQUEST; i++) {
    const span = tracer.startSpan('node.execute', { attributes: attributes(number, i) }, inRoot)
    span.addEvent('INFO', { 'INFO LOG': 'node finished in time; its output was passed on to the next node' })
    span.end()
  }
  root.addEvent('INFO', { 'INFO LOG': 'answered' })
  root.end()
}

const attributes = (number: number, position: number) => ({
  'http.method': 'POST',
  'http.route': '/v1/chat/completions',
  'http.status_code': 200,
  'gen_ai.request.model': 'spark-4.0-ultra',
  'gen_ai.usage.input_tokens': 300 + (number % 1000),
  'gen_ai.usage.output_tokens': 80 + position,
  'node.id': `spark-llm:${number}-${position}`,
  'node.type': 'spark-llm',
  'workflow.id': `flow-${number % 40}`,
  temperature: 0.5,
  stream: true,
})

async function measure(way: string, requests: number): Promise<ProducerRun> {
  const { tracer, flush, close } = open(way, process.env)
  const run = async (count: number, micros: number[]) => {
    for (let i = 0; i < count; i++) {
      const startMs = performance.now()
      request(tracer, i)
      micros.push((performance.now() - startMs) * 1000)
      if (i % REQUESTS_PER_TURN === 0) await new Promise((resolve) => setTimeout(resolve, TURN_MS))
    }
  }
  await run(WARM_UP_REQUESTS, [])
  const before = await flush()
  const micros: number[] = []
  const cpu = process.cpuUsage()
  await run(requests, micros)
  const delivered = (await flush()) - before
  const { user, system } = process.cpuUsage(cpu)
  const peakRssMb = process.resourceUsage().maxRSS / 1024
  await close()
  micros.sort((a, b) => a - b)
  const at = (share: number) => micros[Math.min(micros.length - 1, Math.floor(micros.length * share))]!
  const spans = requests * SPANS_PER_REQUEST
  return {
    spans,
    delivered,
    cpuMicrosPerSpan: (user + system) / spans,
    requestMicros: { p50: at(0.5), p99: at(0.99), max: at(1) },
    peakRssMb,
  }
}

process.stdout.write(`${JSON.stringify(await measure(process.argv[2]!, Number(process.argv[3])))}\n`)
process.exit(0)
