import type { KeyValue } from '../model/any-value.ts'
import type { FragmentFacts, LogFact, NodeFact } from '../model/fragment.ts'
import type { NodeLog, NodeTraceLog, Usage } from '../model/node-trace-log.ts'
import { FLAG_HAS_IS_REMOTE, FLAG_IS_REMOTE, type Span, type SpanBatch } from '../model/span.ts'
import { clampTimes, clampTimesMs } from '../model/time.ts'
import { rowVersion } from '../model/version.ts'
import type { Completeness } from './facts.ts'
import { logKey, nodeIdKey, nodeKey, spanKey, traceKey } from './hash.ts'

/** A record of a fragment with its append time. */
export type ReceivedRecord =
  | { receivedAtMs: number; batch: SpanBatch; log?: never }
  | { receivedAtMs: number; log: NodeTraceLog; batch?: never }

/** The facts of a fragment taken from objects in the plainest way: what `FactsCollector` is held against. */
export function referenceFacts(records: readonly ReceivedRecord[]): FragmentFacts[] {
  const apps = [...new Set(records.map((record) => (record.batch ?? record.log).appId))].sort()
  const present = spanIds(records)
  const roots = records.flatMap((record) => record.batch?.spans ?? []).filter((span) => isRoot(span, present))
  const rooted = new Set(roots.map((span) => span.traceId))
  return apps.map((app) =>
    factsOf(
      app,
      records.filter((record) => (record.batch ?? record.log).appId === app),
      present,
      rooted,
    ),
  )
}

export function referenceCompleteness(records: readonly ReceivedRecord[]): Completeness {
  const present = spanIds(records)
  const spans = records.flatMap((record) => record.batch?.spans ?? [])
  const logs = records.flatMap((record) => record.log ?? [])
  if (spans.some((span) => isParentMissing(span, present))) return 'incomplete'
  const nodeIds = new Set(
    logs.flatMap((log) =>
      log.trace.flatMap((node) => [`${log.logId}/${node.id}`, `${log.logId}/${node.nodeId}`]),
    ),
  )
  const ended = new Set(logs.filter((log) => log.trace.some(isEndedEndNode)).map((log) => log.logId))
  for (const log of logs) {
    for (const id of log.trace.flatMap((node) => node.nextLogIds)) {
      if (id !== '' && !nodeIds.has(`${log.logId}/${id}`) && !ended.has(log.logId)) return 'incomplete'
    }
  }
  let result: Completeness = 'complete'
  for (const traceId of new Set(spans.map((span) => span.traceId))) {
    const roots = spans.filter((span) => span.traceId === traceId && isRoot(span, present))
    if (roots.length === 0) return 'incomplete'
    if (roots.every((root) => root.parentSpanId !== null)) result = 'complete_if_idle'
  }
  return result
}

function factsOf(
  appId: string,
  records: readonly ReceivedRecord[],
  present: ReadonlySet<string>,
  rooted: ReadonlySet<string>,
): FragmentFacts {
  const batches = records.flatMap((record) => record.batch ?? [])
  const logs = records.flatMap((record) => record.log ?? [])
  const spans = batches.flatMap((batch) => batch.spans.map((span) => ({ span, service: serviceOf(batch) })))
  const times = [
    ...spans.map(({ span }) =>
      clampTimes(
        span.startTimeNs,
        span.endTimeNs,
        span.events.map((event) => event.timeNs),
      ),
    ),
    ...logs.flatMap((log) =>
      [log, ...log.trace].map((part) => clampTimesMs(part.startTimeMs, part.endTimeMs)),
    ),
  ]
  const roots = spans.filter(({ span }) => isRoot(span, present))
  const trueRoots = roots.filter(({ span }) => span.parentSpanId === null)
  const sortedRoots = (trueRoots.length > 0 ? trueRoots : roots)
    .map(({ span, service }) => ({
      startTimeNs: startOf(span),
      name: span.name,
      service,
      parentKey: spanKey(span.traceId, span.parentSpanId ?? ''),
    }))
    .sort(
      (a, b) =>
        compare(a.startTimeNs, b.startTimeNs) ||
        Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)) ||
        Buffer.compare(Buffer.from(a.service), Buffer.from(b.service)) ||
        compare(a.parentKey, b.parentKey),
    )
  const first = sortedRoots[0]
  const identities = new Map(
    records.map((record) => {
      const { uid, chatId } = record.batch ?? record.log
      const service = record.batch ? serviceOf(record.batch) : record.log.serviceId || record.log.sub
      return [JSON.stringify([service, uid, chatId]), { service, uid, chatId }] as const
    }),
  )
  const announced = new Map(
    logs.flatMap((log) =>
      log.trace
        .flatMap((node) => node.nextLogIds)
        .filter((id) => id !== '')
        .map((id) => [nodeIdKey(log.logId, id), logKey(log.logId)] as const),
    ),
  )
  return {
    appId,
    firstReceivedAtMs: Math.min(...records.map((record) => record.receivedAtMs)),
    lastReceivedAtMs: Math.max(...records.map((record) => record.receivedAtMs)),
    startTimeNs: times.reduce(
      (least, time) => (least === 0n || time.startNs < least ? time.startNs : least),
      0n,
    ),
    endTimeNs: times.reduce((most, time) => (time.endNs > most ? time.endNs : most), 0n),
    traceIds: [...new Set(spans.map(({ span }) => span.traceId))].sort(),
    services: [...new Set([...identities.values()].map(({ service }) => service))]
      .filter((s) => s !== '')
      .sort(),
    rootName: first?.name ?? '',
    rootService: first?.service ?? '',
    rootStartTimeNs: first?.startTimeNs ?? 0n,
    remoteRoots: trueRoots.length > 0 ? [] : unique(sortedRoots),
    identities: [...identities.values()].sort(
      (a, b) => compare(a.service, b.service) || compare(a.uid, b.uid) || compare(a.chatId, b.chatId),
    ),
    spanKeys: keys(spans.map(({ span }) => spanKey(span.traceId, span.spanId))),
    errorKeys: keys(
      spans.filter(({ span }) => isError(span)).map(({ span }) => spanKey(span.traceId, span.spanId)),
    ),
    missingParents: keys(
      spans
        .filter(({ span }) => isParentMissing(span, present))
        .map(({ span }) => spanKey(span.traceId, span.parentSpanId ?? '')),
    ),
    traceKeys: keys(spans.map(({ span }) => traceKey(span.traceId))),
    rootedTraceKeys: keys(
      spans.filter(({ span }) => rooted.has(span.traceId)).map(({ span }) => traceKey(span.traceId)),
    ),
    nodes: newest(
      records.flatMap(({ log, receivedAtMs }) =>
        (log?.trace ?? []).map((node, place) => ({
          key: nodeKey(log?.logId ?? '', place),
          version: rowVersion(log?.revision ?? 0, receivedAtMs),
          isError: !node.runningStatus && node.endTimeMs > 0,
          tokens: tokensOf(node.data.usage),
        })),
      ),
    ),
    logs: newest(
      records.flatMap(({ log, receivedAtMs }) =>
        log === undefined
          ? []
          : {
              key: logKey(log.logId),
              version: rowVersion(log.revision, receivedAtMs),
              isError: log.status.code !== 0,
              tokens: tokensOf(log.usage),
            },
      ),
    ),
    nodeIdKeys: keys(
      logs.flatMap((log) =>
        log.trace
          .flatMap((node) => [node.id, node.nodeId])
          .filter((id) => id !== '')
          .map((id) => nodeIdKey(log.logId, id)),
      ),
    ),
    announced: [...announced]
      .sort(([a], [b]) => compare(a, b))
      .map(([node, log]) => ({ logKey: log, nodeKey: node })),
    endedLogKeys: keys(logs.filter((log) => log.trace.some(isEndedEndNode)).map((log) => logKey(log.logId))),
  }
}

