import type { LogFact, NodeFact, TokenCounts } from '../model/fragment.ts'
import { isErrorNode } from '../model/node-trace-log.ts'
import { clampedEndMs, clampedStartMs } from '../model/time.ts'
import { rowVersion } from '../model/version.ts'
import { KeyHasher } from './hash.ts'
import { KeyList, KeyTable } from './key-table.ts'

/** A node of the log that is being collected; positions are in the record's bytes. */
interface PendingNode {
  idAt: number
  idLength: number
  nodeIdAt: number
  nodeIdLength: number
  typeAt: number
  typeLength: number
  startMs: number
  endTimeMs: number
  runningStatus: boolean
  tokens: TokenCounts
}

interface NodeRow {
  record: number
  fact: NodeFact
}

interface LogRow {
  record: number
  fact: LogFact
}

const END_PREFIX = 'node-end'

/** The logs and nodes of a fragment. Reused from fragment to fragment. Logs are few beside spans, so objects will do. */
export class NodeFacts {
  /** Bounds of the log that was added last, clamped, in Unix milliseconds. */
  minMs = 0
  maxMs = 0
  #hasher = new KeyHasher()
  #pending: PendingNode[] = []
  #pendingAnnounced: number[] = []
  #nodes: NodeRow[] = []
  #logs: LogRow[] = []
  /** Keys as halves with the index of their record: high, low, record. */
  #idKeys: number[] = []
  #ended: number[] = []
  /** Log key (high, low), node key (high, low), record. */
  #announced: number[] = []
  #idTable = new KeyTable()
  #endedTable = new KeyTable()
  #keys = new KeyList()

  reset(): void {
    this.#nodes.length = 0
    this.#logs.length = 0
    this.#idKeys.length = 0
    this.#ended.length = 0
    this.#announced.length = 0
    this.#idTable.clear()
    this.#endedTable.clear()
    this.beginLog()
  }

  beginLog(): void {
    this.#pending.length = 0
    this.#pendingAnnounced.length = 0
  }

  /** Takes an entry of `next_log_ids`. Empty = unknown, and announces nothing. */
  announce(at: number, length: number): void {
    if (length > 0) this.#pendingAnnounced.push(at, length)
  }

