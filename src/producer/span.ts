import { createHash } from 'node:crypto'
import {
  type Context,
  context as contextApi,
  type Span as OtelSpan,
  type SpanStatus,
  SpanStatusCode,
  type TimeInput,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { boxOfContext, type Identity } from './identity.ts'
import type { NodeLog } from './node-log.ts'
import { type RunResult, runToEnd } from './run-to-end.ts'
import { attributesOf, attributeText, attributeValue, describeError } from './span-attributes.ts'
import { SpanLevel } from './span-level.ts'
import { type Carrier, Trace } from './trace-context.ts'

/** Who the request belongs to, as far as the caller knows. Parts that are empty or not given say nothing. */
export interface SpanInit extends Partial<Identity> {
  /** Default: the tracer of the process, as `initTracing` set it. */
  readonly tracer?: Tracer
}

export interface StartOptions {
  /** Attributes that the span has from its start, so that samplers see them. */
  readonly attributes?: Readonly<Record<string, unknown>>
  /** What `Trace.injectContext` wrote elsewhere: the span continues that trace. */
  readonly traceContext?: Carrier
  /** Adds `::` and the name of the callback to the span's name (source description: `add_source_function_name`). */
  readonly addFunctionName?: boolean
}

/** The size from which an INFO event's text is not repeated in a NodeLog (source description: 10 KB, in bytes of UTF-8). */
const MIRROR_LIMIT_BYTES = 10 * 1024

/** Which error was recorded in which trace: it passes through every enclosing span. */
const recordedIn = new WeakMap<object, string>()

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
  readonly #tracer: Tracer
  readonly #own: { readonly span: OtelSpan; readonly context: Context } | undefined
  readonly #given: Partial<Identity>

  constructor(init?: SpanInit)
  /** @internal what `start` gives */
  constructor(init: SpanInit, own: { span: OtelSpan; context: Context })
  constructor(init: SpanInit = {}, own?: { span: OtelSpan; context: Context }) {
    const { tracer = trace.getTracer('sidereal'), ...given } = init
    this.#tracer = tracer
    this.#given = known(given)
    this.#own = own
  }

  /** The SID of this span's request; of a span that was not started the given one, else that of the active request, else empty. */
  get sid(): string {
    return this.#identity('sid')
  }

  get appId(): string {
    return this.#identity('appId')
  }

  get uid(): string {
    return this.#identity('uid')
  }

  get chatId(): string {
    return this.#identity('chatId')
  }

  /** Says who the request belongs to: for all its spans in this process, or, before a start, for what is started from here. Empty parts say nothing. */
  setIdentity(parts: Partial<Identity>): this {
    if (this.#own === undefined) Object.assign(this.#given, known(parts))
    else boxOfContext(this.#own.context)?.override(known(parts))
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
  start<T>(callback: (span: Span) => T): RunResult<T>
  start<T>(name: string, callback: (span: Span) => T): RunResult<T>
  start<T>(name: string, options: StartOptions, callback: (span: Span) => T): RunResult<T>
  start<T>(...args: readonly unknown[]): Span | RunResult<T> {
    const callback = args.find((arg): arg is (span: Span) => T => typeof arg === 'function')
    const options = (typeof args[1] === 'object' ? args[1] : undefined) as StartOptions | undefined
    const span = this.#start(nameOf(args[0], callback, options), options ?? {})
    if (callback === undefined) return span
    return runToEnd(() => callback(span), {
      run: (piece) => contextApi.with(span.context, piece),
      onError: (error) => span.#fail(error),
      onEnd: () => span.end(),
    })
  }

  /** Ends this span; later calls change nothing. */
  end(): void {
    if (this.#own?.span.isRecording() === true) this.#own.span.end()
  }

  [Symbol.dispose](): void {
    this.end()
  }

  /** OpenTelemetry's own span that this one writes to. Outside any it is one that records nothing. */
  getOtlpSpan(): OtelSpan {
    return this.#own?.span ?? trace.getActiveSpan() ?? trace.wrapSpanContext(NO_SPAN)
  }

  /** Sets an attribute. What OpenTelemetry does not take (objects, mixed lists) becomes JSON text; null and undefined are left out. */
  setAttribute(key: string, value: unknown, nodeLog?: NodeLog): this {
    const clean = attributeValue(value)
    if (clean !== undefined) this.getOtlpSpan().setAttribute(key, clean)
    nodeLog?.addInfoLog(`set attribute: ${key}=${attributeText(value)}`)
    return this
  }

  setAttributes(attributes: Readonly<Record<string, unknown>>, nodeLog?: NodeLog): this {
    this.getOtlpSpan().setAttributes(attributesOf(attributes))
    nodeLog?.addInfoLog(`set attributes: ${attributeText(attributes)}`)
    return this
  }

  setStatus(status: SpanStatus, nodeLog?: NodeLog): this {
    this.getOtlpSpan().setStatus(status)
    const name = SpanStatusCode[status.code]
    nodeLog?.addInfoLog(`set status: ${name}${status.message === undefined ? '' : ` ${status.message}`}`)
    return this
  }

  /** The result for the business: 0 = good (attribute `code`). */
  setCode(code: number, nodeLog?: NodeLog): this {
    return this.setAttribute('code', code, nodeLog)
  }

  /** Records an error as event `exception` and sets the status to ERROR. A NodeLog ends as failed. */
  recordException(error: unknown, attributes?: Readonly<Record<string, unknown>>, nodeLog?: NodeLog): this {
    const span = this.getOtlpSpan()
    const { message, ...described } = describeError(error)
    span.addEvent('exception', { ...described, 'exception.message': message, ...attributesOf(attributes) })
    span.setStatus({ code: SpanStatusCode.ERROR, message })
    if (typeof error === 'object' && error !== null) recordedIn.set(error, span.spanContext().traceId)
    failNode(nodeLog, message)
    return this
  }

  /** @param time of the event; default: now */
  addEvent(
    name: string,
    attributes?: Readonly<Record<string, unknown>>,
    time?: TimeInput,
    nodeLog?: NodeLog,
  ): this {
    this.getOtlpSpan().addEvent(name, attributesOf(attributes), time)
    if (attributes !== undefined) nodeLog?.addInfoLog(`${name}=${attributeText(attributes)}`)
    return this
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
    return this.#addInfo(attributes, attributeText(attributes), time, nodeLog)
  }

  /** A log line of level ERROR: event `ERROR` with the text under `ERROR LOG`, and attribute `error`. A NodeLog ends as failed. */
  addErrorEvent(text: string, nodeLog?: NodeLog): this {
    return this.#addError({ 'ERROR LOG': text }, text, undefined, nodeLog)
  }

  /** As `addErrorEvent`, with keys of the caller's own. */
  addErrorEvents(attributes: Readonly<Record<string, unknown>>, time?: TimeInput, nodeLog?: NodeLog): this {
    return this.#addError(attributes, attributeText(attributes), time, nodeLog)
  }

  #addInfo(
    attributes: Readonly<Record<string, unknown>>,
    text: string,
    time: TimeInput | undefined,
    nodeLog: NodeLog | undefined,
  ): this {
    const span = this.getOtlpSpan()
    span.addEvent(SpanLevel.INFO, attributesOf(attributes), time)
    nodeLog?.addInfoLog(span.isRecording() ? mirrored(String(text), span) : String(text))
    return this
  }

  #addError(
    attributes: Readonly<Record<string, unknown>>,
    text: string,
    time: TimeInput | undefined,
    nodeLog: NodeLog | undefined,
  ): this {
    this.getOtlpSpan().setAttribute('error', true).addEvent(SpanLevel.ERROR, attributesOf(attributes), time)
    failNode(nodeLog, String(text))
    return this
  }

  #start(name: string, { attributes, traceContext }: StartOptions): Span {
    const parent =
      traceContext === undefined ? this.#parent() : Trace.extractContext(traceContext, contextApi.active())
    const span = this.#tracer.startSpan(name, { attributes: attributesOf(attributes) }, parent)
    const context = trace.setSpan(parent, span)
    boxOfContext(context)?.override(this.#given)
    return new Span({ tracer: this.#tracer }, { span, context })
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
    const isRecorded =
      typeof error === 'object' &&
      error !== null &&
      recordedIn.get(error) === this.getOtlpSpan().spanContext().traceId
    if (isRecorded) this.setStatus({ code: SpanStatusCode.ERROR, message: describeError(error).message })
    else this.recordException(error)
  }

  #identity(part: keyof Identity): string {
    const box = boxOfContext(this.#own?.context ?? contextApi.active())
    const known = box?.identity[part] ?? ''
    return this.#own === undefined ? (this.#given[part] ?? known) : known
  }
}

const NO_SPAN = { traceId: '0'.repeat(32), spanId: '0'.repeat(16), traceFlags: 0 }

function known(parts: Partial<Identity>): Partial<Identity> {
  return Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined && value !== ''))
}

function nameOf(
  name: unknown,
  callback: { readonly name: string } | undefined,
  options: StartOptions | undefined,
): string {
  const own = callback?.name || 'unknown'
  if (typeof name !== 'string' || name === '') return own
  return options?.addFunctionName === true ? `${name}::${own}` : name
}

function mirrored(text: string, span: OtelSpan): string {
  const bytes = Buffer.byteLength(text)
  if (bytes < MIRROR_LIMIT_BYTES) return text
  const { traceId, spanId } = span.spanContext()
  const sha256 = createHash('sha256').update(text.toWellFormed()).digest('hex')
  return `trace_link: span/${traceId}/${spanId} (INFO event, ${bytes} bytes, sha256 ${sha256})`
}

function failNode(nodeLog: NodeLog | undefined, message: string): void {
  if (nodeLog === undefined) return
  nodeLog.addErrorLog(message)
  nodeLog.setEnd()
  nodeLog.runningStatus = false
}
