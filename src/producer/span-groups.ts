import type { ReadableSpan } from '@opentelemetry/sdk-trace'
import { SiderealError } from '../model/errors.ts'
import { boxOfSpan, type Identity, type IdentityBox, identityOfAttributes } from './identity.ts'
import { SpanWriter } from './span-writer.ts'

/** Spans that may share records: of one identity, resource and scope. */
export interface SpanGroup {
  readonly identity: Identity
  readonly resource: ReadableSpan['resource']
  readonly scope: ReadableSpan['instrumentationScope']
  /** Where the spans lie in {@link SpanGroups.memory}; empty when `large` is there. */
  readonly starts: number[]
  readonly ends: number[]
  /** A span that may have to be cut, which bytes cannot be. */
  readonly large: ReadableSpan | undefined
}

type OpenGroup = Omit<SpanGroup, 'identity'> & { readonly holder: { readonly identity: Identity } }

/**
 * Ended spans, encoded and by request. A span is encoded soon after its end and not when its record is made: its bytes are a tenth of its objects, and those
 * are garbage before the collector has moved them. Its identity is read when the groups are taken: it may become known late.
 */
export class SpanGroups {
  readonly #maxSpanBytes: number
  readonly #writer = new SpanWriter()
  readonly #byBox = new Map<IdentityBox, OpenGroup[]>()
  readonly #numbers = new WeakMap<object, number>()
  #groups: OpenGroup[] = []
  #last: OpenGroup | undefined
  #nextNumber = 0
  #spans = 0
  #largeBytes = 0

  /** @param maxSpanBytes a span of more bytes goes alone, and uncoded */
  constructor(maxSpanBytes: number) {
    this.#maxSpanBytes = maxSpanBytes
  }

  get spans(): number {
    return this.#spans
  }

  get bytes(): number {
    return this.#writer.position + this.#largeBytes
  }

  /** Lone surrogates replaced so far. */
  get replacedSurrogates(): number {
    return this.#writer.replacedSurrogates
  }

  /** Holds the spans of all groups until {@link clear}. */
  get memory(): Buffer {
    return this.#writer.memory
  }

  /** @throws SiderealError SIDEREAL_RECORD_INVALID when the schema cannot hold the span; the groups are as before */
  add(span: ReadableSpan): void {
    // Of another kind of SDK; all else of it would be read wrongly, too.
    if (!isObject(span.resource) || !isObject(span.instrumentationScope))
      throw new SiderealError(
        'SIDEREAL_RECORD_INVALID',
        'the span has no resource or no instrumentation scope: spans of an OpenTelemetry SDK before 2.0 cannot be taken',
      )
    const start = this.#writer.position
    this.#writer.write(span)
    const end = this.#writer.position
    if (end - start > this.#maxSpanBytes) {
      this.#writer.rewind(start)
      this.#largeBytes += end - start
      this.#groups.push(openGroup(span, holderOf(span), span))
    } else {
      const group = this.#groupOf(span)
      group.starts.push(start)
      group.ends.push(end)
    }
    this.#spans += 1
  }

  /** All groups; those that turn out to have one identity are joined. */
  take(): SpanGroup[] {
    const taken = new Map<string, SpanGroup>()
    let larges = 0
    for (const { holder, resource, scope, starts, ends, large } of this.#groups) {
      const { identity } = holder
      const { sid, appId, uid, chatId } = identity
      // Lengths keep the parts apart, at a tenth of what JSON costs.
      const lengths = `${sid.length},${appId.length},${uid.length}`
      const number = large === undefined ? '' : `${++larges}`
      const key = `${this.#number(resource)},${this.#number(scope)},${number},${lengths}:${sid}${appId}${uid}${chatId}`
      const found = taken.get(key)
      if (found === undefined) {
        taken.set(key, { identity, resource, scope, starts, ends, large })
      } else {
        for (const start of starts) found.starts.push(start)
        for (const end of ends) found.ends.push(end)
      }
    }
    return [...taken.values()]
  }

  /** Forgets all spans. */
  clear(): void {
    this.#writer.clear()
    this.#byBox.clear()
    this.#groups = []
    this.#last = undefined
    this.#spans = 0
    this.#largeBytes = 0
  }

  #groupOf(span: ReadableSpan): OpenGroup {
    const box = boxOfSpan(span)
    const isOf = ({ holder, resource, scope }: OpenGroup) =>
      holder === box && resource === span.resource && scope === span.instrumentationScope
    if (this.#last !== undefined && isOf(this.#last)) return this.#last
    const siblings = box === undefined ? undefined : this.#byBox.get(box)
    let group = siblings?.find(isOf)
    if (group === undefined) {
      group = openGroup(span, holderOf(span), undefined)
      this.#groups.push(group)
      if (siblings !== undefined) siblings.push(group)
      else if (box !== undefined) this.#byBox.set(box, [group])
    }
    this.#last = group
    return group
  }

  #number(object: object): number {
    let number = this.#numbers.get(object)
    if (number === undefined) {
      number = this.#nextNumber++
      this.#numbers.set(object, number)
    }
    return number
  }
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null
}

function holderOf(span: ReadableSpan): OpenGroup['holder'] {
  return boxOfSpan(span) ?? { identity: identityOfAttributes(span.attributes, span.spanContext().traceId) }
}

function openGroup(
  span: ReadableSpan,
  holder: OpenGroup['holder'],
  large: ReadableSpan | undefined,
): OpenGroup {
  return { holder, resource: span.resource, scope: span.instrumentationScope, starts: [], ends: [], large }
}
