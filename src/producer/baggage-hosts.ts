import { BlockList, isIP } from 'node:net'

export interface BaggageHostRules {
  /** Hosts that get the baggage beside those of the default: a name, `.suffix` (the name and all below it), or `*` for all. */
  readonly allow?: readonly string[]
  /** Hosts that never get it. Goes before everything else. */
  readonly deny?: readonly string[]
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
export function mayReceiveBaggage(host: string | undefined, rules: BaggageHostRules = {}): boolean {
  if (host === undefined) return false
  const name = host
    .trim()
    .toLowerCase()
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
  if (name === '') return false
  if (rules.deny?.some((rule) => matches(name, rule))) return false
  if (rules.allow?.some((rule) => matches(name, rule))) return true
  const family = isIP(name)
  // The list takes IPv4 addresses in IPv6 clothes (::ffff:10.0.0.1) for what they are.
  if (family !== 0) return privateAddresses.check(name, family === 4 ? 'ipv4' : 'ipv6')
  if (PRIVATE_SUFFIXES.some((suffix) => name.endsWith(suffix))) return true
  // A label begins with a letter: "134744072" and "0x8080808" are public addresses in disguise.
  return /^[a-z][a-z0-9_-]*$/.test(name)
}

function matches(name: string, rule: string): boolean {
  const wanted = rule.trim().toLowerCase()
  if (wanted === '*') return true
  const suffix = wanted.startsWith('*.') ? wanted.slice(1) : wanted
  return suffix.startsWith('.') ? name.endsWith(suffix) || name === suffix.slice(1) : name === wanted
}
