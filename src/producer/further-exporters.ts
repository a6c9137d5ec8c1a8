import { readFile } from 'node:fs/promises'
import type { ExportResult } from '@opentelemetry/core'
import { ExportResultCode } from '@opentelemetry/core'
import {
  BatchSpanProcessor,
  ConsoleSpanExporter,
  type ReadableSpan,
  type SpanExporter,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace'
import { systemClock } from '../model/clock.ts'
import { type Logger, RepeatedWarnings } from '../telemetry/logger.ts'
import { FileSpanExporter, type FileSpanExporterOptions } from './file-span-exporter.ts'
import { withIdentityAttributes } from './identity-attributes.ts'
import { TellingExporter } from './telling-exporter.ts'

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
  /** PEM files: the authority that signed the receiver (default: those of Node.js), and what a receiver that wants a certificate is shown. */
  readonly tls?: { readonly caPath?: string; readonly certPath?: string; readonly keyPath?: string }
}

/** Where spans go beside Kafka. Each has a queue of its own (of OpenTelemetry's default size) and none holds up another. */
export type FurtherExporter =
  | OtlpExporterConfig
  | { readonly kind: 'console' }
  | ({ readonly kind: 'file' } & FileSpanExporterOptions)

/** A batch processor for each; what OTLP needs is loaded by those who use it only. */
export function furtherProcessors(exporters: readonly FurtherExporter[], logger: Logger): SpanProcessor[] {
  const warnings = new RepeatedWarnings(logger, systemClock)
  return exporters.map((config) => {
    const exporter = new TellingExporter(exporterOf(config), warnings, nameOf(config))
    const processor = new BatchSpanProcessor({ exporter })
    // The lines of the file have fields for it.
    return config.kind === 'file' ? processor : withIdentityAttributes(processor)
  })
}

/** For the log: without what a URL may hold of secrets. */
function nameOf(config: FurtherExporter): string {
  if (config.kind === 'console') return 'console'
  if (config.kind === 'file') return `file ${config.path}`
  return `otlp ${config.protocol} ${URL.parse(config.url)?.host ?? ''}`.trimEnd()
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
  const shared = { url, timeoutMillis: timeoutMs, compression }
  const { ca, cert, key } = await readTls(config.tls)
  if (config.protocol === 'http/protobuf') {
    const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-proto')
    const httpAgentOptions = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) }
    return new OTLPTraceExporter({ ...shared, headers, ...(config.tls && { httpAgentOptions }) })
  }
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-grpc')
  const { credentials, Metadata } = await import('@grpc/grpc-js')
  const metadata = new Metadata()
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value)
  const isTls = config.tls !== undefined && url.startsWith('https:')
  const tls = isTls ? { credentials: credentials.createSsl(ca ?? null, key ?? null, cert ?? null) } : {}
  return new OTLPTraceExporter({ ...shared, metadata, ...tls })
}

async function readTls({ caPath, certPath, keyPath }: NonNullable<OtlpExporterConfig['tls']> = {}) {
  const read = async (path: string | undefined) => (path === undefined ? undefined : await readFile(path))
  return { ca: await read(caPath), cert: await read(certPath), key: await read(keyPath) }
}

/** An exporter that is loaded when the first spans come, or with a later batch when that failed. */
export class LazySpanExporter implements SpanExporter {
  readonly #load: () => Promise<SpanExporter>
  #loaded: Promise<SpanExporter> | undefined

  constructor(load: () => Promise<SpanExporter>) {
    this.#load = load
  }

  export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void {
    this.#loaded ??= this.#load()
    this.#loaded.then(
      (exporter) => {
        try {
          exporter.export(spans, resultCallback)
        } catch (error) {
          // A span that the receiver's format has no form for. Thrown on here it would end the process: nobody waits for this promise.
          resultCallback({ code: ExportResultCode.FAILED, error: error as Error })
        }
      },
      (error: Error) => {
        this.#loaded = undefined
        resultCallback({ code: ExportResultCode.FAILED, error })
      },
    )
  }

  async forceFlush(): Promise<void> {
    await (await this.#ready())?.forceFlush?.()
  }

  async shutdown(): Promise<void> {
    await (await this.#ready())?.shutdown()
  }

  /** What has not been loaded has nothing to flush; why has been said. */
  async #ready(): Promise<SpanExporter | undefined> {
    return await this.#loaded?.catch(() => undefined)
  }
}
