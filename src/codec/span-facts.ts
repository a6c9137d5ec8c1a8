import { FLAG_HAS_IS_REMOTE, FLAG_IS_REMOTE } from '../model/span.ts'
import { isBefore, TimeClamp } from '../model/time.ts'
import { KeyHasher } from './hash.ts'
import { type KeyList, KeyTable } from './key-table.ts'

const STRIDE = 7
const KEY_LOW = 0
const KEY_HIGH = 1
const PARENT_LOW = 2
const PARENT_HIGH = 3
const TRACE = 4
const BITS = 5
const RECORD = 6

const IS_ERROR = 1
const HAS_LOCAL_PARENT = 2
const HAS_REMOTE_PARENT = 4

/** A span that is a root unless its remote parent turns up in the fragment. */
interface RootCandidate {
  span: number
  startHigh: number
  startLow: number
  name: string
}

/** A root span of a fragment. */
export interface SpanRoot {
  /** Clamped; Unix nanoseconds. */
  startTimeNs: bigint
  name: string
  /** Index of its record. */
  record: number
  /** Of a root with a remote parent: hash of (trace id, parent span id). */
  parentKey: bigint | undefined
}

export interface SpanKeyLists {
  span: KeyList
  error: KeyList
  missingParent: KeyList
  trace: KeyList
  rootedTrace: KeyList
}

/** The spans of a fragment as numbers: keys, edges, roots. Reused from fragment to fragment. */
export class SpanFacts {
  count = 0
  /** Bounds of the record that is being collected; {@link beginRecord} resets them. Halves of clamped Unix nanoseconds. */
  minHigh = 0
  minLow = 0
  maxHigh = 0
  maxLow = 0
  #rows = new Uint32Array(64 * STRIDE)
  #hasher = new KeyHasher()
  #clamp = new TimeClamp()
  #present = new KeyTable()
  #traces = new KeyTable()
  #traceIds: string[] = []
  #lastTrace = -1
  #roots: RootCandidate[] = []
  #rooted = new Uint8Array(64)
  #text: (b: Buffer, at: number, length: number) => string

  constructor(text: (b: Buffer, at: number, length: number) => string) {
    this.#text = text
  }

  reset(): void {
    this.count = 0
    this.#present.clear()
    this.#traces.clear()
    this.#traceIds.length = 0
    this.#lastTrace = -1
    this.#roots.length = 0
  }

  beginRecord(): void {
    this.minHigh = 0x7fffffff
    this.minLow = 0xffffffff
    this.maxHigh = 0
    this.maxLow = 0
  }

  /** @param parentAt position of the parent's span id, or −1 */
  add(
    b: Buffer,
    traceAt: number,
    spanAt: number,
    parentAt: number,
    flags: number,
    nameAt: number,
    nameLength: number,
    startHigh: number,
    startLow: number,
    endHigh: number,
    endLow: number,
    eventHigh: number,
    eventLow: number,
    isError: boolean,
    record: number,
  ): void {
    const hasher = this.#hasher
    if (hasher.setTrace(b, traceAt) || this.#lastTrace < 0) this.#setTrace(b, traceAt)
    const clamp = this.#clamp
    clamp.clamp(startHigh, startLow, endHigh, endLow, eventHigh, eventLow)
    this.#bound(clamp)

    const span = this.count++
    const at = span * STRIDE
    if (at + STRIDE > this.#rows.length) this.#grow()
    const rows = this.#rows
    let bits = isError ? IS_ERROR : 0
    if (parentAt < 0) {
      rows[at + PARENT_LOW] = 0
      rows[at + PARENT_HIGH] = 0
    } else {
      hasher.span(b, parentAt)
      rows[at + PARENT_LOW] = hasher.low
      rows[at + PARENT_HIGH] = hasher.high
      const isRemote = (flags & FLAG_HAS_IS_REMOTE) !== 0 && (flags & FLAG_IS_REMOTE) !== 0
      bits |= isRemote ? HAS_REMOTE_PARENT : HAS_LOCAL_PARENT
    }
    hasher.span(b, spanAt)
    rows[at + KEY_LOW] = hasher.low
    rows[at + KEY_HIGH] = hasher.high
    rows[at + TRACE] = this.#lastTrace
    rows[at + BITS] = bits
    rows[at + RECORD] = record
    this.#present.add(hasher.high, hasher.low)
    if ((bits & HAS_LOCAL_PARENT) === 0) {
      this.#roots.push({
        span,
        startHigh: clamp.startHigh,
        startLow: clamp.startLow,
        name: this.#text(b, nameAt, nameLength),
      })
    }
  }

  recordOf(span: number): number {
    return this.#rows[span * STRIDE + RECORD]!
  }

