import type { Carrier } from './trace-context.ts'

export interface StartOptions {
  /** Attributes that the span has from its start, so that samplers see them. */
  readonly attributes?: Readonly<Record<string, unknown>>
  /** What `Trace.injectContext` wrote elsewhere: the span continues that trace. */
  readonly traceContext?: Carrier
  /** Adds `::` and the name of the callback to the span's name (source description: `add_source_function_name`). */
  readonly addFunctionName?: boolean
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
