import { ID_LOOKUP_COLUMNS } from '../../storage/clickhouse/columns.ts'
import { Block } from './native/block.ts'
import type { ChunkPool } from './native/chunk-pool.ts'
import { receivedAtNs } from './record-context.ts'
import { TimeBounds } from './time-bounds.ts'

const KINDS = ['sid', 'trace', 'chat', 'uid'] as const
export type LookupKind = (typeof KINDS)[number]
const SID = 0
const TRACE = 1
const CHAT = 2
const UID = 3

const TRACE_ID_BYTES = 16
/** Ids of one SID and app that are looked through for an equal one. More make a second row for some id, which the table merges. */
const MAX_ENTRIES = 64

/** Where a record has what its ids say: positions and lengths in UTF-8. */
export interface LookupText {
  sidAt: number
  sidLength: number
  appAt: number
  appLength: number
  uidAt: number
  uidLength: number
  chatAt: number
  chatLength: number
}

export function noLookupText(): LookupText {
  return {
    sidAt: 0,
    sidLength: 0,
    appAt: 0,
    appLength: 0,
    uidAt: 0,
    uidLength: 0,
    chatAt: 0,
    chatLength: 0,
  }
}

/** An id of the SID at hand, with its place in `#text`. */
class Entry {
  kind = SID
  start = 0
  end = 0
  readonly times = new TimeBounds()
  minReceivedAtMs = 0
  maxReceivedAtMs = 0
}

/**
 * Fills a block of `id_lookup`. Records of one SID and app that follow one another, as those of a trace do, make one row an id; what they
 * say apart is merged by the table.
 */
export class LookupRows {
  readonly block: Block<typeof ID_LOOKUP_COLUMNS>
  /** App and SID at hand, then its ids. */
  #text = Buffer.alloc(4096)
  #textLength = 0
  #appLength = 0
  #sidLength = 0
  readonly #entries: Entry[] = []
  #count = 0
  /** Trace ids of the record at hand. */
  #traces = Buffer.alloc(TRACE_ID_BYTES * 16)
  #traceCount = 0
  readonly #place = noLookupText()
  #ofMs = Number.NaN
  #ofNs = 0n

  constructor(pool: ChunkPool) {
    this.block = new Block(ID_LOOKUP_COLUMNS, pool)
  }

