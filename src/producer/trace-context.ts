import {
  type Context,
  context as contextApi,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  type TextMapGetter,
  type TextMapPropagator,
  type TextMapSetter,
  trace,
} from '@opentelemetry/api'
import { W3CBaggagePropagator, W3CTraceContextPropagator } from '@opentelemetry/core'
import { type BaggageHostRules, checkRules, entriesFor } from './baggage-hosts.ts'
import { harmless } from './harmless.ts'
import { boxOfContext, type Identity, withIdentity } from './identity.ts'
import { type IdentityPeerRules, Inbound, withInbound, withoutInbound } from './inbound-identity.ts'

/** What context travels in: HTTP headers, Kafka headers, or anything with `get` and `set` (gRPC metadata, fetch's `Headers`). */
export type Carrier = Record<string, unknown> | CarrierMap

export interface CarrierMap {
  get(key: string): unknown
  set(key: string, value: string): unknown
}

const traceContext = new W3CTraceContextPropagator()
const baggage = new W3CBaggagePropagator()

/**
 * The propagator of a Sidereal service: `traceparent` to everybody, baggage with `sid`, `app_id`, `uid` and `chat_id` only to hosts that may
 * know them (see `BaggageHostRules`). The host is read from the client span, `server.address` or `net.peer.name`; without one nothing
 * but `traceparent` leaves.
 */
export class SidPropagator implements TextMapPropagator {
  readonly #rules: BaggageHostRules
  readonly #peers: IdentityPeerRules

  /**
   * @param rules who else may learn an identity
   * @param peers from whom one is taken
   * @throws SiderealError SIDEREAL_CONFIG_INVALID for rules that are none
   */
  constructor(rules: BaggageHostRules = {}, peers: IdentityPeerRules = {}) {
    checkRules('rules', rules)
    checkRules('peers', peers)
    this.#rules = rules
    this.#peers = peers
  }

