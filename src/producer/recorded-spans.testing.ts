import { context, propagation, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AlwaysOnSampler,
  ParentBasedSampler,
  type ReadableSpan,
  type Sampler,
} from '@opentelemetry/sdk-trace'
import { boxOfSpan, type Identity } from './identity.ts'
import { IdentityTracerProvider } from './identity-tracer.ts'
import type { IdentityPeerRules } from './inbound-identity.ts'
import { SidSpanProcessor } from './sid-span-processor.ts'
import { SidPropagator } from './trace-context.ts'

export interface RecordedSpans {
  /** In the order of their ends. */
  readonly ended: ReadableSpan[]
  named(name: string): ReadableSpan
  identityOf(span: object): Identity
  close(): void
}

/** The tracing of this process as `initTracing` sets it up, but that spans stay here. */
export function recordSpans(options: { peers?: IdentityPeerRules; sampler?: Sampler } = {}): RecordedSpans {
  const { peers, sampler = new ParentBasedSampler({ root: new AlwaysOnSampler() }) } = options
  const ended: ReadableSpan[] = []
  let made = 0
  const processor = new SidSpanProcessor({
    newSid: () => `sid-${++made}`,
    endedSpans: { add: (span) => ended.push(span), forceFlush: async () => undefined },
  })
  const provider = new IdentityTracerProvider({
    spanProcessors: [processor],
    sampler,
  })
  trace.setGlobalTracerProvider(provider)
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  propagation.setGlobalPropagator(new SidPropagator({}, peers))
  return {
    ended,
    named(name) {
      const found = ended.filter((span) => span.name === name)
      if (found.length !== 1) throw new Error(`${found.length} spans are named ${name}`)
      return found[0]!
    },
    identityOf(span) {
      const box = boxOfSpan(span)
      if (box === undefined) throw new Error('a span without identity')
      return box.identity
    },
    close() {
      trace.disable()
      context.disable()
      propagation.disable()
    },
  }
}
