import type { Fragment, FragmentFacts, NodeFact } from '../../model/fragment.ts'
import { rowVersion } from '../../model/version.ts'
import { TRACE_FRAGMENTS_COLUMNS } from '../../storage/clickhouse/columns.ts'
import { FragmentIds } from './fragment-id.ts'
import { Block } from './native/block.ts'
import type { ChunkPool } from './native/chunk-pool.ts'
import type { ArrayColumn, TupleColumn } from './native/composite-columns.ts'
import { Int64Column, UInt8Column } from './native/fixed-columns.ts'
import { TextColumn } from './native/text-column.ts'
import { receivedAtNs } from './record-context.ts'

/** Fills a block of `trace_fragments`: one row a fragment and app. */
export class FragmentRows {
  readonly block: Block<typeof TRACE_FRAGMENTS_COLUMNS>
  readonly #ids = new FragmentIds()

  constructor(pool: ChunkPool) {
    this.block = new Block(TRACE_FRAGMENTS_COLUMNS, pool)
  }

  append(fragment: Fragment, facts: FragmentFacts): void {
    const c = this.block.columns
    c.app_id.pushString(facts.appId)
    c.sid.pushString(fragment.sid)
    c.fragment_id.push(this.#ids.of(fragment.reason, facts))
    c.first_received_at.push(receivedAtNs(facts.firstReceivedAtMs))
    c.received_at.push(receivedAtNs(facts.lastReceivedAtMs))
    c.reason.pushString(fragment.reason)
    c.start_time.push(facts.startTimeNs)
    c.end_time.push(facts.endTimeNs)
    for (const id of facts.traceIds) c.trace_ids.items.pushString(id)
    c.trace_ids.endRow()
    for (const service of facts.services) c.services.items.pushString(service)
    c.services.endRow()
    c.root_name.pushString(facts.rootName)
    c.root_service.pushString(facts.rootService)
    c.root_start_time.push(facts.rootStartTimeNs)
    pushRoots(c.remote_roots, facts)
    pushIdentities(c.identities, facts)
    pushKeys(c.span_keys, facts.spanKeys)
    pushKeys(c.error_keys, facts.errorKeys)
    pushKeys(c.missing_parents, facts.missingParents)
    pushKeys(c.trace_keys, facts.traceKeys)
    pushKeys(c.rooted_trace_keys, facts.rootedTraceKeys)
    pushFacts(c.node_keys, c.node_facts, facts.nodes)
    pushFacts(c.log_keys, c.log_facts, facts.logs)
    pushKeys(c.node_id_keys, facts.nodeIdKeys)
    pushAnnounced(c.announced, facts)
    pushKeys(c.ended_logs, facts.endedLogKeys)
    c.version.push(rowVersion(0, facts.lastReceivedAtMs))
    this.block.endRow()
  }

  reset(): void {
    this.block.reset()
  }
}

function pushKeys(column: ArrayColumn<Int64Column>, keys: BigUint64Array): void {
  column.items.pushAll(keys)
  column.endRow()
}

function pushFacts(
  keys: ArrayColumn<Int64Column>,
  values: ArrayColumn<TupleColumn>,
  facts: readonly NodeFact[],
): void {
  const [version, isError, question, prompt, completion, total] = values.items.parts
  for (const fact of facts) {
    keys.items.push(fact.key)
    asInt64(version).push(fact.version)
    if (!(isError instanceof UInt8Column)) throw new TypeError('Facts have their error flag second')
    isError.pushBool(fact.isError)
    asInt64(question).pushNumber(fact.tokens.question)
    asInt64(prompt).pushNumber(fact.tokens.prompt)
    asInt64(completion).pushNumber(fact.tokens.completion)
    asInt64(total).pushNumber(fact.tokens.total)
  }
  keys.endRow()
  values.endRow()
}

function pushIdentities(column: ArrayColumn<TupleColumn>, facts: FragmentFacts): void {
  const [service, uid, chatId] = column.items.parts
  for (const identity of facts.identities) {
    asText(service).pushString(identity.service)
    asText(uid).pushString(identity.uid)
    asText(chatId).pushString(identity.chatId)
  }
  column.endRow()
}

function pushRoots(column: ArrayColumn<TupleColumn>, facts: FragmentFacts): void {
  const [startTime, name, service, parent] = column.items.parts
  for (const root of facts.remoteRoots) {
    asInt64(startTime).push(root.startTimeNs)
    asText(name).pushString(root.name)
    asText(service).pushString(root.service)
    asInt64(parent).push(root.parentKey)
  }
  column.endRow()
}

function pushAnnounced(column: ArrayColumn<TupleColumn>, facts: FragmentFacts): void {
  const [log, node] = column.items.parts
  for (const pair of facts.announced) {
    asInt64(log).push(pair.logKey)
    asInt64(node).push(pair.nodeKey)
  }
  column.endRow()
}

function asInt64(part: unknown): Int64Column {
  if (part instanceof Int64Column) return part
  throw new TypeError('The part of the tuple is no 64-bit integer')
}

function asText(part: unknown): TextColumn {
  if (part instanceof TextColumn) return part
  throw new TypeError('The part of the tuple is no text')
}