function spanIds(records: readonly ReceivedRecord[]): Set<string> {
  return new Set(
    records.flatMap((record) => record.batch?.spans ?? []).map((span) => span.traceId + span.spanId),
  )
}

function isRemote(span: Span): boolean {
  return (span.flags & FLAG_HAS_IS_REMOTE) !== 0 && (span.flags & FLAG_IS_REMOTE) !== 0
}

function isRoot(span: Span, present: ReadonlySet<string>): boolean {
  return span.parentSpanId === null || (isRemote(span) && !present.has(span.traceId + span.parentSpanId))
}

function isParentMissing(span: Span, present: ReadonlySet<string>): boolean {
  return span.parentSpanId !== null && !isRemote(span) && !present.has(span.traceId + span.parentSpanId)
}

function isError(span: Span): boolean {
  return (
    span.statusCode === 2 ||
    span.attributes.some(({ key, value }) => key === 'error' && (value === true || value === 'true')) ||
    span.attributes.some(({ key, value }) => key === 'code' && typeof value === 'bigint' && value !== 0n) ||
    span.events.some(({ name }) => name === 'ERROR' || name === 'exception')
  )
}

function isEndedEndNode(node: NodeLog): boolean {
  const type = node.nodeType.toLowerCase()
  const isEnd =
    type === 'end' || type === 'node-end' || [node.id, node.nodeId].some((id) => id.startsWith('node-end'))
  return isEnd && node.endTimeMs > 0
}

function serviceOf(batch: SpanBatch): string {
  const isName = ({ key, value }: KeyValue) => key === 'service.name' && typeof value === 'string'
  return String(batch.resource.attributes.find(isName)?.value ?? '')
}

function startOf(span: Span): bigint {
  return clampTimes(
    span.startTimeNs,
    span.endTimeNs,
    span.events.map((event) => event.timeNs),
  ).startNs
}

function tokensOf(usage: Usage): NodeFact['tokens'] {
  return {
    question: usage.questionTokens,
    prompt: usage.promptTokens,
    completion: usage.completionTokens,
    total: usage.totalTokens,
  }
}

function newest(facts: readonly LogFact[]): LogFact[] {
  const rank = ({ version, isError, tokens }: LogFact) => [
    version,
    BigInt(isError),
    ...[tokens.question, tokens.prompt, tokens.completion, tokens.total].map(BigInt),
  ]
  const byRank = facts.toSorted((a, b) => {
    const [left, right] = [rank(a), rank(b)]
    return left.map((part, i) => compare(part, right[i] ?? 0n)).find((order) => order !== 0) ?? 0
  })
  return [...new Map(byRank.map((fact) => [fact.key, fact])).values()].sort((a, b) => compare(a.key, b.key))
}

function unique<T extends object>(sorted: readonly T[]): T[] {
  return [...new Map(sorted.map((one) => [Object.values(one).map(String).join('\n'), one])).values()]
}

function keys(all: readonly bigint[]): BigUint64Array {
  return BigUint64Array.from(new Set(all)).sort()
}

function compare<T extends bigint | string>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0
}
