import { nodeIdKey, spanKey, traceKey } from '../../src/codec/hash.ts'
import type { NodeLog, NodeTraceLog } from '../../src/model/node-trace-log.ts'
import type { Span, SpanBatch } from '../../src/model/span.ts'
import { isSpanError, serviceOf } from './records.ts'
import { distinct, earliestRoot, except, hasCollision, ordered, type TraceView } from './trace-view.ts'

/** A record that counts, and when the broker took it. */
export interface CountingRecord {
  readonly model: SpanBatch | NodeTraceLog
  readonly appendTimeMs: number
}

interface LogAt {
  readonly log: NodeTraceLog
  readonly appendTimeMs: number
}

/** The row of `traces` that a SID must have, from what was produced and in the plainest way: no fragments, no codec, no assembly. */
export function expectedTrace(records: readonly CountingRecord[]): TraceView {
  const batches = records.flatMap(({ model }) => ('spans' in model ? [model] : []))
  const logs: LogAt[] = records.flatMap(({ model, appendTimeMs }) =>
    'spans' in model ? [] : [{ log: model, appendTimeMs }],
  )
  const spans = new Map<string, { span: Span; service: string }>()
  for (const batch of batches) {
    for (const span of batch.spans) spans.set(idOf(span), { span, service: serviceOf(batch) })
  }
  const all = [...spans.values()]
  const isRemoteRoot = ({ span }: { span: Span }): boolean =>
    span.parentSpanId !== null && isRemote(span) && !spans.has(`${span.traceId}/${span.parentSpanId}`)
  const isRoot = (one: { span: Span }): boolean => one.span.parentSpanId === null || isRemoteRoot(one)
  const own = all.filter(({ span }) => span.parentSpanId === null)
  const roots = own.length > 0 ? own : all.filter(isRemoteRoot)
  const missingParents = except(
    new Set(
      all
        .filter(
          ({ span }) =>
            span.parentSpanId !== null &&
            !isRemote(span) &&
            !spans.has(`${span.traceId}/${span.parentSpanId}`),
        )
        .map(({ span }) => spanKey(span.traceId, span.parentSpanId!)),
    ),
    new Set(),
  )
  const rooted = new Set(all.filter(isRoot).map(({ span }) => span.traceId))
  const traceIds = distinct(all.map(({ span }) => span.traceId))
  const unrooted = except(traceIds.filter((id) => !rooted.has(id)).map(traceKey), new Set())
  const missingNodes = missingNodesOf(logs)
  const nodes = newestNodes(logs)
  const newestLogs = newestBy(logs, ({ log }) => log.logId)
  const identities = records.map(({ model }) => ({
    service: 'spans' in model ? serviceOf(model) : model.serviceId || model.sub,
    app: model.appId,
    uid: model.uid,
    chatId: model.chatId,
  }))
  const times = [
    ...all.map(({ span }) => [span.startTimeNs, span.endTimeNs] as const),
    ...logs.flatMap(({ log }) =>
      [log, ...log.trace].map((one) => [toNs(one.startTimeMs), toNs(one.endTimeMs)] as const),
    ),
  ]
  const received = records.map(({ appendTimeMs }) => appendTimeMs)
  return {
    appIds: distinct(identities.map(({ app }) => app)),
    status: missingParents.length + missingNodes.length + unrooted.length === 0 ? 'complete' : 'partial',
    root: earliestRoot(roots.map(({ span, service }) => [span.startTimeNs, span.name, service] as const)),
    services: distinct(identities.map(({ service }) => service)),
    uid: distinct(identities.map(({ uid }) => uid))[0] ?? '',
    chatId: distinct(identities.map(({ chatId }) => chatId))[0] ?? '',
    traceIds,
    startNs: ordered(times.map(([start]) => start))[0] ?? 0n,
    endNs: ordered(times.map(([, end]) => end)).at(-1) ?? 0n,
    spanCount: spans.size,
    errorCount: all.filter(({ span }) => isSpanError(span)).length,
    nodeCount: nodes.length,
    nodeErrorCount: nodes.filter((node) => !node.runningStatus && node.endTimeMs > 0).length,
    logCount: newestLogs.length,
    tokens: sumUsage(nodes.map(({ data }) => data.usage)),
    reported: sumUsage(newestLogs.map(({ log }) => log.usage)),
    missingParents,
    missingNodes,
    unrooted,
    hasCollision: hasCollision(identities),
    firstReceivedMs: Math.min(...received),
    lastReceivedMs: Math.max(...received),
  }
}

/** What closes a trace as complete: nothing that it refers to or announces is missing, and each trace id has a root of its own. */
export function isComplete(records: readonly CountingRecord[]): boolean {
  const view = expectedTrace(records)
  return view.status === 'complete'
}

function missingNodesOf(logs: readonly LogAt[]): bigint[] {
  const known = new Set<string>()
  const ended = new Set<string>()
  for (const { log } of logs) {
    for (const node of log.trace) {
      for (const id of [node.id, node.nodeId]) if (id !== '') known.add(`${log.logId}/${id}`)
      if (isEndedEnd(node)) ended.add(log.logId)
    }
  }
  const missing = new Set<bigint>()
  for (const { log } of logs) {
    if (ended.has(log.logId)) continue
    for (const id of log.trace.flatMap(({ nextLogIds }) => nextLogIds)) {
      if (id !== '' && !known.has(`${log.logId}/${id}`)) missing.add(nodeIdKey(log.logId, id))
    }
  }
  return except(missing, new Set())
}

/** Of each place of each log what the newest revision that has it says; a shorter revision leaves the further places of earlier ones. */
function newestNodes(logs: readonly LogAt[]): NodeLog[] {
  const places = logs.flatMap(({ log, appendTimeMs }) =>
    log.trace.map((node, place) => ({ log, appendTimeMs, node, place })),
  )
  return newestBy(places, ({ log, place }) => `${log.logId}/${place}`).map(({ node }) => node)
}

function newestBy<One extends LogAt>(all: readonly One[], keyOf: (one: One) => string): One[] {
  const byKey = new Map<string, One>()
  for (const one of all) {
    const held = byKey.get(keyOf(one))
    const isNewer =
      held === undefined ||
      one.log.revision > held.log.revision ||
      (one.log.revision === held.log.revision && one.appendTimeMs > held.appendTimeMs)
    if (isNewer) byKey.set(keyOf(one), one)
  }
  return [...byKey.values()]
}

function isEndedEnd(node: NodeLog): boolean {
  return node.nodeType === 'end' && node.endTimeMs > 0
}

function isRemote(span: Span): boolean {
  return (span.flags & 0x300) === 0x300
}

function idOf(span: Span): string {
  return `${span.traceId}/${span.spanId}`
}

function toNs(ms: number): bigint {
  return BigInt(ms) * 1_000_000n
}

function sumUsage(usages: readonly NodeLog['data']['usage'][]): number[] {
  return (['questionTokens', 'promptTokens', 'completionTokens', 'totalTokens'] as const).map((name) =>
    usages.reduce((sum, usage) => sum + usage[name], 0),
  )
}
