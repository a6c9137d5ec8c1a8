import { Server, ServerCredentials, type StatusObject, status } from '@grpc/grpc-js'
import { OtlpTraceMessages, type ReceivedRequest } from '../codec/otlp-trace-messages.ts'

/** One span as the receiver keeps it: who it is, not what it holds. */
export interface ReceivedSpan {
  /** Lower-case hex. */
  readonly traceId: string
  readonly spanId: string
  /** Empty = a root. */
  readonly parentSpanId: string
  readonly name: string
  readonly serviceName: string
}

/** How the receiver answers one request: all is well, some spans are rejected, or the call fails. */
export type OtlpAnswer =
  | { readonly rejectedSpans: number; readonly message: string }
  | { readonly code: number; readonly details: string }
  | undefined

export interface OtlpReceiverOptions {
  /** Default: a free one. */
  readonly port?: number
  /** Largest message, as gRPC servers have it by default: 4 MiB. */
  readonly maxMessageBytes?: number
  /** Default: plain text. */
  readonly credentials?: ServerCredentials
  /** False: spans are counted and let go, for runs of an hour. Default true. */
  readonly keepsSpans?: boolean
  /** Called for each request; its answer goes back. Spans of a call that fails are not counted. */
  readonly onRequest?: (
    request: ReceivedRequest,
    metadata: Readonly<Record<string, unknown>>,
  ) => OtlpAnswer | Promise<OtlpAnswer>
}

const pass = (bytes: Buffer): Buffer => bytes

/** OTLP's service for traces, for a gRPC server that takes and gives encoded messages. */
export const TRACE_SERVICE = {
  Export: {
    path: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
    requestStream: false,
    responseStream: false,
    requestSerialize: pass,
    requestDeserialize: pass,
    responseSerialize: pass,
    responseDeserialize: pass,
  },
}

/** A small OTLP gRPC receiver on 127.0.0.1 that counts spans and keeps their ids: the far end of the re-export, in the demo and in tests. */
export class OtlpReceiver {
  readonly #options: OtlpReceiverOptions
  readonly #messages = new OtlpTraceMessages()
  readonly #spans: ReceivedSpan[] = []
  #server: Server | undefined
  #port = 0
  #requests = 0
  #spanCount = 0

  constructor(options: OtlpReceiverOptions = {}) {
    this.#options = options
  }

  /** `http://127.0.0.1:port`, as `SIDEREAL_OTLP_*` takes it. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get port(): number {
    return this.#port
  }

  /** Every span of every acknowledged request, in order; repetitions included. */
  get spans(): readonly ReceivedSpan[] {
    return this.#spans
  }

  /** Spans of every acknowledged request. */
  get spanCount(): number {
    return this.#spanCount
  }

  /** Requests that held spans. */
  get requestCount(): number {
    return this.#requests
  }

  async start(): Promise<void> {
    const server = new Server({
      'grpc.max_receive_message_length': this.#options.maxMessageBytes ?? 4 * 1024 * 1024,
    })
    server.addService(TRACE_SERVICE, {
      Export: (
        call: { request: Buffer; metadata: { getMap(): Record<string, unknown> } },
        callback: (error: Partial<StatusObject> | null, response?: Buffer) => void,
      ) => {
        this.#receive(call.request, call.metadata.getMap()).then(
          (response) => callback(null, response),
          (error: unknown) => callback(toStatus(error)),
        )
      },
    })
    const credentials = this.#options.credentials ?? ServerCredentials.createInsecure()
    this.#port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(`127.0.0.1:${this.#options.port ?? 0}`, credentials, (error, port) =>
        error === null ? resolve(port) : reject(error),
      )
    })
    this.#server = server
  }

  /** Ends at once, open calls included. */
  async close(): Promise<void> {
    this.#server?.forceShutdown()
    this.#server = undefined
  }

  async #receive(bytes: Buffer, metadata: Record<string, unknown>): Promise<Buffer> {
    const request = this.#messages.decodeRequest(bytes)
    const answer = await this.#options.onRequest?.(request, metadata)
    if (answer !== undefined && 'code' in answer) throw new CallFailure(answer.code, answer.details)
    const spans = spansOf(request)
    this.#spanCount += spans.length
    if (this.#options.keepsSpans !== false) this.#spans.push(...spans)
    if (spans.length > 0) this.#requests += 1
    return this.#messages.encodeResponse(
      answer === undefined
        ? undefined
        : { rejectedSpans: answer.rejectedSpans, errorMessage: answer.message },
    )
  }
}

class CallFailure extends Error {
  readonly code: number

  constructor(code: number, details: string) {
    super(details)
    this.code = code
  }
}

function toStatus(error: unknown): Partial<StatusObject> {
  if (error instanceof CallFailure) return { code: error.code, details: error.message }
  return {
    code: status.INVALID_ARGUMENT,
    details: error instanceof Error ? error.message : 'unreadable request',
  }
}

function spansOf(request: ReceivedRequest): ReceivedSpan[] {
  return request.resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const service = resource?.attributes.find((attribute) => attribute.key === 'service.name')
    return scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        traceId: span.traceId.toString('hex'),
        spanId: span.spanId.toString('hex'),
        parentSpanId: span.parentSpanId.toString('hex'),
        name: span.name,
        serviceName: service?.value?.stringValue ?? '',
      })),
    )
  })
}
