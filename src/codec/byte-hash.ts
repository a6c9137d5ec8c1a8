import { randomInt } from 'node:crypto'

/** FNV is not seeded by itself: a random start keeps a sender from choosing keys that all meet in one slot. */
const SEED = randomInt(0x1_0000_0000) | 0

export function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = SEED
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193)
  return (hash ^ (hash >>> 15)) >>> 0
}