  addNode(
    idAt: number,
    idLength: number,
    nodeIdAt: number,
    nodeIdLength: number,
    typeAt: number,
    typeLength: number,
    startMs: number,
    endTimeMs: number,
    runningStatus: boolean,
    question: number,
    prompt: number,
    completion: number,
    total: number,
  ): void {
    this.#pending.push({
      idAt,
      idLength,
      nodeIdAt,
      nodeIdLength,
      typeAt,
      typeLength,
      startMs,
      endTimeMs,
      runningStatus,
      tokens: { question, prompt, completion, total },
    })
  }

  /** Ends the log: only now is its id known whatever the order of fields. */
  addLog(
    b: Buffer,
    logAt: number,
    revision: number,
    receivedAtMs: number,
    statusCode: number,
    startMs: number,
    endMs: number,
    tokens: TokenCounts,
    record: number,
  ): void {
    const hasher = this.#hasher
    const version = rowVersion(revision, receivedAtMs)
    this.minMs = clampedStartMs(startMs, endMs)
    this.maxMs = clampedEndMs(startMs, endMs)
    hasher.bytes(b, logAt, logAt + 16)
    const logHigh = hasher.high
    const logLow = hasher.low
    this.#logs.push({
      record,
      fact: { key: join(logHigh, logLow), version, isError: statusCode !== 0, tokens },
    })
    for (let place = 0; place < this.#pending.length; place++) {
      const node = this.#pending[place]!
      this.minMs = Math.min(this.minMs, clampedStartMs(node.startMs, node.endTimeMs))
      this.maxMs = Math.max(this.maxMs, clampedEndMs(node.startMs, node.endTimeMs))
      hasher.node(b, logAt, place)
      this.#nodes.push({
        record,
        fact: {
          key: join(hasher.high, hasher.low),
          version,
          isError: isErrorNode(node),
          tokens: node.tokens,
        },
      })
      this.#addNodeId(b, logAt, node.idAt, node.idLength, record)
      this.#addNodeId(b, logAt, node.nodeIdAt, node.nodeIdLength, record)
      if (node.endTimeMs > 0 && isEndNode(b, node)) {
        this.#ended.push(logHigh, logLow, record)
        this.#endedTable.add(logHigh, logLow)
      }
    }
    const announced = this.#pendingAnnounced
    for (let i = 0; i < announced.length; i += 2) {
      const at = announced[i]!
      hasher.nodeId(b, logAt, at, at + announced[i + 1]!)
      this.#announced.push(logHigh, logLow, hasher.high, hasher.low, record)
    }
    this.beginLog()
  }

  #addNodeId(b: Buffer, logAt: number, at: number, length: number, record: number): void {
    if (length === 0) return
    this.#hasher.nodeId(b, logAt, at, at + length)
    this.#idKeys.push(this.#hasher.high, this.#hasher.low, record)
    this.#idTable.add(this.#hasher.high, this.#hasher.low)
  }

  /** True when no announced node is missing, except from logs in which an end node has ended. */
  isComplete(): boolean {
    const announced = this.#announced
    for (let i = 0; i < announced.length; i += 5) {
      if (this.#idTable.find(announced[i + 2]!, announced[i + 3]!) >= 0) continue
      if (this.#endedTable.find(announced[i]!, announced[i + 1]!) < 0) return false
    }
    return true
  }

  nodes(isWanted: (record: number) => boolean): NodeFact[] {
    return newest(this.#nodes, isWanted)
  }

  logs(isWanted: (record: number) => boolean): LogFact[] {
    return newest(this.#logs, isWanted)
  }

  nodeIdKeys(isWanted: (record: number) => boolean): BigUint64Array {
    return this.#take(this.#idKeys, isWanted)
  }

  endedLogKeys(isWanted: (record: number) => boolean): BigUint64Array {
    return this.#take(this.#ended, isWanted)
  }

  announced(isWanted: (record: number) => boolean): { logKey: bigint; nodeKey: bigint }[] {
    const all = this.#announced
    if (all.length === 0) return []
    const pairs = new Map<bigint, { logKey: bigint; nodeKey: bigint }>()
    for (let i = 0; i < all.length; i += 5) {
      if (!isWanted(all[i + 4]!)) continue
      // The node key is made from the log id as well, so it alone tells the pairs apart.
      const nodeKey = join(all[i + 2]!, all[i + 3]!)
      pairs.set(nodeKey, { logKey: join(all[i]!, all[i + 1]!), nodeKey })
    }
    return [...pairs.values()].sort((x, y) => compare(x.nodeKey, y.nodeKey))
  }

  #take(keys: readonly number[], isWanted: (record: number) => boolean): BigUint64Array {
    for (let i = 0; i < keys.length; i += 3) {
      if (isWanted(keys[i + 2]!)) this.#keys.push(keys[i]!, keys[i + 1]!)
    }
    return this.#keys.take()
  }
}

function isEndNode(b: Buffer, node: PendingNode): boolean {
  const type = b
    .toString('latin1', node.typeAt, node.typeAt + Math.min(node.typeLength, END_PREFIX.length + 1))
    .toLowerCase()
  return (
    type === 'end' ||
    type === END_PREFIX ||
    hasEndPrefix(b, node.idAt, node.idLength) ||
    hasEndPrefix(b, node.nodeIdAt, node.nodeIdLength)
  )
}

function hasEndPrefix(b: Buffer, at: number, length: number): boolean {
  return length >= END_PREFIX.length && b.toString('latin1', at, at + END_PREFIX.length) === END_PREFIX
}

function join(high: number, low: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low)
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** One fact a key, sorted by key. The newest version wins, as in the tables; equal versions are ordered by content, so that the order of arrival does not count. */
function newest<F extends NodeFact>(
  rows: readonly { record: number; fact: F }[],
  isWanted: (record: number) => boolean,
): F[] {
  // Most fragments have spans only.
  if (rows.length === 0) return []
  const byKey = new Map<bigint, F>()
  for (const { record, fact } of rows) {
    if (!isWanted(record)) continue
    const former = byKey.get(fact.key)
    if (former === undefined || compareFacts(former, fact) < 0) byKey.set(fact.key, fact)
  }
  const facts = [...byKey.values()]
  return facts.length > 1 ? facts.sort((a, b) => compare(a.key, b.key)) : facts
}

function compareFacts(a: NodeFact, b: NodeFact): number {
  return (
    compare(a.version, b.version) ||
    Number(a.isError) - Number(b.isError) ||
    a.tokens.question - b.tokens.question ||
    a.tokens.prompt - b.tokens.prompt ||
    a.tokens.completion - b.tokens.completion ||
    a.tokens.total - b.tokens.total
  )
}
