import type { ExpectedNode, ExpectedRevision, ExpectedSpan } from './expected.ts'

/** What the row of the view `traces` has to say, worked out from what was sent; `undefined` where the sender did not tell enough. */
export interface ExpectedFacts {
  readonly spanCount: number
  readonly errorCount: number | undefined
  readonly nodeCount: number
  readonly nodeErrorCount: number | undefined
  readonly logCount: number
  readonly tokens:
    | {
        readonly question: number
        readonly prompt: number
        readonly completion: number
        readonly total: number
      }
    | undefined
  readonly isComplete: boolean | undefined
}

const HAS_IS_REMOTE = 0x100
const IS_REMOTE = 0x200
const STATUS_ERROR = 2

/** @param revisions of each log, those that count, in any order */
export function expectedFacts(
  spans: readonly ExpectedSpan[],
  revisions: readonly ExpectedRevision[],
): ExpectedFacts {
  const distinct = new Map(spans.map((span) => [`${span.traceId}/${span.spanId}`, span]))
  const errors = [...distinct.values()].map(isSpanError)
  const nodes = newestNodes(revisions)
  const nodeErrors = nodes.map(isNodeError)
  const usages = nodes.map((node) => node.data?.usage)
  const spansComplete = areSpansComplete(distinct)
  const nodesComplete = areNodesComplete(revisions)
  return {
    spanCount: distinct.size,
    errorCount: countTrue(errors),
    nodeCount: nodes.length,
    nodeErrorCount: countTrue(nodeErrors),
    logCount: new Set(revisions.map((revision) => revision.logId)).size,
    tokens: usages.every((usage) => usage !== undefined)
      ? {
          question: sum(usages.map((usage) => usage.questionTokens)),
          prompt: sum(usages.map((usage) => usage.promptTokens)),
          completion: sum(usages.map((usage) => usage.completionTokens)),
          total: sum(usages.map((usage) => usage.totalTokens)),
        }
      : undefined,
    isComplete: spansComplete === false || nodesComplete === false ? false : spansComplete && nodesComplete,
  }
}

/** Status ERROR, `error` true, `code` other than 0, or an event ERROR or exception. */
export function isSpanError(span: ExpectedSpan): boolean | undefined {
  if (span.statusCode === STATUS_ERROR) return true
  for (const { key, value } of span.attributes ?? []) {
    if (key === 'error' && (value === true || value === 'true')) return true
    if (key === 'code' && (typeof value === 'bigint' || typeof value === 'number') && Number(value) !== 0)
      return true
  }
  if (span.events?.some(({ name }) => name === 'ERROR' || name === 'exception')) return true
  return span.statusCode === undefined || span.attributes === undefined || span.events === undefined
    ? undefined
    : false
}

/** A node that ended, and not well. */
export function isNodeError(node: ExpectedNode): boolean | undefined {
  if (node.runningStatus === true) return false
  return node.runningStatus === undefined || node.endTimeMs === undefined ? undefined : node.endTimeMs > 0
}

/** Of each place of each log, what the highest revision that has it says. */
function newestNodes(revisions: readonly ExpectedRevision[]): ExpectedNode[] {
  const byPlace = new Map<string, ExpectedNode>()
  for (const revision of [...revisions].sort((a, b) => a.revision - b.revision)) {
    for (const [place, node] of revision.trace.entries()) byPlace.set(`${revision.logId}/${place}`, node)
  }
  return [...byPlace.values()]
}

/** Every trace id has a root, and every local parent is there. */
function areSpansComplete(spans: ReadonlyMap<string, ExpectedSpan>): boolean | undefined {
  const rooted = new Map<string, boolean>()
  let isUnknown = false
  for (const span of spans.values()) {
    const { traceId, parentSpanId, flags } = span
    let isRoot = parentSpanId === null
    if (parentSpanId === undefined) isUnknown = true
    else if (parentSpanId !== null && !spans.has(`${traceId}/${parentSpanId}`)) {
      if (flags === undefined) isUnknown = true
      else if ((flags & HAS_IS_REMOTE) !== 0 && (flags & IS_REMOTE) !== 0) isRoot = true
      else return false
    }
    rooted.set(traceId, (rooted.get(traceId) ?? false) || isRoot)
  }
  if (isUnknown) return undefined
  return [...rooted.values()].every(Boolean)
}

/** Every announced node is there, but in logs in which an end node has ended. */
function areNodesComplete(revisions: readonly ExpectedRevision[]): boolean | undefined {
  const logs = new Map<string, ExpectedNode[]>()
  for (const { logId, trace } of revisions) logs.set(logId, [...(logs.get(logId) ?? []), ...trace])
  let isUnknown = false
  for (const nodes of logs.values()) {
    if (nodes.some(isEndedEnd)) continue
    const known = new Set(nodes.flatMap(({ id, nodeId }) => [id, nodeId]))
    for (const node of nodes) {
      if (node.nextLogIds === undefined) isUnknown = true
      else if (node.nextLogIds.some((next) => next !== '' && !known.has(next))) return false
    }
  }
  return isUnknown ? undefined : true
}

function isEndedEnd(node: ExpectedNode): boolean {
  if ((node.endTimeMs ?? 0) <= 0) return false
  const type = node.nodeType?.toLowerCase()
  const isEndId = (id: string | undefined) => id?.startsWith('node-end') === true
  return type === 'end' || type === 'node-end' || isEndId(node.id) || isEndId(node.nodeId)
}

function countTrue(values: readonly (boolean | undefined)[]): number | undefined {
  return values.includes(undefined) ? undefined : values.filter((value) => value === true).length
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
