import { type ChannelCredentials, credentials, Metadata, status } from '@grpc/grpc-js'
import { ExportResultCode } from '@opentelemetry/core'
import { CompressionAlgorithm } from '@opentelemetry/otlp-exporter-base'
import { createOtlpGrpcExportDelegate } from '@opentelemetry/otlp-grpc-exporter-base'
import { type IExportTraceServiceResponse, ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer'
import { SiderealError } from '../../model/errors.ts'
import type { ExportRequest } from './export-requests.ts'

export interface GrpcTransportOptions {
  /** `http://host:port` in plain text, `https://host:port` with TLS. Default port 4317. */
  readonly url: string
  /** Sent as metadata with each call, such as `authorization`. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** PEM, for `https`: the authority that signed the receiver (default: the system's), and a client certificate with its key. */
  readonly tls?:
    | {
        readonly ca?: Buffer | undefined
        readonly cert?: Buffer | undefined
        readonly key?: Buffer | undefined
      }
    | undefined
  readonly compression?: 'gzip' | 'none' | undefined
  readonly timeoutMs: number
  /** The receiver took a request but rejected spans of it. By the specification they must not be sent again. Its message may quote their values and is not read. */
  onPartialSuccess(rejectedSpans: number): void
}

/** Calls of `TraceService/Export`. */
export interface OtlpTransport {
  /** Resolves when the receiver acknowledged; rejects with what gRPC threw. */
  export(request: ExportRequest): Promise<void>
  close(): Promise<void>
}

/** More calls than we ever make at a time: how many those are is decided by the sink. */
const CONCURRENCY_LIMIT = 1_000
const DEFAULT_PORT = '4317'

/**
 * The transport of the official exporter (`@opentelemetry/exporter-trace-otlp-grpc` is this delegate with the SDK's serializer), given bytes of
 * our own: the SDK's `ReadableSpan` cannot hold int64 beyond 2^53, whole doubles, repeated keys or unknown flags (docs/decisions/0005-otlp-bytes.md).
 */
export function openGrpcTransport(options: GrpcTransportOptions): OtlpTransport {
  const { host, channelCredentials } = checkAddress(options)
  const metadata = new Metadata()
  for (const [name, value] of Object.entries(options.headers ?? {})) metadata.set(name, value)
  let connections = 0
  const connect = () => {
    connections += 1
    return createOtlpGrpcExportDelegate<ExportRequest, IExportTraceServiceResponse>(
      {
        url: host,
        metadata: () => metadata,
        credentials: () => channelCredentials,
        compression: options.compression === 'gzip' ? CompressionAlgorithm.GZIP : CompressionAlgorithm.NONE,
        timeoutMillis: options.timeoutMs,
        concurrencyLimit: CONCURRENCY_LIMIT,
        // gRPC shares what is below a channel among equal ones, so only a name of its own gives a new client a new connection.
        userAgent: `sidereal (connection ${connections})`,
      },
      {
        serializeRequest: (request) => request.bytes,
        deserializeResponse(data) {
          const response = ProtobufTraceSerializer.deserializeResponse(data)
          const rejected = Number(response.partialSuccess?.rejectedSpans ?? 0)
          if (rejected > 0) options.onPartialSuccess(rejected)
          return response
        },
      },
      'otlp_grpc_span_exporter',
      { name: 'span', countItems: (request) => request.spanCount },
      undefined,
      'TraceExportService',
      '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
    )
  }
  let current: ReturnType<typeof connect> | undefined
  return {
    export: (request) =>
      new Promise((resolve, reject) => {
        current ??= connect()
        const delegate = current
        delegate.export(request, (result) => {
          if (result.code === ExportResultCode.SUCCESS) {
            resolve()
            return
          }
          // After a failed connection gRPC refuses calls at once for up to two minutes before it tries again. When to try is the
          // caller's to decide, who has a backoff: so the next call connects anew.
          if (isUnavailable(result.error) && current === delegate) {
            current = undefined
            void delegate.shutdown()
          }
          reject(result.error ?? new Error('export failed'))
        })
      }),
    close: async () => {
      await current?.shutdown()
    },
  }
}

function isUnavailable(error: Error | undefined): boolean {
  return error !== undefined && 'code' in error && error.code === status.UNAVAILABLE
}

function checkAddress(options: GrpcTransportOptions): {
  host: string
  channelCredentials: ChannelCredentials
} {
  const url = URL.canParse(options.url) ? new URL(options.url) : undefined
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.hostname === '') {
    throw new SiderealError(
      'SIDEREAL_CONFIG_INVALID',
      'Not an OTLP gRPC endpoint. Use http://host:4317, or https://host:4317 for TLS.',
    )
  }
  const host = `${url.hostname}:${url.port || DEFAULT_PORT}`
  if (url.protocol === 'http:') return { host, channelCredentials: credentials.createInsecure() }
  const { ca, cert, key } = options.tls ?? {}
  return { host, channelCredentials: credentials.createSsl(ca ?? null, key ?? null, cert ?? null) }
}
