/**
 * The SIDs that a task closed lately, in bounded memory: two generations of 64-bit hashes in open-addressing tables. When the
 * young generation is full it becomes the old one, and the old one is forgotten; so the last `capacity / 2` SIDs are always
 * known, and never more than `capacity`. What is in it depends on the order of `add` alone. A chance equality of two hashes
 * (one in 2^53) only makes a fragment `late` that was not.
 */
export class RecentSids {
  readonly #perGeneration: number
  #young: SidTable
  #old: SidTable

  /** @param capacity SIDs; default 32,768, half a megabyte when full. */
  constructor(capacity = 32_768) {
    this.#perGeneration = Math.max(1, capacity >>> 1)
    this.#young = new SidTable()
    this.#old = new SidTable()
  }

  add(sid: string): void {
    this.#young.add(hashOf(sid))
    if (this.#young.size < this.#perGeneration) return
    this.#old = this.#young
    this.#young = new SidTable()
  }

  has(sid: string): boolean {
    const hash = hashOf(sid)
    return this.#young.has(hash) || this.#old.has(hash)
  }
}

class SidTable {
  size = 0
  #slots = new Float64Array(256)

  has(hash: number): boolean {
    return this.#slots[this.#slotOf(hash)] === hash
  }

  add(hash: number): void {
    const slot = this.#slotOf(hash)
    if (this.#slots[slot] === hash) return
    this.#slots[slot] = hash
    this.size += 1
    if (this.size * 2 > this.#slots.length) this.#grow()
  }

  /** The slot that holds the hash, else the empty one where it belongs. */
  #slotOf(hash: number): number {
    const slots = this.#slots
    const mask = slots.length - 1
    let slot = hash & mask
    while (slots[slot] !== 0 && slots[slot] !== hash) slot = (slot + 1) & mask
    return slot
  }

  #grow(): void {
    const full = this.#slots
    this.#slots = new Float64Array(full.length * 2)
    for (const hash of full) if (hash !== 0) this.#slots[this.#slotOf(hash)] = hash
  }
}

/** 53 bits over the UTF-16 units (two multiplicative hashes in one pass, as cyrb53), never 0, which means an empty slot. */
function hashOf(sid: string): number {
  let a = 0xdeadbeef
  let b = 0x41c6ce57
  for (let i = 0; i < sid.length; i++) {
    const unit = sid.charCodeAt(i)
    a = Math.imul(a ^ unit, 2654435761)
    b = Math.imul(b ^ unit, 1597334677)
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909)
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909)
  return 4294967296 * (2097151 & b) + (a >>> 0) || 1
}
