import type { Attributes, Context, Link, SpanKind } from '@opentelemetry/api'
import type { Sampler, SamplingResult } from '@opentelemetry/sdk-trace'
import { inboundOf } from './inbound-identity.ts'

/** Samples as another does, and notes on the way who called: of a span that is sampled out nobody else sees the attributes. */
export class PeerNotingSampler implements Sampler {
  readonly #inner: Sampler

  constructor(inner: Sampler) {
    this.#inner = inner
  }

  shouldSample(
    context: Context,
    traceId: string,
    spanName: string,
    spanKind: SpanKind,
    attributes: Attributes,
    links: Link[],
  ): SamplingResult {
    inboundOf(context)?.notePeer(context, attributes)
    return this.#inner.shouldSample(context, traceId, spanName, spanKind, attributes, links)
  }

  toString(): string {
    return this.#inner.toString()
  }
}
