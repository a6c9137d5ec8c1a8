import type { FirstArrival } from './first-arrival.ts'
import type { NodeTraceLog } from './node-trace-log.ts'
import type { SpanBatch } from './span.ts'

/**
 * Why a trace was closed, from best to worst. `complete`: nothing that it announces or refers to is missing.
 * `late`: records of a trace that was closed before. The others are partial: the quiet time, an age or a limit ended the wait.
 * Only a merge of all fragments says whether a trace is complete (view `traces`); this is what one flush saw.
 */
export const CLOSE_REASONS = [
  'complete',
  'late',
  'idle',
  'max_age',
  'span_limit',
  'bytes_limit',
  'memory_pressure',
] as const
export type CloseReason = (typeof CLOSE_REASONS)[number]

/** One Kafka record of a fragment. A row is a function of one record: everything that rows take comes from here. */
export interface FragmentRecord {
  readonly kind: 'spans' | 'log'
  readonly topic: string
  readonly partition: number
  /** Kafka offset; safe below 2^53. */
  readonly offset: number
  /** Append time (`LogAppendTime`) in Unix milliseconds, of a replayed record that of its first arrival: `received_at` in rows. */
  readonly receivedAtMs: number
  /** Of a replayed record: where it lay at first, which is what its rows say. */
  readonly firstArrival?: FirstArrival | undefined
  /** Bytes of the Avro value. */
  readonly byteLength: number
  /** Spans of a batch, or nodes of a log. */
  readonly rowCount: number
  /** Bytes of the Avro value that each row says again: resource, scope, uid and chat id. */
  readonly repeatedBytes: number
  /** True when some string of the record is over the payload limit, so that offload has to change it. */
  readonly hasLargeValue: boolean
  /**
   * UTC day (since 1970) on which every span of a batch starts; −1 when they start on several or outside [2000-01-01, 2100-01-01), when
   * its resource or scope holds a payload reference, or for a log.
   */
  readonly day: number
  /** The framed record as it was consumed (Confluent wire format). A view into memory that is valid until the fragment is released: copy to keep. */
  readonly bytes: Buffer
  /** Position of the Avro value in `bytes`. */
  readonly bodyStart: number
  /**
   * What rows are made of: the Avro value `[contentStart, contentEnd)` of this memory. That of `bytes`, until processing puts another in its place; of a
   * record so changed valid until that of another one is asked for.
   */
  readonly memory: Buffer
  readonly contentStart: number
  readonly contentEnd: number
  readonly schemaId: number
  /** The decoded content. Decodes anew at each call: call it once. */
  decode(): SpanBatch | NodeTraceLog
}

/**
 * What one fragment holds and misses, for one app: sets and versioned facts, never sums, so that fragments merge whatever their order,
 * repetition or overlap. Keys are 64-bit hashes (`codec/hash.ts`) as two unsigned 32-bit halves in a `BigUint64Array`.
 */
export interface FragmentFacts {
  readonly appId: string
  /** Append time of the first and the last record of this app in the fragment. Unix milliseconds. */
  readonly firstReceivedAtMs: number
  readonly lastReceivedAtMs: number
  /** Earliest start and latest end (clamped as in the rows) over spans, logs and nodes; Unix nanoseconds; 0n = none. */
  readonly startTimeNs: bigint
  readonly endTimeNs: bigint
  /** Hex trace ids and `service.name`s (for logs: service id, else `sub`), each once, sorted. */
  readonly traceIds: readonly string[]
  readonly services: readonly string[]
  /**
   * Name, service and start (clamped; Unix nanoseconds) of the earliest root span: of those without a parent when there are any, else of
   * those whose remote parent is nowhere in the whole fragment. 0n = no root in this fragment.
   */
  readonly rootName: string
  readonly rootService: string
  readonly rootStartTimeNs: bigint
  /**
   * Of a fragment without a root that has no parent: all its roots with a remote parent, sorted, each once. Which of them are roots of the
   * trace is known to the merge alone: the parent may be in another fragment.
   */
  readonly remoteRoots: readonly RemoteRoot[]
  /** Each (service, uid, chat id) that the records claimed, once, sorted: what shows a SID collision. */
  readonly identities: readonly { service: string; uid: string; chatId: string }[]
  /** Hash of (trace id, span id), sorted, each once. */
  readonly spanKeys: BigUint64Array
  /** Those of `spanKeys` that are errors: status ERROR, `error` true, `code` ≠ 0, or an event ERROR/exception. */
  readonly errorKeys: BigUint64Array
  /** Hash of (trace id, parent span id) of local parents that are nowhere in the whole fragment. */
  readonly missingParents: BigUint64Array
  /** Hash of each trace id of this app's spans, and of those that have a root anywhere in the whole fragment. */
  readonly traceKeys: BigUint64Array
  readonly rootedTraceKeys: BigUint64Array
  readonly nodes: readonly NodeFact[]
  readonly logs: readonly LogFact[]
  /** Hash of (log id, id) and of (log id, node id) of each node that is there. */
  readonly nodeIdKeys: BigUint64Array
  /** Of each node id that `next_log_ids` announced: the hash of the log id and that of (log id, announced id). */
  readonly announced: readonly { logKey: bigint; nodeKey: bigint }[]
  /** Hash of the log ids in which an end node has ended. */
  readonly endedLogKeys: BigUint64Array
}

/** A span whose parent is remote, and not seen. */
export interface RemoteRoot {
  /** Clamped; Unix nanoseconds. */
  readonly startTimeNs: bigint
  readonly name: string
  readonly service: string
  /** Hash of (trace id, parent span id). */
  readonly parentKey: bigint
}

export interface TokenCounts {
  readonly question: number
  readonly prompt: number
  readonly completion: number
  readonly total: number
}

export interface NodeFact {
  /** Hash of (log id, place). */
  readonly key: bigint
  /** revision × 2^48 + append time in ms: the newest wins. */
  readonly version: bigint
  readonly isError: boolean
  readonly tokens: TokenCounts
}

/** What the sender claimed for a whole log. */
export interface LogFact {
  /** Hash of the log id. */
  readonly key: bigint
  readonly version: bigint
  readonly isError: boolean
  readonly tokens: TokenCounts
}

/** One flush of a trace: the unit that is delivered and settled. */
export interface Fragment {
  readonly sid: string
  readonly reason: CloseReason
  readonly records: readonly FragmentRecord[]
  /** One entry for each app id among the records. */
  readonly facts: readonly FragmentFacts[]
  /** Sums over `records`. */
  readonly byteLength: number
  readonly rowCount: number
}
