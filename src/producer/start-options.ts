import { isSpanContextValid, type Link, SpanKind, type SpanOptions } from '@opentelemetry/api'
import { harmless } from './harmless.ts'
import { attributesOf } from './span-attributes.ts'
import type { Carrier } from './trace-context.ts'

export interface StartOptions {
  /** Attributes that the span has from its start, so that samplers see them. */
  readonly attributes?: Readonly<Record<string, unknown>>
  /** Default `SpanKind.INTERNAL`, as OpenTelemetry has it. */
  readonly kind?: SpanKind
  /** Spans of other traces that this one has to do with: those of the messages of a batch, say. */
  readonly links?: readonly Link[]
  /** True: the span begins a trace of its own, with an identity of its own, whatever is active: one of many messages, say. Not together with `traceContext`, which goes first. */
  readonly root?: boolean
  /** What `Trace.injectContext` wrote elsewhere: the span continues that trace. */
  readonly traceContext?: Carrier
  /** Adds `::` and the name of the callback to the span's name (source description: `add_source_function_name`). */
  readonly addFunctionName?: boolean
}

/** What OpenTelemetry takes of them. Of a caller without types all may be anything. */
export function otelOptions({ attributes, kind, links }: StartOptions): SpanOptions {
  return {
    attributes: attributesOf(attributes),
    // The enum knows its names, too.
    ...(typeof kind === 'number' && SpanKind[kind] !== undefined ? { kind } : {}),
    ...(Array.isArray(links) ? { links: links.flatMap((link) => harmless(() => linkOf(link), [])) } : {}),
  }
}

/** None where there is no span that it could mean: an exporter may fail with a whole batch over what it cannot write. A context may have been stored as JSON. */
function linkOf({ context, attributes }: Link): Link[] {
  if (!isSpanContextValid(context)) return []
  const { traceState, ...rest } = context
  const clean = typeof traceState?.serialize === 'function' ? { ...rest, traceState } : rest
  return [{ context: clean, attributes: attributesOf(attributes) }]
}

/** The name of a span: the one that was given, else that of its callback. */
export function nameOf(
  name: unknown,
  callback: { readonly name: string } | undefined,
  options: StartOptions | undefined,
): string {
  const own = callback?.name || 'unknown'
  if (typeof name !== 'string' || name === '') return own
  return options?.addFunctionName === true ? `${name}::${own}` : name
}
