import {
  type Context,
  context as contextApi,
  INVALID_SPAN_CONTEXT,
  type Span as OtelSpan,
  ROOT_CONTEXT,
  type SpanStatus,
  SpanStatusCode,
  type TimeInput,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { eventTime } from './event-time.ts'
import { asText } from './foreign-values.ts'
import { harmless } from './harmless.ts'
import { boxOfContext, boxOfSpan, type Identity, inheritBox, knownParts } from './identity.ts'
import type { NodeLog } from './node-log.ts'
import { failNode, mirrored } from './node-log-mirror.ts'
import { isRecorded, noteRecorded } from './recorded-errors.ts'
import { type RunResult, runToEnd, type Untyped } from './run-to-end.ts'
import { attributesOf, attributeText, attributeValue, describeError } from './span-attributes.ts'
import { SpanLevel } from './span-level.ts'
import { nameOf, otelOptions, type StartOptions } from './start-options.ts'
import { Trace } from './trace-context.ts'

/** Who the request belongs to, as far as the caller knows. Parts that are empty or not given say nothing. */
export interface SpanInit extends Partial<Identity> {
  /** Default: the tracer of the process, as `initTracing` set it. */
  readonly tracer?: Tracer
}

interface Started {
  readonly span: OtelSpan
  /** The one above it. */
  readonly parent: OtelSpan | undefined
  readonly context: Context
}

/**
 * The source's `Span`: starts spans, and writes to them. Methods that take a NodeLog write the same there. No method throws but for what a
 * callback of `start` throws.
 *
 * ```ts
 * const answer = await new Span({ appId: 'app-1' }).start('answer', async (span) => {
 *   span.setAttribute('model', 'large')
 *   return await span.start('search', () => search(question))
 * })
 * ```
 *
 * One that was not started writes to the span that is active; what `start` gives writes to its own, wherever it is used.
 */
export class Span implements Disposable {
  readonly #tracer: Tracer | undefined
  readonly #own: Started | undefined
  readonly #given: Partial<Identity>

  constructor(init?: SpanInit)
  /** @internal what `start` gives */
  constructor(init: SpanInit, own: Started)
  constructor(init?: SpanInit, own?: Started) {
    this.#tracer = own === undefined ? harmless(() => init?.tracer, undefined) : init?.tracer
    this.#given = own === undefined ? knownParts(init) : {}
    this.#own = own
  }

  /** The SID of this span's request; of a span that was not started the given one, else that of the active request, else empty. */
  get sid(): string {
    return this.#identity('sid')
  }

  /** As `setIdentity({ sid })`: the way of the Python library. */
  set sid(sid: string) {
    this.setIdentity({ sid })
  }

  /** The app of this span's request, as {@link sid}; empty when nobody has said it. */
  get appId(): string {
    return this.#identity('appId')
  }

  set appId(appId: string) {
    this.setIdentity({ appId })
  }

  /** The user of this span's request, as {@link sid}; empty when nobody has said it. */
  get uid(): string {
    return this.#identity('uid')
  }

  set uid(uid: string) {
    this.setIdentity({ uid })
  }

  /** The chat of this span's request, as {@link sid}; empty when nobody has said it. */
  get chatId(): string {
    return this.#identity('chatId')
  }

  set chatId(chatId: string) {
    this.setIdentity({ chatId })
  }

  /** Says who the request belongs to: for all its spans in this process, or, before a start, for what is started from here. Empty parts say nothing. */
  setIdentity(parts: Partial<Identity>): this {
    if (this.#own === undefined) Object.assign(this.#given, knownParts(parts))
    else boxOfContext(this.#own.context)?.override(knownParts(parts))
    return this
  }

  /** The context in which this span is the active one: for `Trace.injectContext(carrier, span.context)` and `context.with`. */
  get context(): Context {
    return this.#own?.context ?? contextApi.active()
  }

  /**
   * Starts a span: below this one if it was started itself, else below the active one.
   *
   * With a callback the span is active while it runs, and ends when it is done: when it returns, when its promise is settled, or, of a generator
   * or async iterator, when that was consumed, left or failed. Sync stays sync. What it throws is recorded once and thrown on unchanged; each
   * span that it passes through has the status ERROR.
   *
   * Without one it gives the span for `using`, which ends it with its block, or for `end()`; it is then not the active one.
   *
   * @param name empty or left out: the name of the callback
   */
  start(name?: string, options?: StartOptions): Span
  start<F extends (span: Span) => unknown>(callback: Untyped<F> & F): ReturnType<F>
  start<F extends (span: Span) => unknown>(name: string, callback: Untyped<F> & F): ReturnType<F>
  start<F extends (span: Span) => unknown>(
    name: string,
    options: StartOptions,
    callback: Untyped<F> & F,
  ): ReturnType<F>
  // So that a helper may have a type parameter of its own, of which the compiler knows nothing but that it is promised.
  start<T>(callback: (span: Span) => Promise<T>): Promise<T>
  start<T>(name: string, callback: (span: Span) => Promise<T>): Promise<T>
  start<T>(name: string, options: StartOptions, callback: (span: Span) => Promise<T>): Promise<T>
  start<T>(callback: (span: Span) => T): RunResult<T>
  start<T>(name: string, callback: (span: Span) => T): RunResult<T>
  start<T>(name: string, options: StartOptions, callback: (span: Span) => T): RunResult<T>
  start<T>(...args: readonly unknown[]): Span | RunResult<T> {
    const callback = args.find((arg): arg is (span: Span) => T => typeof arg === 'function')
    const options = (typeof args[1] === 'object' ? args[1] : undefined) as StartOptions | undefined
    const name = nameOf(args[0], callback, options)
    const span = harmless(() => this.#start(name, options ?? {}), undefined) ?? this.#unrecorded()
    if (callback === undefined) return span
    return runToEnd(() => callback(span), {
      run: (piece) => contextApi.with(span.context, piece),
      onError: (error) => span.#fail(error),
      onEnd: () => span.end(),
    })
  }

  /** Ends this span; later calls change nothing. */
  end(): void {
    this.#quietly(() => {
      if (this.#own?.span.isRecording() === true) this.#own.span.end()
    })
  }

  [Symbol.dispose](): void {
    this.end()
  }

  /** OpenTelemetry's own span that this one writes to. Outside any it is one that records nothing. */
  getOtlpSpan(): OtelSpan {
    return this.#own?.span ?? trace.getActiveSpan() ?? trace.wrapSpanContext(INVALID_SPAN_CONTEXT)
  }

  /** Sets an attribute. What OpenTelemetry does not take (objects, mixed lists) becomes JSON text; null and undefined are left out. */
  setAttribute(key: string, value: unknown, nodeLog?: NodeLog): this {
    return this.#quietly(() => {
      const clean = attributeValue(value)
      if (clean !== undefined) this.getOtlpSpan().setAttribute(key, clean)
      nodeLog?.addInfoLog(`set attribute: ${key}=${attributeText(value)}`)
    })
  }

  /** Sets several attributes, each as `setAttribute` does. */
  setAttributes(attributes: Readonly<Record<string, unknown>>, nodeLog?: NodeLog): this {
    return this.#quietly(() => {
      this.getOtlpSpan().setAttributes(attributesOf(attributes))
      nodeLog?.addInfoLog(`set attributes: ${attributeText(attributes)}`)
    })
  }

  /** Sets OpenTelemetry's status: of this span alone, not of those above it. */
  setStatus(status: SpanStatus, nodeLog?: NodeLog): this {
    return this.#quietly(() => {
      this.getOtlpSpan().setStatus(status)
      const name = SpanStatusCode[status.code]
      nodeLog?.addInfoLog(`set status: ${name}${status.message === undefined ? '' : ` ${status.message}`}`)
    })
  }

  /** The result for the business: 0 = good (attribute `code`). */
  setCode(code: number, nodeLog?: NodeLog): this {
    return this.setAttribute('code', code, nodeLog)
  }

  /** Records an error as event `exception` and sets the status to ERROR. A NodeLog ends as failed. */
  recordException(error: unknown, attributes?: Readonly<Record<string, unknown>>, nodeLog?: NodeLog): this {
    return this.#quietly(() => {
      const span = this.getOtlpSpan()
      const { message, ...described } = describeError(error)
      span.addEvent('exception', { ...described, 'exception.message': message, ...attributesOf(attributes) })
      span.setStatus({ code: SpanStatusCode.ERROR, message })
      if (isSent(span)) noteRecorded(error, span)
      failNode(nodeLog, message)
    })
  }

  /**
   * An event of this span.
   *
   * @param time of the event, in milliseconds since 1970, or as OpenTelemetry takes it; numbers that are micro- or nanoseconds (Python's `time_ns`) are seen to be that. Default: now
   */
  addEvent(
    name: string,
    attributes?: Readonly<Record<string, unknown>>,
    time?: TimeInput,
    nodeLog?: NodeLog,
  ): this {
    return this.#quietly(() => {
      this.getOtlpSpan().addEvent(asText(name), attributesOf(attributes), eventTime(time))
      const said = attributes === undefined ? '' : `=${attributeText(attributes)}`
      nodeLog?.addInfoLog(`${asText(name)}${said}`)
    })
  }

  /**
   * A log line of level INFO: event `INFO` with the text under `INFO LOG`. From 10,240 bytes on the NodeLog has a link to the span in place of the
   * text, so that it travels once (`trace_link: span/<trace id>/<span id>`, size and sha256).
   */
  addInfoEvent(text: string, nodeLog?: NodeLog): this {
    return this.#addInfo({ 'INFO LOG': text }, text, undefined, nodeLog)
  }

  /** As `addInfoEvent`, with keys of the caller's own. */
  addInfoEvents(attributes: Readonly<Record<string, unknown>>, time?: TimeInput, nodeLog?: NodeLog): this {
    return this.#addInfo(attributes, attributes, time, nodeLog)
  }

  /** A log line of level ERROR: event `ERROR` with the text under `ERROR LOG`, and attribute `error`. A NodeLog ends as failed. */
  addErrorEvent(text: string, nodeLog?: NodeLog): this {
    return this.#addError({ 'ERROR LOG': text }, text, undefined, nodeLog)
  }

  /** As `addErrorEvent`, with keys of the caller's own. */
  addErrorEvents(attributes: Readonly<Record<string, unknown>>, time?: TimeInput, nodeLog?: NodeLog): this {
    return this.#addError(attributes, attributes, time, nodeLog)
  }

  #addInfo(
    attributes: Readonly<Record<string, unknown>>,
    said: unknown,
    time: TimeInput | undefined,
    nodeLog: NodeLog | undefined,
  ): this {
    return this.#quietly(() => {
      const span = this.getOtlpSpan()
      const clean = attributesOf(attributes)
      span.addEvent(SpanLevel.INFO, clean, eventTime(time))
      nodeLog?.addInfoLog(mirrored(attributeText(said), span, clean))
    })
  }

  #addError(
    attributes: Readonly<Record<string, unknown>>,
    said: unknown,
    time: TimeInput | undefined,
    nodeLog: NodeLog | undefined,
  ): this {
    return this.#quietly(() => {
      const span = this.getOtlpSpan().setAttribute('error', true)
      span.addEvent(SpanLevel.ERROR, attributesOf(attributes), eventTime(time))
      if (nodeLog !== undefined) failNode(nodeLog, attributeText(said))
    })
  }

  #quietly(work: () => void): this {
    harmless(work, undefined)
    return this
  }

  #start(name: string, options: StartOptions): Span {
    const parent = this.#parentFor(options)
    // Asked for each time: a process may end its tracing and start it anew.
    const tracer = this.#tracer ?? trace.getTracer('sidereal')
    const span = tracer.startSpan(name, otelOptions(options), parent)
    // In a tracing of somebody else's.
    if (boxOfSpan(span) === undefined) inheritBox(span, parent)
    const context = trace.setSpan(parent, span)
    boxOfContext(context)?.override(this.#given)
    return new Span({ tracer }, { span, parent: trace.getSpan(parent), context })
  }

  /** For a callback that has to run although its span could not be started. */
  #unrecorded(): Span {
    const own = {
      span: trace.wrapSpanContext(INVALID_SPAN_CONTEXT),
      parent: undefined,
      context: contextApi.active(),
    }
    return new Span(this.#tracer === undefined ? {} : { tracer: this.#tracer }, own)
  }

  #parentFor({ traceContext, root }: StartOptions): Context {
    // Of a caller without types it may be null.
    if (traceContext) return Trace.extractContext(traceContext, contextApi.active())
    return root === true ? ROOT_CONTEXT : this.#parent()
  }

  /** Within its own request what is active counts (baggage of the service's own), elsewhere what was active when this span began. */
  #parent(): Context {
    const active = contextApi.active()
    if (this.#own === undefined) return active
    const { span, context } = this.#own
    const isSameTrace = trace.getSpanContext(active)?.traceId === span.spanContext().traceId
    return isSameTrace ? trace.setSpan(active, span) : context
  }

  #fail(error: unknown): void {
    const span = this.getOtlpSpan()
    const wasRecorded = isRecorded(error, span)
    const isKept = wasRecorded || isSent(span)
    if (wasRecorded) this.setStatus({ code: SpanStatusCode.ERROR, message: describeError(error).message })
    else this.recordException(error)
    if (isKept && this.#own?.parent !== undefined) noteRecorded(error, this.#own.parent)
  }

  #identity(part: keyof Identity): string {
    const box = boxOfContext(this.#own?.context ?? contextApi.active())
    const known = box?.identity[part] ?? ''
    return this.#own === undefined ? (this.#given[part] ?? known) : known
  }
}

/** Whether anybody will see what is written to a span now: neither of one that is sampled out nor of one that has ended. */
function isSent(span: OtelSpan): boolean {
  return span.isRecording() && (span.spanContext().traceFlags & TraceFlags.SAMPLED) !== 0
}
