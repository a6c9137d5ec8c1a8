import type { ExportResult } from '@opentelemetry/core'
import { ExportResultCode } from '@opentelemetry/core'
import {
  BatchSpanProcessor,
  ConsoleSpanExporter,
  type ReadableSpan,
  type SpanExporter,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace'
import { FileSpanExporter, type FileSpanExporterOptions } from './file-span-exporter.ts'
import { boxOfSpan } from './identity.ts'

/** An OTLP receiver beside Kafka. */
export interface OtlpExporterConfig {
  readonly kind: 'otlp'
  readonly protocol: 'grpc' | 'http/protobuf'
  /** `http(s)://host:port`; for HTTP with its path (`/v1/traces`). */
  readonly url: string
  /** Sent with each request: a token, for example. For gRPC as metadata. */
  readonly headers?: Readonly<Record<string, string>>
  /** Default `none`. */
  readonly compression?: 'gzip' | 'none'
  /** For each request. Default 10 s. */
  readonly timeoutMs?: number
}

/** Where spans go beside Kafka. Each has a queue of its own (of OpenTelemetry's default size) and none holds up another. */
export type FurtherExporter =
  | OtlpExporterConfig
  | { readonly kind: 'console' }
  | ({ readonly kind: 'file' } & FileSpanExporterOptions)

/** A batch processor for each; what OTLP needs is loaded by those who use it only. */
export function furtherProcessors(exporters: readonly FurtherExporter[]): SpanProcessor[] {
  return exporters.map((config) => new BatchSpanProcessor({ exporter: exporterOf(config) }))
}

function exporterOf(config: FurtherExporter): SpanExporter {
  switch (config.kind) {
    case 'console':
      return new ConsoleSpanExporter()
    case 'file':
      return new FileSpanExporter(config)
    case 'otlp':
      return new LazySpanExporter(() => loadOtlp(config))
  }
}

async function loadOtlp(config: OtlpExporterConfig): Promise<SpanExporter> {
  const { url, headers = {}, timeoutMs = 10_000 } = config
  const { CompressionAlgorithm } = await import('@opentelemetry/otlp-exporter-base')
  const compression = config.compression === 'gzip' ? CompressionAlgorithm.GZIP : CompressionAlgorithm.NONE
  if (config.protocol === 'http/protobuf') {
    const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-proto')
    return new OTLPTraceExporter({ url, headers, timeoutMillis: timeoutMs, compression })
  }
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-grpc')
  const { Metadata } = await import('@grpc/grpc-js')
  const metadata = new Metadata()
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value)
  return new OTLPTraceExporter({ url, metadata, timeoutMillis: timeoutMs, compression })
}

/**
 * An exporter that is loaded when the first spans come, and gives each span its identity as the attributes that the source has: another backend
 * knows no SID otherwise.
 */
export class LazySpanExporter implements SpanExporter {
  readonly #load: () => Promise<SpanExporter>
  #loaded: Promise<SpanExporter> | undefined

  constructor(load: () => Promise<SpanExporter>) {
    this.#load = load
  }

  export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void {
    this.#loaded ??= this.#load()
    this.#loaded.then(
      (exporter) => exporter.export(spans.map(withIdentity), resultCallback),
      (error: Error) => resultCallback({ code: ExportResultCode.FAILED, error }),
    )
  }

  async forceFlush(): Promise<void> {
    await (await this.#loaded)?.forceFlush?.()
  }

  async shutdown(): Promise<void> {
    await (await this.#loaded)?.shutdown()
  }
}

function withIdentity(span: ReadableSpan): ReadableSpan {
  const identity = boxOfSpan(span)?.identity
  if (identity === undefined) return span
  const { sid, appId, uid, chatId } = identity
  const attributes = { sid, app_id: appId, uid, chat_id: chatId, ...span.attributes }
  return Object.create(span, { attributes: { value: attributes, enumerable: true } }) as ReadableSpan
}
