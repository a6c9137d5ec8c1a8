import type { AnyValue } from '../../model/any-value.ts'
import { valueText } from './any-value-text.ts'
import type { KeyListener } from './attribute-writer.ts'

/** Column → attribute keys that fill it, the best first. */
export type KnownKeys = Readonly<Record<string, readonly string[]>>

const NOT_KNOWN = -1
const MAX_NAMES = 16

/**
 * Collects the attributes of a row that have a column of their own. A key is looked up once a block, by its index in the dictionary;
 * after that an attribute costs one array read. Of several keys for one column the best wins, of a repeated key the first.
 */
export class KnownFields implements KeyListener {
  readonly #roles: Map<string, number>
  readonly #byIndex: number[] = []
  readonly #values: (AnyValue | undefined)[]
  readonly #ranks: number[]
  readonly #touched: number[] = []

  constructor(known: KnownKeys) {
    const names = Object.values(known)
    this.#roles = new Map(
      names.flatMap((keys, slot) =>
        keys.map((key, rank): [string, number] => [key, slot * MAX_NAMES + rank]),
      ),
    )
    this.#values = names.map(() => undefined)
    this.#ranks = names.map(() => MAX_NAMES)
  }

  onEntry(keyIndex: number, key: string, value: AnyValue): void {
    let role = this.#byIndex[keyIndex]
    if (role === undefined) {
      role = this.#roles.get(key) ?? NOT_KNOWN
      this.#byIndex[keyIndex] = role
    }
    if (role === NOT_KNOWN) return
    const slot = Math.floor(role / MAX_NAMES)
    const rank = role % MAX_NAMES
    if (rank >= this.#ranks[slot]!) return
    if (this.#ranks[slot] === MAX_NAMES) this.#touched.push(slot)
    this.#ranks[slot] = rank
    this.#values[slot] = value
  }

  /** The value of a slot (its place in the keys given to the constructor) in this row. */
  value(slot: number): AnyValue | undefined {
    return this.#values[slot]
  }

  text(slot: number): string {
    const value = this.#values[slot]
    if (value === undefined) return ''
    return typeof value === 'string' ? value : valueText(value)
  }

  /** A whole number from an int, a double or a text of digits; 0n for everything else. */
  integer(slot: number): bigint {
    const value = this.#values[slot]
    if (value === undefined) return 0n
    if (typeof value === 'bigint') return value
    if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : 0n
    if (typeof value === 'string' && /^-?\d{1,15}$/.test(value)) return BigInt(value)
    return 0n
  }

  endRow(): void {
    for (const slot of this.#touched) {
      this.#values[slot] = undefined
      this.#ranks[slot] = MAX_NAMES
    }
    this.#touched.length = 0
  }

  /** Forgets the dictionary: its block was reset. */
  endBlock(): void {
    this.#byIndex.length = 0
  }
}
