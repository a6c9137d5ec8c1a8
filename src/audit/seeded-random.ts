/** A seeded source of random values: the same seed gives the same values on every machine. */
export class SeededRandom {
  #state: number

  constructor(...seeds: readonly number[]) {
    let state = 0x9e3779b9
    for (const seed of seeds) state = mix((state ^ seed) + 0x6d2b79f5)
    this.#state = state
  }

  /** In [0, 1), 32 bits of it (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    return mix(this.#state) / 0x1_0000_0000
  }

  /** A whole number in [lowest, highest]. */
  integer(lowest: number, highest: number): number {
    return lowest + Math.floor(this.next() * (highest - lowest + 1))
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[Math.floor(this.next() * items.length)]
    if (item === undefined) throw new Error('nothing to pick from')
    return item
  }

  /** That many bytes as lower-case hex, never all zero. */
  hex(bytes: number): string {
    let text = ''
    while (text.length < bytes * 2) text += this.integer(0, 0xffff).toString(16).padStart(4, '0')
    const cut = text.slice(0, bytes * 2)
    return /^0+$/.test(cut) ? `${cut.slice(1)}1` : cut
  }
}

function mix(state: number): number {
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return (mixed ^ (mixed >>> 14)) >>> 0
}
