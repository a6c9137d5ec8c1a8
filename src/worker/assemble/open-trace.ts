/** What the closing rule needs of a record; `TraceRecord` is the real one. */
export interface TraceEntry {
  readonly byteLength: number
  readonly rowCount: number
  /** Memory of the record's headers. */
  readonly headerBytes: number
}

/** Heap that an open trace and each of its records cost beside the record's bytes: counted, so that a flood of tiny traces is bounded too. */
export const TRACE_OVERHEAD_BYTES = 900
export const RECORD_OVERHEAD_BYTES = 250

/**
 * A trace that is being assembled: its records and the few figures that decide when it closes. Times are stream time
 * (the highest append time of the task when the record came), so that they never go back.
 */
export class OpenTrace<R extends TraceEntry> {
  readonly sid: string
  readonly isLate: boolean
  readonly firstMs: number
  lastMs: number
  readonly records: R[] = []
  byteLength = 0
  rowCount = 0
  headerBytes = 0
  /** What the look at its quiet time said; `null` = not looked at since its last record. */
  isCompleteIfIdle: boolean | null = null
  /** Its place among the open traces by age, and by last record. */
  readonly byAge: Link<OpenTrace<R>> = new Link<OpenTrace<R>>(this)
  readonly byLast: Link<OpenTrace<R>> = new Link<OpenTrace<R>>(this)

  constructor(sid: string, firstMs: number, isLate: boolean) {
    this.sid = sid
    this.firstMs = firstMs
    this.lastMs = firstMs
    this.isLate = isLate
  }

  /** Memory that this trace is charged with. */
  get heldBytes(): number {
    const overhead = TRACE_OVERHEAD_BYTES + this.records.length * RECORD_OVERHEAD_BYTES
    return overhead + this.byteLength + this.headerBytes
  }
}

/** A place in a {@link Lane}. */
export class Link<T> {
  readonly owner: T
  previous: Link<T> | null = null
  next: Link<T> | null = null

  constructor(owner: T) {
    this.owner = owner
  }
}

/** A queue that is linked through its members: to add, to take out and to look at the first cost the same however many there are. */
export class Lane<T> {
  #head: Link<T> | null = null
  #tail: Link<T> | null = null

  get first(): T | null {
    return this.#head === null ? null : this.#head.owner
  }

  push(link: Link<T>): void {
    link.previous = this.#tail
    link.next = null
    if (this.#tail === null) this.#head = link
    else this.#tail.next = link
    this.#tail = link
  }

  remove(link: Link<T>): void {
    if (link.previous === null) this.#head = link.next
    else link.previous.next = link.next
    if (link.next === null) this.#tail = link.previous
    else link.next.previous = link.previous
    link.previous = null
    link.next = null
  }
}
