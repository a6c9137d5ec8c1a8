import {
  type Context,
  context as contextApi,
  ProxyTracerProvider,
  type Span,
  type SpanOptions,
  type Tracer,
} from '@opentelemetry/api'
import { inboundOf } from './inbound-identity.ts'

/**
 * Of a service whose tracing is off: records nothing, and passes the trace of a caller on as it came, with its sampling decision, so that those behind it
 * record what they would without it. Notes on the way who called, since nobody else sees the attributes.
 */
export class PassingTracer implements Tracer {
  /** What OpenTelemetry gives where nobody has set up anything. */
  readonly #inner = new ProxyTracerProvider().getTracer('sidereal')

  startSpan(name: string, options: SpanOptions = {}, context: Context = contextApi.active()): Span {
    notePeer(options, context)
    return this.#inner.startSpan(name, options, context)
  }

  startActiveSpan<F extends (span: Span) => unknown>(name: string, fn: F): ReturnType<F>
  startActiveSpan<F extends (span: Span) => unknown>(name: string, options: SpanOptions, fn: F): ReturnType<F>
  startActiveSpan<F extends (span: Span) => unknown>(
    name: string,
    options: SpanOptions,
    context: Context,
    fn: F,
  ): ReturnType<F>
  startActiveSpan<F extends (span: Span) => unknown>(name: string, ...args: unknown[]): ReturnType<F> {
    const fn = args.at(-1) as F
    const options = args.length > 1 ? (args[0] as SpanOptions) : {}
    const context = args.length > 2 ? (args[1] as Context) : contextApi.active()
    notePeer(options, context)
    return this.#inner.startActiveSpan(name, options, context, fn)
  }
}

function notePeer(options: SpanOptions | undefined, context: Context): void {
  inboundOf(context)?.notePeer(context, options?.attributes ?? {})
}
