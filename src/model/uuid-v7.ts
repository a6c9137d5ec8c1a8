const HEX_32 = /^[0-9a-f]{32}$/
const VARIANT = '89ab'

/**
 * A UUID of version 7 (RFC 9562) as 32 lower-case hex digits without dashes: 48 bits of time, 74 random bits.
 * @param nowMs Unix milliseconds
 */
export function uuidV7(nowMs: number): string {
  // Node keeps random bytes in store for randomUUID, which makes it the cheapest source; its 122 random bits lie around digits 14 and 19.
  const random = crypto.randomUUID()
  const time = nowMs.toString(16).padStart(12, '0').slice(-12)
  return `${time}7${random.slice(15, 18)}${random.slice(19, 23)}${random.slice(24)}`
}

/** The time in a UUIDv7 in Unix milliseconds; `undefined` when the id is of another kind (ids from content are). */
export function uuidV7TimeMs(id: string): number | undefined {
  if (!HEX_32.test(id) || id[12] !== '7' || !VARIANT.includes(id.charAt(16))) return undefined
  return Number.parseInt(id.slice(0, 12), 16)
}