  /** Whether each trace id has a root, and every local parent is there. `remote`: only roots with a remote parent in some trace id. */
  completeness(): 'complete' | 'remote' | 'incomplete' {
    const rows = this.#rows
    for (let at = 0; at < this.count * STRIDE; at += STRIDE) {
      if (this.#isParentMissing(at)) return 'incomplete'
    }
    const rooted = this.#emptyRooted()
    for (const root of this.#roots) {
      const at = root.span * STRIDE
      if (!this.#isRoot(at)) continue
      const isRemote = (rows[at + BITS]! & HAS_REMOTE_PARENT) !== 0
      rooted[rows[at + TRACE]!] = Math.max(rooted[rows[at + TRACE]!]!, isRemote ? 1 : 2)
    }
    let result: 'complete' | 'remote' = 'complete'
    for (let trace = 0; trace < this.#traceIds.length; trace++) {
      if (rooted[trace] === 0) return 'incomplete'
      if (rooted[trace] === 1) result = 'remote'
    }
    return result
  }

  /** Puts the keys of the given spans (all, without them) into the lists; the trace ids that occur are returned, sorted. */
  list(spans: readonly number[] | undefined, into: SpanKeyLists): string[] {
    const rows = this.#rows
    const seen = this.#emptyRooted()
    const traceIds: string[] = []
    const count = spans?.length ?? this.count
    for (let i = 0; i < count; i++) {
      const at = (spans === undefined ? i : spans[i]!) * STRIDE
      into.span.push(rows[at + KEY_HIGH]!, rows[at + KEY_LOW]!)
      const bits = rows[at + BITS]!
      if ((bits & IS_ERROR) !== 0) into.error.push(rows[at + KEY_HIGH]!, rows[at + KEY_LOW]!)
      if (this.#isParentMissing(at)) into.missingParent.push(rows[at + PARENT_HIGH]!, rows[at + PARENT_LOW]!)
      const trace = rows[at + TRACE]!
      if (seen[trace] === 0) {
        seen[trace] = 1
        traceIds.push(this.#traceIds[trace]!)
        into.trace.push(this.#traces.highAt(trace), this.#traces.lowAt(trace))
      }
    }
    return traceIds.length > 1 ? traceIds.sort() : traceIds
  }

  /** Marks those trace ids of the given spans (all, without them) that have a root anywhere in the fragment; gives the roots in the records that `isWanted` names. */
  listRoots(
    spans: readonly number[] | undefined,
    isWanted: (record: number) => boolean,
    into: KeyList,
  ): SpanRoot[] {
    const rows = this.#rows
    const traces = spans && new Set(spans.map((span) => rows[span * STRIDE + TRACE]!))
    const found: SpanRoot[] = []
    for (const { span, startHigh, startLow, name } of this.#roots) {
      const at = span * STRIDE
      if (!this.#isRoot(at)) continue
      const trace = rows[at + TRACE]!
      if (traces === undefined || traces.has(trace))
        into.push(this.#traces.highAt(trace), this.#traces.lowAt(trace))
      const record = rows[at + RECORD]!
      if (!isWanted(record)) continue
      const isRemote = (rows[at + BITS]! & HAS_REMOTE_PARENT) !== 0
      found.push({
        startTimeNs: join(startHigh, startLow),
        name,
        record,
        parentKey: isRemote ? join(rows[at + PARENT_HIGH]!, rows[at + PARENT_LOW]!) : undefined,
      })
    }
    return found
  }

  #setTrace(b: Buffer, at: number): void {
    const hasher = this.#hasher
    hasher.trace()
    const trace = this.#traces.add(hasher.high, hasher.low)
    if (trace === this.#traceIds.length) this.#traceIds.push(b.toString('hex', at, at + 16))
    this.#lastTrace = trace
  }

  #bound(times: TimeClamp): void {
    if (isBefore(times.startHigh, times.startLow, this.minHigh, this.minLow)) {
      this.minHigh = times.startHigh
      this.minLow = times.startLow
    }
    if (isBefore(this.maxHigh, this.maxLow, times.endHigh, times.endLow)) {
      this.maxHigh = times.endHigh
      this.maxLow = times.endLow
    }
  }

  #isRoot(at: number): boolean {
    const bits = this.#rows[at + BITS]!
    if ((bits & HAS_REMOTE_PARENT) === 0) return (bits & HAS_LOCAL_PARENT) === 0
    return this.#present.find(this.#rows[at + PARENT_HIGH]!, this.#rows[at + PARENT_LOW]!) < 0
  }

  #isParentMissing(at: number): boolean {
    const rows = this.#rows
    if ((rows[at + BITS]! & HAS_LOCAL_PARENT) === 0) return false
    return this.#present.find(rows[at + PARENT_HIGH]!, rows[at + PARENT_LOW]!) < 0
  }

  #emptyRooted(): Uint8Array {
    const count = this.#traceIds.length
    if (this.#rooted.length < count) this.#rooted = new Uint8Array(count * 2)
    else this.#rooted.fill(0, 0, count)
    return this.#rooted
  }

  #grow(): void {
    const rows = new Uint32Array(this.#rows.length * 2)
    rows.set(this.#rows)
    this.#rows = rows
  }
}

function join(high: number, low: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low)
}
