import { type Baggage, type Context, propagation, type SpanContext, trace } from '@opentelemetry/api'
import { harmless } from './harmless.ts'
import { inboundOf } from './inbound-identity.ts'

/** Who a request belongs to: what every record of it carries. Empty = unknown, but a SID is never empty. */
export interface Identity {
  readonly sid: string
  readonly appId: string
  readonly uid: string
  readonly chatId: string
}

/** Names of the baggage entries that carry an {@link Identity} between services. */
export const BAGGAGE_KEYS = { sid: 'sid', appId: 'app_id', uid: 'uid', chatId: 'chat_id' } as const
const IDENTITY_KEYS: ReadonlySet<string> = new Set(Object.values(BAGGAGE_KEYS))

const MAX_SID_BYTES = 256
const MAX_VALUE_BYTES = 1024

/**
 * One identity for all spans of a request in this process. Spans share the box and not its content, so that an identity which becomes known
 * in the middle of a request holds for the spans before it, too.
 */
export class IdentityBox {
  #identity: Identity

  constructor(identity: Identity) {
    this.#identity = identity
  }

  get identity(): Identity {
    return this.#identity
  }

  /** Replaces the given parts. A SID that no record may have (empty, over 256 bytes) is left out; says whether all was taken. */
  override(parts: Partial<Identity>): boolean {
    const { sid, ...others } = parts
    const isSidValid = sid === undefined || isValidSid(sid)
    const clean: Record<string, string> = {}
    let isWhole = isSidValid
    for (const [name, value] of Object.entries(others)) {
      // Empty = nothing is known, which takes nothing away.
      if (value === undefined || value === '') continue
      if (isValidValue(value)) clean[name] = value.toWellFormed()
      else isWhole = false
    }
    this.#identity = {
      ...this.#identity,
      ...clean,
      ...(sid !== undefined && isSidValid ? { sid: sid.toWellFormed() } : {}),
    }
    return isWhole
  }
}

/**
 * A field of spans: nothing else is known by a span, its children and its exporter alike. A symbol of ours, since a WeakMap with an entry for each span
 * costs the request twice as much, and the garbage collector more. Of the whole process, since it may have this package twice (a library brings its own):
 * both must say the same SID. Its number is that of the interface of `IdentityBox`.
 */
const BOX: unique symbol = Symbol.for('sidereal.identity.1')
/** Of spans that nobody may give a field. */
const boxesOfSealed = new WeakMap<object, IdentityBox>()

interface Boxed {
  [BOX]?: IdentityBox
}

/** The box of a span that a `SidSpanProcessor` has seen, or that somebody asked about. */
export function boxOfSpan(span: object): IdentityBox | undefined {
  const box = (span as Boxed)[BOX]
  return box === undefined && !Object.isExtensible(span) ? boxesOfSealed.get(span) : box
}

function setBox(span: object, box: IdentityBox): void {
  if (Object.isExtensible(span)) (span as Boxed)[BOX] = box
  else boxesOfSealed.set(span, box)
}

/**
 * Gives a span that has just started its box: that of its local parent, else a new one from the baggage of its context, else from its trace id
 * when it continues a trace (services then agree without talking), else with a new SID. Of a caller that is not believed (see `Inbound`) neither
 * baggage nor trace id counts: the trace goes on, under a SID of our own.
 */
export function giveBox(
  span: { spanContext(): SpanContext; readonly attributes?: Readonly<Record<string, unknown>> },
  parentContext: Context,
  newSid: () => string,
): IdentityBox {
  const parent = trace.getSpan(parentContext)
  let box = parent === undefined ? undefined : boxOfSpan(parent)
  if (box === undefined) {
    const hasParent = parent !== undefined && trace.isSpanContextValid(parent.spanContext())
    const inbound = inboundOf(parentContext)
    inbound?.notePeer(parentContext, span.attributes ?? {})
    const isForeign = inbound?.isBelieved === false
    const baggage = isForeign ? undefined : propagation.getBaggage(parentContext)
    const sid = baggageSid(baggage) ?? (hasParent && !isForeign ? span.spanContext().traceId : newSid())
    box = new IdentityBox(identityFrom(baggage, sid))
    // A parent that nobody records (sampled out, or remote) still has one answer for all its children.
    if (parent !== undefined && hasParent) setBox(parent, box)
  }
  setBox(span, box)
  return box
}

/** Gives a span that no `SidSpanProcessor` sees the box of the span above it, if there is one. */
export function inheritBox(span: object, parentContext: Context): void {
  if (trace.getSpan(parentContext) === undefined) return
  const box = boxOfContext(parentContext)
  if (box !== undefined) setBox(span, box)
}

