import type { RecordHeaders } from '../../model/dead-letter.ts'
import type { CloseReason, Fragment, FragmentFacts } from '../../model/fragment.ts'
import type { Task } from '../../model/task.ts'
import type { OpenTrace } from './open-trace.ts'
import type { SlabPool } from './slabs.ts'
import type { TraceRecord } from './trace-record.ts'

/** Heap that the facts of a fragment cost for each of its apps, and for each of its rows: counted, as for a flood of tiny traces they are most of it. */
const FACTS_OVERHEAD_BYTES = 1_700
const ROW_FACTS_BYTES = 20
/** On top, measured: for each node, for each node id that is announced, for each root with a remote parent, beside its name. */
const NODE_FACTS_BYTES = 125
const ANNOUNCED_BYTES = 100
const REMOTE_ROOT_BYTES = 150

const NO_HEADERS: RecordHeaders = {}

/** A fragment as assembly hands it on, with its task and its memory. */
export class ClosedFragment {
  readonly fragment: Fragment
  readonly task: Task
  readonly heldBytes: number
  readonly #records: readonly TraceRecord[]
  readonly #slabs: SlabPool

  constructor(
    task: Task,
    trace: OpenTrace<TraceRecord>,
    reason: CloseReason,
    facts: readonly FragmentFacts[],
    slabs: SlabPool,
  ) {
    this.task = task
    this.heldBytes = trace.heldBytes + trace.rowCount * ROW_FACTS_BYTES + factsBytes(facts)
    this.#records = trace.records
    this.#slabs = slabs
    for (const record of trace.records) slabs.pin(record)
    const { sid, records, byteLength, rowCount } = trace
    this.fragment = { sid, reason, records, facts, byteLength, rowCount }
  }

  /** A record as it was consumed. The key was checked to be the SID. */
  original(offset: number): { key: Buffer; value: Buffer; headers: RecordHeaders } | undefined {
    const record = this.#records.find((one) => one.offset === offset)
    if (record === undefined) return undefined
    return {
      key: Buffer.from(this.fragment.sid, 'utf8'),
      value: record.bytes,
      headers: record.headers ?? NO_HEADERS,
    }
  }

  release(): void {
    for (const record of this.#records) this.#slabs.release(record)
  }
}

function factsBytes(facts: readonly FragmentFacts[]): number {
  let bytes = facts.length * FACTS_OVERHEAD_BYTES
  for (const { nodes, announced, remoteRoots } of facts) {
    bytes += nodes.length * NODE_FACTS_BYTES + announced.length * ANNOUNCED_BYTES
    for (const { name } of remoteRoots) bytes += REMOTE_ROOT_BYTES + name.length
  }
  return bytes
}
