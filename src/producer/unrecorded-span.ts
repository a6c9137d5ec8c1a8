import {
  type Attributes,
  type AttributeValue,
  type Span,
  type SpanContext,
  SpanKind,
  type SpanOptions,
} from '@opentelemetry/api'

/** A span that nobody records. One that calls somebody keeps its attributes all the same: the propagator must see whom it calls. */
export class UnrecordedSpan implements Span {
  readonly kind: SpanKind
  readonly attributes: Attributes
  readonly #context: SpanContext

  constructor(context: SpanContext, { kind = SpanKind.INTERNAL, attributes }: SpanOptions) {
    this.#context = context
    this.kind = kind
    this.attributes = kind === SpanKind.CLIENT ? { ...attributes } : {}
  }

  spanContext(): SpanContext {
    return this.#context
  }

  setAttribute(key: string, value: AttributeValue): this {
    if (this.kind === SpanKind.CLIENT) this.attributes[key] = value
    return this
  }

  setAttributes(attributes: Attributes): this {
    if (this.kind === SpanKind.CLIENT) Object.assign(this.attributes, attributes)
    return this
  }

  addEvent(): this {
    return this
  }

  addLink(): this {
    return this
  }

  addLinks(): this {
    return this
  }

  setStatus(): this {
    return this
  }

  updateName(): this {
    return this
  }

  end(): void {
    // There is nothing to end.
  }

  isRecording(): boolean {
    return false
  }

  recordException(): void {
    // Nor to record it in.
  }
}