  /** A trace id (16 bytes at `at`) of the record that {@link addRecord} names next. */
  addTrace(b: Uint8Array, at: number): void {
    const traces = this.#traces
    const last = (this.#traceCount - 1) * TRACE_ID_BYTES
    if (last >= 0 && isEqual(traces, last, b, at, TRACE_ID_BYTES)) return
    const end = last + TRACE_ID_BYTES * 2
    if (end > traces.length) this.#traces = Buffer.concat([traces, Buffer.alloc(traces.length)])
    copy(b, at, TRACE_ID_BYTES, this.#traces, last + TRACE_ID_BYTES)
    this.#traceCount++
  }

  /** @param times bounds of the rows' `t` */
  addRecord(b: Buffer, text: LookupText, times: TimeBounds, receivedAtMs: number): void {
    const { sidAt, sidLength, appAt, appLength, uidAt, uidLength, chatAt, chatLength } = text
    if (!this.#isAtHand(b, appAt, appLength, sidAt, sidLength)) {
      this.#flush()
      this.#appLength = this.#keep(b, appAt, appLength)
      this.#sidLength = this.#keep(b, sidAt, sidLength)
    }
    this.#touch(SID, b, sidAt, sidLength, times, receivedAtMs)
    for (let i = 0; i < this.#traceCount; i++) {
      this.#touch(TRACE, this.#traces, i * TRACE_ID_BYTES, TRACE_ID_BYTES, times, receivedAtMs)
    }
    if (chatLength > 0) this.#touch(CHAT, b, chatAt, chatLength, times, receivedAtMs)
    if (uidLength > 0) this.#touch(UID, b, uidAt, uidLength, times, receivedAtMs)
    this.#traceCount = 0
  }

  /** As {@link addRecord}, from texts and hex. */
  add(
    ids: { sid: string; appId: string; uid: string; chatId: string; traceIds: readonly string[] },
    times: TimeBounds,
    receivedAtMs: number,
  ): void {
    for (const id of ids.traceIds) this.addTrace(Buffer.from(id, 'hex'), 0)
    const parts = [ids.sid, ids.appId, ids.uid, ids.chatId].map((part) => Buffer.from(part, 'utf8'))
    const place = this.#place
    place.sidLength = parts[0]!.length
    place.appAt = place.sidLength
    place.appLength = parts[1]!.length
    place.uidAt = place.appAt + place.appLength
    place.uidLength = parts[2]!.length
    place.chatAt = place.uidAt + place.uidLength
    place.chatLength = parts[3]!.length
    this.addRecord(Buffer.concat(parts), place, times, receivedAtMs)
  }

  /** Writes what is still at hand into the block. Call once, after the last record. */
  fill(): void {
    this.#flush()
  }

  reset(): void {
    this.block.reset()
    this.#textLength = 0
    this.#count = 0
    this.#traceCount = 0
  }

  #isAtHand(b: Buffer, appAt: number, appLength: number, sidAt: number, sidLength: number): boolean {
    return (
      this.#count > 0 &&
      this.#count < MAX_ENTRIES &&
      this.#sidLength === sidLength &&
      this.#appLength === appLength &&
      isEqual(this.#text, appLength, b, sidAt, sidLength) &&
      isEqual(this.#text, 0, b, appAt, appLength)
    )
  }

  #touch(
    kind: number,
    b: Uint8Array,
    at: number,
    length: number,
    times: TimeBounds,
    receivedAtMs: number,
  ): void {
    const entry = this.#entry(kind, b, at, length, receivedAtMs)
    entry.times.include(times.minHigh, times.minLow)
    entry.times.include(times.maxHigh, times.maxLow)
    if (receivedAtMs < entry.minReceivedAtMs) entry.minReceivedAtMs = receivedAtMs
    if (receivedAtMs > entry.maxReceivedAtMs) entry.maxReceivedAtMs = receivedAtMs
  }

  #entry(kind: number, b: Uint8Array, at: number, length: number, receivedAtMs: number): Entry {
    const searched = Math.min(this.#count, MAX_ENTRIES)
    for (let i = 0; i < searched; i++) {
      const entry = this.#entries[i]!
      if (entry.kind === kind && entry.end - entry.start === length) {
        if (isEqual(this.#text, entry.start, b, at, length)) return entry
      }
    }
    const place = this.#count++
    let entry = this.#entries[place]
    if (entry === undefined) {
      entry = new Entry()
      this.#entries.push(entry)
    }
    entry.kind = kind
    entry.start = this.#textLength
    entry.end = entry.start + this.#keep(b, at, length)
    entry.times.reset()
    entry.minReceivedAtMs = receivedAtMs
    entry.maxReceivedAtMs = receivedAtMs
    return entry
  }

  /** Copies bytes into `#text`; returns their length. */
  #keep(b: Uint8Array, at: number, length: number): number {
    const end = this.#textLength + length
    if (end > this.#text.length) this.#text = Buffer.concat([this.#text, Buffer.alloc(end)])
    copy(b, at, length, this.#text, this.#textLength)
    this.#textLength = end
    return length
  }

  #flush(): void {
    const c = this.block.columns
    const text = this.#text
    const count = this.#count
    const sidEnd = this.#appLength + this.#sidLength
    for (let i = 0; i < count; i++) {
      const { kind, start, end, times, minReceivedAtMs, maxReceivedAtMs } = this.#entries[i]!
      if (kind === TRACE) c.id.pushHex(text, start, TRACE_ID_BYTES)
      else c.id.pushUtf8(text, start, end)
      c.kind.pushString(KINDS[kind]!)
      c.app_id.pushBytes(text, 0, this.#appLength)
      c.sid.pushUtf8(text, this.#appLength, sidEnd)
      c.min_time.pushHalves(times.minHigh, times.minLow)
      c.max_time.pushHalves(times.maxHigh, times.maxLow)
      c.min_received_at.push(this.#ns(minReceivedAtMs))
      c.max_received_at.push(this.#ns(maxReceivedAtMs))
    }
    this.block.endRows(count)
    this.#count = 0
    this.#textLength = 0
  }

  #ns(ms: number): bigint {
    if (ms !== this.#ofMs) {
      this.#ofMs = ms
      this.#ofNs = receivedAtNs(ms)
    }
    return this.#ofNs
  }
}

function copy(from: Uint8Array, at: number, length: number, to: Uint8Array, target: number): void {
  for (let i = 0; i < length; i++) to[target + i] = from[at + i]!
}

function isEqual(a: Uint8Array, at: number, b: Uint8Array, start: number, length: number): boolean {
  for (let i = 0; i < length; i++) {
    if (a[at + i] !== b[start + i]) return false
  }
  return true
}
