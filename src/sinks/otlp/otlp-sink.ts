import type { RecordType } from '../../codec/record-type.ts'
import type { ByObjectsObserver } from '../../model/by-objects.ts'
import { SiderealError } from '../../model/errors.ts'
import type { Fragment, FragmentRecord } from '../../model/fragment.ts'
import type { RefusedRecord, Sink, WriteResult } from '../../model/sink.ts'
import {
  type ExportRequest,
  emptyRequest,
  exportRequests,
  partOfRequest,
  type RecordEncoders,
} from './export-requests.ts'
import { type GrpcTransportOptions, type OtlpTransport, openGrpcTransport } from './grpc-transport.ts'
import { readFailure } from './otlp-errors.ts'
import { ProtoWriter } from './proto-writer.ts'
import { RequestMemory } from './request-memory.ts'
import { SpanBytes } from './span-bytes.ts'

/** What the sink tells about its work; each call is cheap and must not throw. */
export interface OtlpSinkObserver extends ByObjectsObserver {
  /** The receiver acknowledged a request. */
  exported?(spans: number, bytes: number): void
  /** The receiver acknowledged a request and said that it rejected spans of it ("partial success"): they are lost there. */
  rejected?(spans: number): void
  /** The receiver acknowledged a request with an answer that is none of OTLP: whether it rejected spans is unknown. */
  unreadableAnswer?(): void
}

export interface OtlpSinkOptions
  extends Pick<GrpcTransportOptions, 'url' | 'headers' | 'tls' | 'compression'> {
  /** Name of the destination in logs and metrics. Default `otlp`. */
  readonly name?: string | undefined
  /** Time for one call. Default 10 s, as OpenTelemetry has it. */
  readonly timeoutMs?: number | undefined
  /** Receivers take 4 MiB by default; this stays below. Default 3.5 MiB. */
  readonly maxRequestBytes?: number | undefined
  /** Default 1,000. */
  readonly maxRequestSpans?: number | undefined
  /** Requests on their way at a time, over all writes. Default 4. */
  readonly concurrency?: number | undefined
  readonly observer?: OtlpSinkObserver | undefined
  /** The compiled schema of a record that was consumed: records go from their bytes then, where that can be. */
  readonly recordTypes?: ((schemaId: number) => RecordType | undefined) | undefined
}

/**
 * Re-exports fragments over OTLP gRPC: spans as they came, NodeTraceLogs as spans (`node-log-spans.ts`), payloads as their previews with
 * references beside them (`payload-attributes.ts`).
 *
 * OTLP has no deduplication: a write that is repeated sends spans again, with equal ids. Delivery is at least once. A receiver that refuses a request
 * for its content is asked again with parts of it, until the refused records are found. What it rejects by partial success is counted, not sent again.
 */
export class OtlpSink implements Sink {
  readonly name: string
  readonly #options: OtlpSinkOptions
  readonly #transport: OtlpTransport
  /** For messages: a URL may hold credentials. */
  readonly #place: string
  readonly #encoders: RecordEncoders
  readonly #concurrency: number
  #inFlight = 0
  #waiting: (() => void)[] = []

