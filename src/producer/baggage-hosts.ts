import { BlockList, isIP } from 'node:net'
import { SiderealError } from '../model/errors.ts'

/** Hosts, each a name, `.suffix` (the name and all below it), `10.1.0.0/16`, or `*` for all. */
export interface HostRules {
  readonly allow?: readonly string[]
  readonly deny?: readonly string[]
}

/** Which hosts get which entries of the baggage. */
export interface BaggageHostRules extends HostRules {
  /** Hosts that get the baggage beside those of the default: a name, `.suffix` (the name and all below it), `10.1.0.0/16`, or `*` for all. */
  readonly allow?: readonly string[]
  /** Hosts that never get it. Goes before everything else. */
  readonly deny?: readonly string[]
  /** Hosts that get entries of these names alone, whether or not they are in `allow`: `{ '.partner.example': ['sid'], 'apm.vendor.example': ['vendor.session'] }`. The first that is meant counts. */
  readonly entries?: Readonly<Record<string, readonly string[]>>
}

const PRIVATE_SUFFIXES = ['.local', '.internal', '.svc', '.cluster.local', '.localhost']

const privateAddresses = new BlockList()
for (const [address, prefix] of [
  ['127.0.0.0', 8],
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
] as const) {
  privateAddresses.addSubnet(address, prefix, 'ipv4')
}
privateAddresses.addAddress('::1', 'ipv6')
privateAddresses.addSubnet('fc00::', 7, 'ipv6')
privateAddresses.addSubnet('fe80::', 10, 'ipv6')

/**
 * Whether a host may learn who a request belongs to. By default: loopback, private addresses, names of a single label, and names
 * under `.local`, `.internal`, `.svc`, `.cluster.local`. An unknown host may not.
 */
export function mayReceiveBaggage(host: string | undefined, rules: HostRules = {}): boolean {
  const name = nameOf(host)
  if (name === '') return false
  if (rules.deny?.some((rule) => matchesHost(name, rule))) return false
  if (rules.allow?.some((rule) => matchesHost(name, rule))) return true
  if (isIP(name) !== 0) return isPrivateAddress(name)
  if (PRIVATE_SUFFIXES.some((suffix) => name.endsWith(suffix))) return true
  // A label begins with a letter: "134744072" and "0x8080808" are public addresses in disguise.
  return /^[a-z][a-z0-9_-]*$/.test(name)
}

/** The names of the entries that a host may get: all of them where it may get the baggage and no rule says which. */
export function entriesFor(host: string | undefined, rules: BaggageHostRules): readonly string[] | 'all' {
  const name = nameOf(host)
  if (name !== '' && !rules.deny?.some((rule) => matchesHost(name, rule)))
    for (const [rule, names] of Object.entries(rules.entries ?? {})) if (matchesHost(name, rule)) return names
  return mayReceiveBaggage(host, rules) ? 'all' : []
}

/** Empty when it is not known. */
function nameOf(host: string | undefined): string {
  return (host ?? '')
    .trim()
    .toLowerCase()
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
}

/** Loopback and private addresses of both families. */
export function isPrivateAddress(address: string): boolean {
  return isIn(privateAddresses, address)
}

/** Whether a host is one that a rule of an `allow` or `deny` list means. */
export function matchesHost(name: string, rule: string): boolean {
  const wanted = rule.trim().toLowerCase().replace(/\.$/, '')
  if (wanted === '*') return true
  const network = networkOf(wanted)
  if (network !== undefined) return isIn(network, name)
  const suffix = wanted.startsWith('*.') ? wanted.slice(1) : wanted
  return suffix.startsWith('.') ? name.endsWith(suffix) || name === suffix.slice(1) : name === wanted
}

/** False for what looks like a network and is none: it matches nobody, which is not what whoever denies it means. */
export function isRule(rule: string): boolean {
  return !rule.includes('/') || networkOf(rule.trim()) !== undefined
}

/** @throws SiderealError SIDEREAL_CONFIG_INVALID for lists that are none, and for networks that are none: they match nobody */
export function checkRules(name: string, { allow, deny, entries }: BaggageHostRules = {}): void {
  const isObject = typeof entries === 'object' && entries !== null && !Array.isArray(entries)
  if (entries !== undefined && !(isObject && Object.values(entries).every(isTextList)))
    throw invalid(`${name}.entries is no object of hosts, each with a list of names of entries`)
  const hosts = entries === undefined ? undefined : Object.keys(entries)
  for (const [list, rules] of Object.entries({ allow, deny, entries: hosts })) {
    if (rules === undefined) continue
    if (!isTextList(rules)) throw invalid(`${name}.${list} is no list of names, addresses and networks`)
    const wrong = rules.find((rule) => !isRule(rule))
    if (wrong !== undefined) throw invalid(`${name}.${list}: ${wrong} is no network such as 10.1.0.0/16`)
  }
}

export function isTextList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

function invalid(message: string): SiderealError {
  return new SiderealError('SIDEREAL_CONFIG_INVALID', message)
}

/** A network, or an address as one of its own, which may be written in several ways; undefined for anything else. */
function networkOf(text: string): BlockList | undefined {
  const [address = '', bits, ...further] = text.split('/')
  const family = isIP(address)
  const most = family === 4 ? 32 : 128
  const length = bits === undefined ? most : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN
  if (family === 0 || further.length > 0 || !(length <= most)) return undefined
  const list = new BlockList()
  list.addSubnet(address, length, family === 4 ? 'ipv4' : 'ipv6')
  return list
}

// A list takes IPv4 addresses in IPv6 clothes (::ffff:10.0.0.1) for what they are.
function isIn(list: BlockList, address: string): boolean {
  const family = isIP(address)
  return family !== 0 && list.check(address, family === 4 ? 'ipv4' : 'ipv6')
}
