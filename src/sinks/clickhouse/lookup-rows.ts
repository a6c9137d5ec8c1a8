import { ID_LOOKUP_COLUMNS } from '../../storage/clickhouse/columns.ts'
import { Block } from './native/block.ts'
import type { ChunkPool } from './native/chunk-pool.ts'

export type LookupKind = 'trace' | 'sid' | 'chat' | 'uid'

interface LookupEntry {
  readonly id: string
  readonly kind: LookupKind
  readonly appId: string
  readonly sid: string
  minTimeNs: bigint
  maxTimeNs: bigint
  minReceivedAtNs: bigint
  maxReceivedAtNs: bigint
}

/** What one record says about its ids. */
export interface LookupFacts {
  readonly appId: string
  readonly sid: string
  readonly uid: string
  readonly chatId: string
  /** Distinct trace ids; empty ones are left out. */
  readonly traceIds: readonly string[]
  /** Bounds of the rows' `t`. */
  readonly minTimeNs: bigint
  readonly maxTimeNs: bigint
  readonly receivedAtNs: bigint
}

/** Collects the rows of `id_lookup` for a batch, each id once, and fills the block at its end. */
export class LookupRows {
  readonly block: Block<typeof ID_LOOKUP_COLUMNS>
  readonly #entries = new Map<string, LookupEntry>()
  #last: { facts: LookupFacts; entries: LookupEntry[] } | undefined

  constructor(pool: ChunkPool) {
    this.block = new Block(ID_LOOKUP_COLUMNS, pool)
  }

  get rows(): number {
    return this.#entries.size
  }

  add(facts: LookupFacts): void {
    // Records of one trace lie side by side: most often the entries are those of the last one.
    if (this.#last === undefined || !isSameIds(this.#last.facts, facts)) {
      this.#last = { facts, entries: this.#entriesOf(facts) }
    }
    for (const entry of this.#last.entries) {
      if (facts.minTimeNs < entry.minTimeNs) entry.minTimeNs = facts.minTimeNs
      if (facts.maxTimeNs > entry.maxTimeNs) entry.maxTimeNs = facts.maxTimeNs
      if (facts.receivedAtNs < entry.minReceivedAtNs) entry.minReceivedAtNs = facts.receivedAtNs
      if (facts.receivedAtNs > entry.maxReceivedAtNs) entry.maxReceivedAtNs = facts.receivedAtNs
    }
  }

  /** Writes the entries into the block. */
  fill(): void {
    const c = this.block.columns
    for (const entry of this.#entries.values()) {
      c.id.pushString(entry.id)
      c.kind.pushString(entry.kind)
      c.app_id.pushString(entry.appId)
      c.sid.pushString(entry.sid)
      c.min_time.push(entry.minTimeNs)
      c.max_time.push(entry.maxTimeNs)
      c.min_received_at.push(entry.minReceivedAtNs)
      c.max_received_at.push(entry.maxReceivedAtNs)
      this.block.endRow()
    }
  }

  reset(): void {
    this.block.reset()
    this.#entries.clear()
    this.#last = undefined
  }

  #entriesOf(facts: LookupFacts): LookupEntry[] {
    const entries = [this.#entry('sid', facts.sid, facts)]
    for (const traceId of facts.traceIds) entries.push(this.#entry('trace', traceId, facts))
    if (facts.chatId !== '') entries.push(this.#entry('chat', facts.chatId, facts))
    if (facts.uid !== '') entries.push(this.#entry('uid', facts.uid, facts))
    return entries
  }

  #entry(kind: LookupKind, id: string, facts: LookupFacts): LookupEntry {
    // The lengths keep two different triples from having one text.
    const key = `${kind} ${id.length} ${facts.sid.length} ${id}${facts.sid}${facts.appId}`
    let entry = this.#entries.get(key)
    if (entry === undefined) {
      entry = {
        id,
        kind,
        appId: facts.appId,
        sid: facts.sid,
        minTimeNs: facts.minTimeNs,
        maxTimeNs: facts.maxTimeNs,
        minReceivedAtNs: facts.receivedAtNs,
        maxReceivedAtNs: facts.receivedAtNs,
      }
      this.#entries.set(key, entry)
    }
    return entry
  }
}

function isSameIds(a: LookupFacts, b: LookupFacts): boolean {
  return (
    a.sid === b.sid &&
    a.appId === b.appId &&
    a.uid === b.uid &&
    a.chatId === b.chatId &&
    a.traceIds.length === b.traceIds.length &&
    a.traceIds.every((id, place) => id === b.traceIds[place])
  )
}
