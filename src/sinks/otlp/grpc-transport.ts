import {
  type ChannelCredentials,
  Client,
  compressionAlgorithms,
  connectivityState,
  credentials,
  Metadata,
  status,
} from '@grpc/grpc-js'
import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer'
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
  /** The receiver took a request, and its answer cannot be read: whether it rejected spans is unknown. */
  onUnreadableAnswer(): void
}

/** Calls of `TraceService/Export`. */
export interface OtlpTransport {
  /** Resolves when the receiver acknowledged; rejects with what gRPC threw. */
  export(request: ExportRequest): Promise<void>
  close(): Promise<void>
}

const DEFAULT_PORT = '4317'
const EXPORT_PATH = '/opentelemetry.proto.collector.trace.v1.TraceService/Export'

/**
 * Calls of gRPC's own client, with bytes of our own: the SDK's `ReadableSpan` cannot hold int64 beyond 2^53, whole doubles, repeated keys or unknown
 * flags, and the official exporter copies each request once more (docs/decisions/0005-otlp-bytes.md).
 */
export function openGrpcTransport(options: GrpcTransportOptions): OtlpTransport {
  const { host, channelCredentials } = checkAddress(options)
  const metadata = new Metadata()
  for (const [name, value] of Object.entries(options.headers ?? {})) metadata.set(name, value)
  const { gzip, identity } = compressionAlgorithms
  let connections = 0
  const connect = () => {
    connections += 1
    return new Client(host, channelCredentials, {
      'grpc.default_compression_algorithm': options.compression === 'gzip' ? gzip : identity,
      // gRPC shares what is below a channel among equal ones, so only a name of its own gives a new client a new connection.
      'grpc.primary_user_agent': `sidereal (connection ${connections})`,
      'grpc.enable_channelz': 0,
    })
  }
  let current: Client | undefined
  /** Calls that failed since the last one that did not. */
  let unanswered = 0
  return {
    export: (request) =>
      new Promise((resolve, reject) => {
        current ??= connect()
        const client = current
        const deadline = Date.now() + options.timeoutMs
        client.makeUnaryRequest(
          EXPORT_PATH,
          (bytes: Buffer) => bytes,
          readRejectedSpans,
          request.bytes,
          metadata,
          { deadline },
          (error, rejected) => {
            if (error === null) {
              unanswered = 0
              if (rejected === undefined) options.onUnreadableAnswer()
              else if (rejected > 0) options.onPartialSuccess(rejected)
              resolve()
              return
            }
            if (current === client && isLost(client, error.code, ++unanswered)) {
              current = undefined
              client.close()
            }
            reject(error)
          },
        )
      }),
    close: async () => {
      current?.close()
    },
  }
}

/**
 * Whether the next call needs a connection of its own. After a failed one gRPC refuses calls at once for up to two minutes before it tries again, and when to
 * try is the caller's to decide, who has a backoff. One that is there and does not answer may be dead. One that is being made is left to that for some
 * calls: gRPC keeps its socket until the other side gives it up.
 */
function isLost(client: Client, code: number, failures: number): boolean {
  if (code === status.UNAVAILABLE) return true
  if (code !== status.DEADLINE_EXCEEDED) return false
  const isConnected = client.getChannel().getConnectivityState(false) === connectivityState.READY
  return isConnected || failures % MAX_UNANSWERED === 0
}

/** As many as the official exporter takes. */
const MAX_UNANSWERED = 6

/** Undefined: the answer is none of OTLP. Its status says all the same that the spans were taken. */
function readRejectedSpans(response: Buffer): number | undefined {
  try {
    return Number(ProtobufTraceSerializer.deserializeResponse(response).partialSuccess?.rejectedSpans ?? 0)
  } catch {
    return undefined
  }
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
