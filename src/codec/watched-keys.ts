import { SiderealError } from '../model/errors.ts'

/** Keys that inspection looks for, by where they stand. Compared byte by byte: case counts. */
export interface WatchedKeys {
  /** Of spans, events, links and scopes, and of the key-value lists in their values. */
  readonly attributes?: readonly string[]
  /** Of resources, and of the key-value lists in their values. */
  readonly resource?: readonly string[]
  /** Of NodeTraceLogs: service and extra fields, and the data of nodes (input, output, configuration). */
  readonly log?: readonly string[]
}

/** A key of the set. Its index is its place in the list of {@link listWatchedKeys}. */
export interface WatchedKey {
  readonly place: keyof WatchedKeys
  readonly key: string
}

/** Bits of {@link KeyHits}. */
const MAX_KEYS = 1024
/** Positions that are kept of one record: what a sender repeats must not grow without bound. */
const MAX_POSITIONS = 4096

const PLACES = ['attributes', 'resource', 'log'] as const

/**
 * The set in the order of its indexes: attributes, resource, log.
 * @throws SiderealError `SIDEREAL_CONFIG_INVALID` for an empty key, one that comes twice at a place, or more than 1,024
 */
export function listWatchedKeys(keys: WatchedKeys): readonly WatchedKey[] {
  const list = PLACES.flatMap((place) => (keys[place] ?? []).map((key): WatchedKey => ({ place, key })))
  const seen = new Set<string>()
  for (const { place, key } of list) {
    if (key === '') throw invalid(`a watched key of ${place} is empty`)
    if (seen.has(`${place} ${key}`)) throw invalid(`the watched key "${key}" of ${place} is there twice`)
    seen.add(`${place} ${key}`)
  }
  if (list.length > MAX_KEYS) throw invalid(`${list.length} keys are watched; ${MAX_KEYS} are allowed`)
  return list
}

function invalid(message: string): SiderealError {
  return new SiderealError('SIDEREAL_CONFIG_INVALID', message)
}

/**
 * Finds keys by their bytes, without making strings. Length, first and last byte say which keys of the set it may be: mostly none, so most
 * keys of a record cost three reads. A sender gains nothing by choosing keys that meet in one slot, since only the set fills the slots.
 */
export class KeyFinder {
  /** Index of the first candidate of a slot; −1 = none. */
  readonly #slots = new Int16Array(256).fill(-1)
  readonly #next: Int16Array
  readonly #keys: readonly (Buffer | undefined)[]

  /** @param keys the whole set; only those of `place` are found, by their index in it */
  constructor(keys: readonly WatchedKey[], place: WatchedKey['place']) {
    this.#next = new Int16Array(keys.length)
    this.#keys = keys.map((each) => (each.place === place ? Buffer.from(each.key) : undefined))
    this.#keys.forEach((key, index) => {
      if (key === undefined) return
      const slot = slotOf(key, 0, key.length)
      this.#next[index] = this.#slots[slot]!
      this.#slots[slot] = index
    })
  }

  /** Index of the key in the set, or −1. */
  find(b: Uint8Array, at: number, length: number): number {
    if (length === 0) return -1
    let index = this.#slots[slotOf(b, at, length)]!
    while (index >= 0 && !isEqual(this.#keys[index]!, b, at, length)) index = this.#next[index]!
    return index
  }
}

function slotOf(b: Uint8Array, at: number, length: number): number {
  return (Math.imul(length, 37) + Math.imul(b[at]!, 5) + b[at + length - 1]!) & 255
}

function isEqual(key: Uint8Array, b: Uint8Array, at: number, length: number): boolean {
  if (key.length !== length) return false
  for (let i = 0; i < length; i++) {
    if (key[i] !== b[at + i]) return false
  }
  return true
}

/**
 * Which keys of the set one record has, and where their values lie. Filled by `RecordType.inspect` and reused between records. Positions count
 * from the start of the Avro value, so they hold wherever the record is copied to.
 */
export class KeyHits {
  /** Occurrences whose position is kept: in the order of their ends, so what is nested in a value comes before it. */
  count = 0
  /** True when there were more than 4,096: {@link has} knows them all the same. */
  isCut = false
  readonly #bits = new Uint32Array(MAX_KEYS / 32)
  readonly #indexes: number[] = []
  readonly #starts: number[] = []
  readonly #ends: number[] = []

  clear(): void {
    if (this.count === 0) return
    this.#bits.fill(0)
    this.count = 0
    this.isCut = false
  }

  add(index: number, start: number, end: number): void {
    this.#bits[index >>> 5]! |= 1 << (index & 31)
    if (this.count === MAX_POSITIONS) {
      this.isCut = true
      return
    }
    this.#indexes[this.count] = index
    this.#starts[this.count] = start
    this.#ends[this.count] = end
    this.count += 1
  }

  /** Whether the key of this index occurs. */
  has(index: number): boolean {
    return (this.#bits[index >>> 5]! & (1 << (index & 31))) !== 0
  }

  /** Index of the key of the n-th occurrence. */
  indexAt(n: number): number {
    return this.#indexes[n]!
  }

  /** First byte of its value as the writer wrote it: the tag of the union is part of it. */
  valueStartAt(n: number): number {
    return this.#starts[n]!
  }

  valueEndAt(n: number): number {
    return this.#ends[n]!
  }
}