  constructor(options: OtlpSinkOptions) {
    this.name = options.name ?? 'otlp'
    this.#options = options
    this.#concurrency = options.concurrency ?? 4
    const { recordTypes, observer } = options
    this.#encoders = {
      bytes: recordTypes === undefined ? undefined : new SpanBytes(recordTypes, observer),
      writer: new ProtoWriter(),
      memory: new RequestMemory(),
      observer,
    }
    this.#transport = openGrpcTransport({
      url: options.url,
      headers: options.headers,
      tls: options.tls,
      compression: options.compression,
      timeoutMs: options.timeoutMs ?? 10_000,
      onPartialSuccess: (spans) => options.observer?.rejected?.(spans),
      onUnreadableAnswer: () => options.observer?.unreadableAnswer?.(),
    })
    const { protocol, host } = new URL(options.url)
    this.#place = `${protocol}//${host}`
  }

  /** Sends an empty request: it shows a wrong address, port, protocol or token before the first span. */
  async start(): Promise<void> {
    try {
      await this.#transport.export(emptyRequest())
    } catch (error) {
      const failure = readFailure(error, this.#place)
      if (failure.kind === 'state') throw failure.error
    }
  }

  async write(fragments: readonly Fragment[], signal: AbortSignal): Promise<WriteResult> {
    const attempt: Attempt = { signal, refused: new Map(), failure: undefined }
    const limits = {
      maxBytes: this.#options.maxRequestBytes ?? 3.5 * 1024 * 1024,
      maxSpans: this.#options.maxRequestSpans ?? 1_000,
    }
    const sending: Promise<void>[] = []
    for (const request of exportRequests(fragments, this.#encoders, limits)) {
      if (!(await this.#slot(signal))) break
      if (attempt.failure !== undefined || signal.aborted) {
        this.#freeSlot()
        break
      }
      sending.push(this.#sendWhole(request, attempt).finally(() => this.#freeSlot()))
      // A request takes tens of milliseconds to encode: others get their turn between two.
      await new Promise(setImmediate)
    }
    await untilAborted(Promise.all(sending), signal)
    if (signal.aborted) throw abortedError(signal)
    if (attempt.failure !== undefined) throw attempt.failure
    return { refused: [...attempt.refused.values()] }
  }

  async close(): Promise<void> {
    await this.#transport.close()
  }

  /** Only a request that was acknowledged gives its memory back: one that failed may still lie in a socket's queue. */
  async #sendWhole(request: ExportRequest, attempt: Attempt): Promise<void> {
    if (await this.#send(request, attempt)) this.#encoders.memory.give(request.bytes)
  }

  /** Never rejects: what goes wrong is kept in the attempt. False = it was not acknowledged as a whole. */
  async #send(request: ExportRequest, attempt: Attempt): Promise<boolean> {
    if (attempt.failure !== undefined || attempt.signal.aborted) return false
    try {
      await this.#transport.export(request)
      this.#options.observer?.exported?.(request.spanCount, request.bytes.length)
      return true
    } catch (error) {
      const failure = readFailure(error, this.#place)
      if (failure.kind === 'state') attempt.failure ??= failure.error
      else await this.#findRefused(request, failure.reason, attempt)
      return false
    }
  }

  /** Halves a refused request until a record stands alone. */
  async #findRefused(request: ExportRequest, reason: string, attempt: Attempt): Promise<void> {
    const { parts } = request
    const records = [...new Set(parts.map((part) => part.record))]
    const [first] = records
    if (records.length === 1 && first !== undefined) {
      attempt.refused.set(first, { record: first, reason })
      return
    }
    const half = new Set(records.slice(0, Math.ceil(records.length / 2)))
    for (const isFirst of [true, false]) {
      const wanted = parts.filter((part) => half.has(part.record) === isFirst)
      await this.#send(partOfRequest(request, wanted), attempt)
    }
  }

  /** Resolves with true when it is the caller's turn, with false when the signal aborts before: calls ahead may hang until their deadline. */
  #slot(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false)
    if (this.#inFlight < this.#concurrency) {
      this.#inFlight += 1
      return Promise.resolve(true)
    }
    return new Promise((resolve) => {
      const onTurn = (): void => {
        signal.removeEventListener('abort', onAbort)
        resolve(true)
      }
      const onAbort = (): void => {
        this.#waiting = this.#waiting.filter((other) => other !== onTurn)
        resolve(false)
      }
      this.#waiting.push(onTurn)
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  #freeSlot(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#inFlight -= 1
    else next()
  }
}

interface Attempt {
  readonly signal: AbortSignal
  readonly refused: Map<FragmentRecord, RefusedRecord>
  failure: SiderealError | undefined
}

/** Resolves when the work is done, or the signal aborts. */
async function untilAborted(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
  let onAbort: () => void = () => undefined
  const aborted = new Promise<void>((resolve) => {
    onAbort = resolve
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', onAbort, { once: true })
  })
  await Promise.race([work, aborted])
  signal.removeEventListener('abort', onAbort)
}

function abortedError(signal: AbortSignal): SiderealError {
  return new SiderealError('SIDEREAL_OTLP_FAILED', 'The export was aborted.', {
    cause: signal.reason,
    retryable: true,
  })
}