  inject(context: Context, carrier: unknown, setter: TextMapSetter): void {
    const write = () => {
      traceContext.inject(context, carrier, setter)
      injectBaggage(context, carrier, setter, entriesFor(calledHost(context), this.#rules))
    }
    harmless(write, undefined)
  }

  /** The trace of any caller is continued; the identity only of those that are believed, see `IdentityPeerRules`. */
  extract(context: Context, carrier: unknown, getter: TextMapGetter): Context {
    const read = () => {
      const extracted = baggage.extract(traceContext.extract(context, carrier, getter), carrier, getter)
      if (extracted === context) return context
      return withInbound(extracted, new Inbound(carrier, getter, this.#peers))
    }
    return harmless(read, context)
  }

  fields(): string[] {
    return [...traceContext.fields(), ...baggage.fields()]
  }
}

/** The identity of the active request, and its way from service to service (source description: class `Trace`). */
export const Trace = {
  /** SID of the active span, else of the active context; `undefined` outside any request. */
  sid(context: Context = contextApi.active()): string | undefined {
    return identityOf(context)?.sid
  },

  identity(context: Context = contextApi.active()): Identity | undefined {
    return identityOf(context)
  },

  /**
   * Says who the active request belongs to, for all its spans in this process, those that are open included, and for the services it calls from
   * now on. Parts that are not given stay. Gives false for a part that cannot be an identity (it is left out), and
   * outside any request.
   */
  setIdentity(parts: Partial<Identity>, context: Context = contextApi.active()): boolean {
    const override = () => trace.getSpan(context) !== undefined && boxOfContext(context)?.override(parts)
    return harmless(override, false) ?? false
  },

  injectContext,

  /**
   * Reads what `injectContext` wrote. Keys are found in any case. Spans that start in the context given back continue the trace, with its SID:
   * called by hand it believes the carrier, whoever sent it. What is no carrier (`null` of a body) says nothing.
   */
  extractContext(carrier: Carrier, context: Context = ROOT_CONTEXT): Context {
    const own = harmless(() => withoutInbound(context), ROOT_CONTEXT)
    const read = () => {
      const traced = traceContext.extract(own, carrier, carrierGetter)
      const extracted = baggage.extract(traced, carrier, carrierGetter)
      const isOtherTrace = trace.getSpanContext(traced)?.traceId !== trace.getSpanContext(own)?.traceId
      const entries = propagation.getBaggage(extracted)
      // Of a carrier that says no identity the trace has that of another request in `context` no more than its parent.
      return isOtherTrace && entries !== undefined && entries === propagation.getBaggage(own)
        ? propagation.setBaggage(extracted, withIdentity(entries, undefined))
        : extracted
    }
    return harmless(read, own)
  },
}

function identityOf(context: Context): Identity | undefined {
  return harmless(() => boxOfContext(context)?.identity, undefined)
}

/**
 * Writes `traceparent` and `baggage` of the active request into a carrier (a new object without one) and gives it back. Called by hand it
 * sends the identity to anybody: the caller knows whom it talks to.
 */
function injectContext(): Record<string, string>
function injectContext<C extends Carrier>(carrier: C, context?: Context): C
function injectContext(carrier: Carrier = {}, context: Context = contextApi.active()): Carrier {
  const write = () => {
    traceContext.inject(context, carrier, carrierSetter)
    injectBaggage(context, carrier, carrierSetter, 'all')
  }
  harmless(write, undefined)
  return carrier
}

function injectBaggage(
  context: Context,
  carrier: unknown,
  setter: TextMapSetter,
  names: readonly string[] | 'all',
): void {
  if (names.length === 0) return
  const box = boxOfContext(context)
  const entries = propagation.getBaggage(context)
  if (box === undefined && entries === undefined) return
  const all = withIdentity(entries, box?.identity)
  const others = names === 'all' ? [] : all.getAllEntries().filter(([name]) => !names.includes(name))
  const sent = all.removeEntries(...others.map(([name]) => name))
  baggage.inject(propagation.setBaggage(context, sent), carrier, setter)
}

/** Where a client span goes, as far as its attributes say. */
function calledHost(context: Context): string | undefined {
  const span = trace.getSpan(context)
  if (span === undefined || !('attributes' in span) || !('kind' in span) || span.kind !== SpanKind.CLIENT)
    return undefined
  const attributes = span.attributes as Readonly<Record<string, unknown>>
  const host = attributes['server.address'] ?? attributes['net.peer.name']
  return typeof host === 'string' ? host : undefined
}

function isMap(carrier: unknown): carrier is CarrierMap {
  const map = carrier as Partial<CarrierMap> | null
  return typeof map?.get === 'function' && typeof map.set === 'function'
}

const carrierSetter: TextMapSetter = {
  set(carrier: unknown, key: string, value: string): void {
    if (isMap(carrier)) carrier.set(key, value)
    else (carrier as Record<string, unknown>)[key] = value
  },
}

const carrierGetter: TextMapGetter = {
  keys: (carrier: unknown) => (isMap(carrier) ? [] : Object.keys(carrier as Record<string, unknown>)),
  get(carrier: unknown, key: string): string | string[] | undefined {
    if (isMap(carrier)) {
      const value = carrier.get(key)
      // `Headers` and gRPC's metadata find a name in any case by themselves.
      return asText(value === undefined && carrier instanceof Map ? anyCase(carrier, key) : value)
    }
    const record = carrier as Record<string, unknown>
    if (record[key] !== undefined) return asText(record[key])
    const found = Object.keys(record).find((name) => name.toLowerCase() === key)
    return found === undefined ? undefined : asText(record[found])
  },
}

function anyCase(map: ReadonlyMap<unknown, unknown>, key: string): unknown {
  for (const [name, value] of map) if (typeof name === 'string' && name.toLowerCase() === key) return value
  return undefined
}

/** Header values come as text, as bytes (Kafka), or several of them. */
function asText(value: unknown): string | string[] | undefined {
  if (typeof value === 'string') return value
  if (value instanceof Uint8Array)
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8')
  if (!Array.isArray(value)) return undefined
  const texts = value.flatMap((item) => asText(item) ?? [])
  return texts.length <= 1 ? texts[0] : texts
}