/** The box of what is active in a context: that of its span, else one from its attributes, baggage and trace id, else none. */
export function boxOfContext(context: Context): IdentityBox | undefined {
  const span = trace.getSpan(context)
  const known = span === undefined ? undefined : boxOfSpan(span)
  if (known !== undefined) return known
  const inbound = inboundOf(context)
  const isForeign = inbound?.isBelieved === false
  const baggage = isForeign ? undefined : propagation.getBaggage(context)
  if (span === undefined) {
    const sid = baggageSid(baggage)
    return sid === undefined ? undefined : new IdentityBox(identityFrom(baggage, sid))
  }
  const { traceId } = span.spanContext()
  const traceSid = isForeign ? inbound?.ownSid : traceId
  const { attributes = {} } = span as { readonly attributes?: Readonly<Record<string, unknown>> }
  const said = knownParts(identityOfAttributes(attributes, ''))
  const sid =
    said.sid ?? baggageSid(baggage) ?? (trace.isSpanContextValid(span.spanContext()) ? traceSid : undefined)
  if (sid === undefined) return undefined
  const box = new IdentityBox({ ...identityFrom(baggage, sid), ...said })
  setBox(span, box)
  return box
}

/** The identity that a span carries by its attributes, with the trace id as its SID when they say none: of spans that no `SidSpanProcessor` has seen. */
export function identityOfAttributes(
  attributes: Readonly<Record<string, unknown>>,
  traceId: string,
): Identity {
  const text = (key: string): string => {
    const value = attributes[key]
    return typeof value === 'string' && isValidValue(value) ? value.toWellFormed() : ''
  }
  const sid = attributes[BAGGAGE_KEYS.sid]
  return {
    sid: typeof sid === 'string' && isValidSid(sid) ? sid.toWellFormed() : traceId,
    appId: text(BAGGAGE_KEYS.appId),
    uid: text(BAGGAGE_KEYS.uid),
    chatId: text(BAGGAGE_KEYS.chatId),
  }
}

/** `baggage` with the entries of an identity, or of nobody's; empty parts are left out. */
export function withIdentity(baggage: Baggage | undefined, identity: Identity | undefined): Baggage {
  let result = propagation.createBaggage()
  // First, since the propagator sends only so many entries and bytes.
  for (const [name, key] of Object.entries(BAGGAGE_KEYS)) {
    const value = identity?.[name as keyof Identity] ?? ''
    if (value !== '') result = result.setEntry(key, { value })
  }
  for (const [key, entry] of baggage?.getAllEntries() ?? []) {
    if (IDENTITY_KEYS.has(key)) continue
    // Percent-encoding throws on a lone surrogate, and a call of the service would fail for its baggage.
    if (!key.isWellFormed() || !entry.value.isWellFormed()) continue
    // Properties are not encoded: whatever came in by a Kafka header would be no header of HTTP or gRPC.
    const areSendable = /^[\x20-\x7e]*$/.test(entry.metadata?.toString() ?? '')
    result = result.setEntry(key, areSendable ? entry : { value: entry.value })
  }
  return result
}

/** What a caller says of an identity; empty parts, and those that are not given, say nothing. Never throws. */
export function knownParts(parts: Partial<Identity> | undefined): Partial<Identity> {
  const known: { -readonly [Name in keyof Identity]?: Identity[Name] } = {}
  if (!parts) return known
  const read = () => {
    if (parts.sid) known.sid = parts.sid
    if (parts.appId) known.appId = parts.appId
    if (parts.uid) known.uid = parts.uid
    if (parts.chatId) known.chatId = parts.chatId
  }
  harmless(read, undefined)
  return known
}

// Callers without types give numbers, too: no reason to throw into a request.
export function isValidSid(sid: unknown): sid is string {
  return typeof sid === 'string' && sid.length > 0 && Buffer.byteLength(sid) <= MAX_SID_BYTES
}

export function isValidValue(value: unknown): value is string {
  return typeof value === 'string' && Buffer.byteLength(value) <= MAX_VALUE_BYTES
}

function baggageSid(baggage: Baggage | undefined): string | undefined {
  const sid = baggage?.getEntry(BAGGAGE_KEYS.sid)?.value
  return sid !== undefined && isValidSid(sid) ? sid.toWellFormed() : undefined
}

function identityFrom(baggage: Baggage | undefined, sid: string): Identity {
  const text = (key: string): string => {
    const value = baggage?.getEntry(key)?.value ?? ''
    return isValidValue(value) ? value.toWellFormed() : ''
  }
  return {
    sid,
    appId: text(BAGGAGE_KEYS.appId),
    uid: text(BAGGAGE_KEYS.uid),
    chatId: text(BAGGAGE_KEYS.chatId),
  }
}
