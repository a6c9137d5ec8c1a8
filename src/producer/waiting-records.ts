/** What has a place in the order in which it was accepted. */
export interface Numbered {
  readonly number: number
}

/** Taken from the front of a list without moving the rest each time. */
class Front<T> {
  #items: (T | undefined)[] = []
  #start = 0

  get length(): number {
    return this.#items.length - this.#start
  }

  get first(): T | undefined {
    return this.#items[this.#start]
  }

  push(item: T): void {
    this.#items.push(item)
  }

  shift(): T | undefined {
    const item = this.#items[this.#start]
    if (item === undefined) return undefined
    // The place may stay for a while; what it held must not.
    this.#items[this.#start] = undefined
    this.#start += 1
    if (this.#start >= 1_024 && this.#start * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#start)
      this.#start = 0
    }
    return item
  }

  unshift(items: readonly T[]): void {
    this.#items = [...items, ...this]
    this.#start = 0
  }

  /** Inserts before the first item that `isAfter`; most often that is the end. */
  insert(item: T, isAfter: (other: T) => boolean): void {
    let place = this.#items.length
    while (place > this.#start && isAfter(this.#items[place - 1]!)) place -= 1
    this.#items.splice(place, 0, item)
  }

  keep(isKept: (item: T) => boolean): void {
    if (this.length === 0) return
    this.#items = [...this].filter(isKept)
    this.#start = 0
  }

  *[Symbol.iterator](): Generator<T> {
    for (let place = this.#start; place < this.#items.length; place++) yield this.#items[place]!
  }
}

/**
 * Records that wait, in the order of their numbers. What comes back after a failure was taken before all that was never taken, so it has a list
 * of its own in front. On average no call takes longer the more records wait: there may be tens of thousands, and it is the service’s time.
 */
export class WaitingRecords<T extends Numbered> {
  readonly #returned = new Front<T>()
  readonly #fresh = new Front<T>()

  get length(): number {
    return this.#returned.length + this.#fresh.length
  }

  get first(): T | undefined {
    return this.#returned.first ?? this.#fresh.first
  }

  /** Adds a record that is newer than all others. */
  add(record: T): void {
    this.#fresh.push(record)
  }

  /** Puts records back in front that `shiftFresh` gave. */
  putBackFresh(records: readonly T[]): void {
    this.#fresh.unshift(records)
  }

  /** Puts a record back that `shift` gave. */
  putBack(record: T): void {
    this.#returned.insert(record, (other) => other.number > record.number)
  }

  shift(): T | undefined {
    return this.#returned.shift() ?? this.#fresh.shift()
  }

  /** The first of those that were put back; all that were never taken are newer. */
  get firstReturned(): T | undefined {
    return this.#returned.first
  }

  get returned(): Iterable<T> {
    return this.#returned
  }

  /** Those that were never taken. */
  get fresh(): Iterable<T> {
    return this.#fresh
  }

  get firstFresh(): T | undefined {
    return this.#fresh.first
  }

  shiftFresh(): T | undefined {
    return this.#fresh.shift()
  }

  /** Takes out those of the returned for which `isWanted` is true. */
  takeReturned(isWanted: (record: T) => boolean): T[] {
    const taken: T[] = []
    this.#returned.keep((record) => {
      const isTaken = isWanted(record)
      if (isTaken) taken.push(record)
      return !isTaken
    })
    return taken
  }

  *[Symbol.iterator](): Generator<T> {
    yield* this.#returned
    yield* this.#fresh
  }
}
