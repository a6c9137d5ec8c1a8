import { type Context, TraceFlags } from '@opentelemetry/api'
import type { ReadableSpan, Span, SpanProcessor } from '@opentelemetry/sdk-trace'
import { giveBox } from './identity.ts'

/** Takes ended spans; never throws. */
export interface EndedSpans {
  add(span: ReadableSpan): void
  /** Resolves when they are where they go, or its time is up. */
  forceFlush(): Promise<void>
}

export interface SidSpanProcessorOptions {
  /** Gives the SID of a request that begins here. */
  readonly newSid: () => string
  /** Where sampled spans go when they end. Without it this processor only gives identities; add another one that exports. */
  readonly endedSpans?: EndedSpans | undefined
}

/**
 * Gives each span the identity of its request as it starts: an HTTP server span starts before any code of the application, so nobody else
 * could. See {@link giveBox} for where the SID comes from.
 */
export class SidSpanProcessor implements SpanProcessor {
  readonly #options: SidSpanProcessorOptions

  constructor(options: SidSpanProcessorOptions) {
    this.#options = options
  }

  onStart(span: Span, parentContext: Context): void {
    giveBox(span, parentContext, this.#options.newSid)
  }

  onEnd(span: ReadableSpan): void {
    if ((span.spanContext().traceFlags & TraceFlags.SAMPLED) !== 0) this.#options.endedSpans?.add(span)
  }

  /** For whoever has the tracer provider and not the service, such as the instrumentation of a serverless function. */
  async forceFlush(): Promise<void> {
    await this.#options.endedSpans?.forceFlush()
  }

  async shutdown(): Promise<void> {
    // What is behind `endedSpans` may have spans of others, too: the service that owns it shuts it down.
  }
}
