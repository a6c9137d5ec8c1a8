import {
  type Context,
  context as contextApi,
  type Span,
  type SpanContext,
  type SpanOptions,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { TracerProvider } from '@opentelemetry/sdk-trace'
import { inheritBox } from './identity.ts'
import { inboundOf } from './inbound-identity.ts'
import { UnrecordedSpan } from './unrecorded-span.ts'

/**
 * A tracer whose spans know their request also where nobody records them, since they were sampled out or tracing is off: its NodeTraceLogs, and the services
 * that it calls, need the identity all the same. OpenTelemetry tells no processor of such spans.
 */
export class IdentityTracer implements Tracer {
  readonly #inner: Tracer

  constructor(inner: Tracer) {
    this.#inner = inner
  }

  startSpan(name: string, options: SpanOptions = {}, context: Context = contextApi.active()): Span {
    const span = this.#inner.startSpan(name, options, context)
    return span.isRecording() ? span : unrecorded(span.spanContext(), options, context)
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
    const fn = args.at(-1) as (span: Span) => ReturnType<F>
    const options = args.length > 1 ? (args[0] as SpanOptions) : {}
    const context = args.length > 2 ? (args[1] as Context) : contextApi.active()
    const span = this.startSpan(name, options, context)
    return contextApi.with(trace.setSpan(context, span), fn, undefined, span)
  }
}

/** OpenTelemetry's provider, whose tracers are {@link IdentityTracer}s. */
export class IdentityTracerProvider extends TracerProvider {
  override getTracer(...args: Parameters<TracerProvider['getTracer']>): Tracer {
    return new IdentityTracer(super.getTracer(...args))
  }
}

function unrecorded(spanContext: SpanContext, options: SpanOptions | null, context: Context): Span {
  const { attributes = {}, root = false } = options ?? {}
  // Nobody else sees the attributes of a span that is not recorded, and so who called.
  inboundOf(context)?.notePeer(context, attributes)
  const span = new UnrecordedSpan(spanContext, options ?? {})
  if (!root) inheritBox(span, context)
  return span
}
