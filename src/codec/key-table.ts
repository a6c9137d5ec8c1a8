const FIRST_SLOTS = 64

/**
 * A set of 64-bit keys, given as two unsigned 32-bit halves. Each key has an index: its place in the order of arrival. Reused: `clear`
 * costs what the last contents did, not what the largest ever did, so that one large trace does not make all later ones slow.
 */
export class KeyTable {
  size = 0
  #halves = new Uint32Array(FIRST_SLOTS)
  #slots = new Int32Array(FIRST_SLOTS)
  #mask = FIRST_SLOTS - 1

  clear(): void {
    if (this.size === 0) return
    this.#slots.fill(0, 0, this.#mask + 1)
    this.#mask = FIRST_SLOTS - 1
    this.size = 0
  }

  /** Index of the key; a new one when it was not there (then it equals the former `size`). */
  add(high: number, low: number): number {
    if (this.size * 2 > this.#mask) this.#grow()
    const slot = this.#slotOf(high, low)
    const found = this.#slots[slot]!
    if (found !== 0) return found - 1
    const index = this.size++
    this.#slots[slot] = this.size
    this.#halves[index * 2] = low
    this.#halves[index * 2 + 1] = high
    return index
  }

  /** Index of the key, or −1. */
  find(high: number, low: number): number {
    return this.#slots[this.#slotOf(high, low)]! - 1
  }

  highAt(index: number): number {
    return this.#halves[index * 2 + 1]!
  }

  lowAt(index: number): number {
    return this.#halves[index * 2]!
  }

  /** The slot that holds the key, or the empty one where it would go. */
  #slotOf(high: number, low: number): number {
    const slots = this.#slots
    const halves = this.#halves
    const mask = this.#mask
    for (let slot = (low ^ high) & mask; ; slot = (slot + 1) & mask) {
      const entry = slots[slot]!
      if (entry === 0) return slot
      if (halves[entry * 2 - 2] === low && halves[entry * 2 - 1] === high) return slot
    }
  }

  #grow(): void {
    const capacity = (this.#mask + 1) * 2
    if (this.#slots.length < capacity) {
      this.#slots = new Int32Array(capacity)
      const halves = new Uint32Array(capacity)
      halves.set(this.#halves)
      this.#halves = halves
    } else {
      this.#slots.fill(0, 0, capacity)
    }
    this.#mask = capacity - 1
    for (let index = 0; index < this.size; index++) {
      this.#slots[this.#slotOf(this.highAt(index), this.lowAt(index))] = index + 1
    }
  }
}

const NO_KEYS = new BigUint64Array(0)
/** Below this the call into the runtime costs more than sorting here. */
const SORT_HERE = 24

/** Keys of one page of results. */
const PAGE_KEYS = 4096
/** Lists up to this length share pages: memory of its own costs a short list more than all else. */
const MAX_SHARED_KEYS = 512

/** Collects keys and gives them out sorted, each once. Reused. */
export class KeyList {
  #keys = new BigUint64Array(64)
  #halves = new Uint32Array(this.#keys.buffer)
  #count = 0
  #page = NO_KEYS
  #pageHalves = new Uint32Array(0)
  #pageUsed = 0

  push(high: number, low: number): void {
    if (this.#count === this.#keys.length) this.#grow()
    this.#halves[this.#count * 2] = low
    this.#halves[this.#count * 2 + 1] = high
    this.#count++
  }

  /** The keys so far, as an array of their own; the list is empty then. */
  take(): BigUint64Array {
    if (this.#count === 0) return NO_KEYS
    if (this.#count <= SORT_HERE) this.#insertionSort()
    else this.#keys.subarray(0, this.#count).sort()
    const halves = this.#halves
    let kept = 1
    for (let i = 1; i < this.#count; i++) {
      const low = halves[i * 2]!
      const high = halves[i * 2 + 1]!
      if (low === halves[kept * 2 - 2] && high === halves[kept * 2 - 1]) continue
      halves[kept * 2] = low
      halves[kept * 2 + 1] = high
      kept++
    }
    this.#count = 0
    return kept > MAX_SHARED_KEYS ? this.#keys.slice(0, kept) : this.#copyToPage(kept)
  }

  /** A page lives as long as any list in it. */
  #copyToPage(count: number): BigUint64Array {
    if (this.#pageUsed + count > this.#page.length) {
      this.#page = new BigUint64Array(PAGE_KEYS)
      this.#pageHalves = new Uint32Array(this.#page.buffer)
      this.#pageUsed = 0
    }
    const from = this.#pageUsed
    this.#pageUsed += count
    // By halves: a key as a number of its own would be an object.
    for (let i = 0; i < count * 2; i++) this.#pageHalves[from * 2 + i] = this.#halves[i]!
    return this.#page.subarray(from, this.#pageUsed)
  }

  #insertionSort(): void {
    const halves = this.#halves
    for (let i = 1; i < this.#count; i++) {
      const low = halves[i * 2]!
      const high = halves[i * 2 + 1]!
      let j = i - 1
      while (j >= 0 && (halves[j * 2 + 1]! > high || (halves[j * 2 + 1] === high && halves[j * 2]! > low))) {
        halves[j * 2 + 2] = halves[j * 2]!
        halves[j * 2 + 3] = halves[j * 2 + 1]!
        j--
      }
      halves[j * 2 + 2] = low
      halves[j * 2 + 3] = high
    }
  }

  #grow(): void {
    const keys = new BigUint64Array(this.#keys.length * 2)
    keys.set(this.#keys)
    this.#keys = keys
    this.#halves = new Uint32Array(keys.buffer)
  }
}
