import { randomUUID } from 'node:crypto'
import { isIP } from 'node:net'
import { type Context, createContextKey, type TextMapGetter, trace } from '@opentelemetry/api'
import { type HostRules, isPrivateAddress, matchesHost } from './baggage-hosts.ts'

/** From whom a service takes the identity of a request that comes in by itself, that is, not by `Trace.extractContext`. */
export interface IdentityPeerRules extends HostRules {
  /** Addresses that are believed beside loopback and private ones: an address, `10.1.0.0/16`, or `*` for all. */
  readonly allow?: readonly string[]
  /** Addresses that are never believed. Goes before everything else. */
  readonly deny?: readonly string[]
  /** True for a service that the public reaches: nobody's identity is taken. Default false. */
  readonly publicEndpoint?: boolean
}

const INBOUND = createContextKey('sidereal inbound request')
/** Where proxies write whom they speak for. */
const FORWARDED_HEADERS = [
  'x-forwarded-for',
  'x-real-ip',
  'x-client-ip',
  'x-envoy-external-address',
  'cf-connecting-ip',
  'true-client-ip',
] as const

/** What instrumentation says of a request of HTTP, and of nothing else. */
const HTTP_ATTRIBUTES = ['http.request.method', 'http.method', 'url.path', 'http.target', 'http.url'] as const

/** One request that came in from elsewhere, and whether what it says of its identity is believed. */
export class Inbound {
  readonly #rules: IdentityPeerRules
  #isHttp: boolean
  readonly #areForwardersBelieved: boolean
  #peer: string | undefined
  #ownSid: string | undefined

  constructor(carrier: unknown, getter: TextMapGetter, rules: IdentityPeerRules) {
    const textsOf = (name: string) => [getter.get(carrier, name) ?? []].flat()
    this.#rules = rules
    this.#isHttp = textsOf('host').length > 0 || textsOf(':authority').length > 0
    const forwarded = FORWARDED_HEADERS.flatMap((name) => textsOf(name).flatMap((text) => text.split(',')))
    const standard = textsOf('forwarded').flatMap((text) =>
      [...text.matchAll(/\bfor\s*=\s*("[^"]*"|[^;,\s]+)/gi)].map(([, address]) => address ?? ''),
    )
    this.#areForwardersBelieved = [...forwarded, ...standard].every((text) => isBelieved(text, rules))
  }

  /** Notes who called, from the attributes of the first span of this process; what further spans call is no caller. */
  notePeer(parentContext: Context, attributes: Readonly<Record<string, unknown>>): void {
    const parent = trace.getSpanContext(parentContext)
    if (parent !== undefined && parent.isRemote !== true) return
    // A request of HTTP/1.0 needs no `host`, and its caller decides that.
    this.#isHttp ||= HTTP_ATTRIBUTES.some((name) => attributes[name] !== undefined)
    const address = attributes['network.peer.address'] ?? attributes['net.sock.peer.addr']
    if (typeof address === 'string') this.#peer ??= address
  }

  /**
   * HTTP is what the public speaks: there a peer that nobody knows is not believed. Other carriers (gRPC metadata, Kafka headers) come from
   * one's own services unless a proxy says that it speaks for somebody else.
   */
  get isBelieved(): boolean {
    if (this.#rules.publicEndpoint === true || !this.#areForwardersBelieved) return false
    if (this.#peer === undefined) return !this.#isHttp
    return isBelieved(this.#peer, this.#rules)
  }

  /** The SID of a request that nobody records, when the caller must not name it: the same for all its spans. */
  get ownSid(): string {
    this.#ownSid ??= randomUUID().replaceAll('-', '')
    return this.#ownSid
  }
}

export function withInbound(context: Context, inbound: Inbound): Context {
  return context.setValue(INBOUND, inbound)
}

/** Whoever wrote the code that called `extractContext` vouches for the carrier. */
export function withoutInbound(context: Context): Context {
  return context.deleteValue(INBOUND)
}

export function inboundOf(context: Context): Inbound | undefined {
  return context.getValue(INBOUND) as Inbound | undefined
}

function isBelieved(text: string, rules: IdentityPeerRules): boolean {
  const address = addressOf(text)
  if (rules.deny?.some((rule) => matchesHost(address, rule))) return false
  if (rules.allow?.some((rule) => matchesHost(address, rule))) return true
  return isPrivateAddress(address)
}

/** `10.0.0.1:80`, `"[::1]:80"`, `fe80::1%eth0`: the address alone. */
function addressOf(text: string): string {
  const bare = text.trim().replace(/^"|"$/g, '').replace(/%.*$/, '')
  if (isIP(bare) !== 0) return bare
  return bare
    .replace(/^\[([^\]]*)\](:\d+)?$/, '$1')
    .replace(/^([^:]*):\d+$/, '$1')
    .replace(/%.*$/, '')
}
