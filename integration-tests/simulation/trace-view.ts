import type { FragmentFacts, LogFact, NodeFact } from '../../src/model/fragment.ts'

/** A row of the view `traces`, without `reason` and `fragments`, which depend on how the trace was cut. */
export interface TraceView {
  readonly appIds: readonly string[]
  readonly status: 'complete' | 'partial'
  readonly root: string
  readonly services: readonly string[]
  readonly uid: string
  readonly chatId: string
  readonly traceIds: readonly string[]
  readonly startNs: bigint
  readonly endNs: bigint
  readonly spanCount: number
  readonly errorCount: number
  readonly nodeCount: number
  readonly nodeErrorCount: number
  readonly logCount: number
  /** Question, prompt, completion, total. */
  readonly tokens: readonly number[]
  readonly reported: readonly number[]
  readonly missingParents: readonly bigint[]
  readonly missingNodes: readonly bigint[]
  readonly unrooted: readonly bigint[]
  readonly hasCollision: boolean
  readonly firstReceivedMs: number
  readonly lastReceivedMs: number
}

/** What the SQL of the view `traces` (0007-traces.sql) makes of the fragments of one SID: sets united, newest facts, set differences. */
export function mergeFragments(fragments: readonly FragmentFacts[]): TraceView {
  const spans = unite(fragments.map(({ spanKeys }) => spanKeys))
  const nodes = newest(fragments.flatMap((facts) => facts.nodes))
  const logs = newest(fragments.flatMap((facts) => facts.logs))
  const ended = unite(fragments.map(({ endedLogKeys }) => endedLogKeys))
  const nodeIds = unite(fragments.map(({ nodeIdKeys }) => nodeIdKeys))
  const announced = fragments.flatMap((facts) => facts.announced)
  const rooted = unite(fragments.map(({ rootedTraceKeys }) => rootedTraceKeys))
  const missingParents = except(unite(fragments.map((facts) => facts.missingParents)), spans)
  const missingNodes = except(
    new Set(announced.filter(({ logKey }) => !ended.has(logKey)).map(({ nodeKey }) => nodeKey)),
    nodeIds,
  )
  const unrooted = except(unite(fragments.map(({ traceKeys }) => traceKeys)), rooted)
  const identities = fragments.flatMap((facts) =>
    facts.identities.map((identity) => ({ ...identity, app: facts.appId })),
  )
  const starts = fragments.map(({ startTimeNs }) => startTimeNs).filter((time) => time !== 0n)
  return {
    appIds: distinct(fragments.map(({ appId }) => appId)),
    status: missingParents.length + missingNodes.length + unrooted.length === 0 ? 'complete' : 'partial',
    root: rootOf(fragments, spans),
    services: distinct(fragments.flatMap(({ services }) => services)),
    uid: distinct(identities.map(({ uid }) => uid))[0] ?? '',
    chatId: distinct(identities.map(({ chatId }) => chatId))[0] ?? '',
    traceIds: distinct(fragments.flatMap(({ traceIds }) => traceIds)),
    startNs: ordered(starts)[0] ?? 0n,
    endNs: ordered(fragments.map(({ endTimeNs }) => endTimeNs)).at(-1) ?? 0n,
    spanCount: spans.size,
    errorCount: unite(fragments.map(({ errorKeys }) => errorKeys)).size,
    nodeCount: nodes.length,
    nodeErrorCount: nodes.filter(({ isError }) => isError).length,
    logCount: logs.length,
    tokens: sumTokens(nodes),
    reported: sumTokens(logs),
    missingParents,
    missingNodes,
    unrooted,
    hasCollision: hasCollision(identities),
    firstReceivedMs: Math.min(...fragments.map(({ firstReceivedAtMs }) => firstReceivedAtMs)),
    lastReceivedMs: Math.max(...fragments.map(({ lastReceivedAtMs }) => lastReceivedAtMs)),
  }
}

/** Services that claim more than one app, user or chat. */
export function hasCollision(
  identities: readonly { service: string; app: string; uid: string; chatId: string }[],
): boolean {
  return distinct(identities.map(({ service }) => service)).some((service) => {
    const own = identities.filter((identity) => identity.service === service)
    return (['app', 'uid', 'chatId'] as const).some(
      (field) => distinct(own.map((one) => one[field])).length > 1,
    )
  })
}

/** Each that is not empty once, sorted. */
export function distinct(texts: readonly string[]): string[] {
  return [...new Set(texts.filter((text) => text !== ''))].sort()
}

/** What differs between two rows, by name; empty = equal. */
export function differences(expected: TraceView, found: TraceView): string[] {
  const names = Object.keys(expected) as (keyof TraceView)[]
  return names.flatMap((name) => {
    if (name === 'unrooted') return unrootedDifferences(expected, found)
    const [want, have] = [text(expected[name]), text(found[name])]
    return want === have ? [] : [`${name}: expected ${want}, found ${have}`]
  })
}

/**
 * A fragment whose only root has a remote parent says that its trace id has a root; the union cannot take that back when another fragment has
 * the parent. So a trace id without a root may not be listed, but only where a missing parent tells of the gap.
 */
function unrootedDifferences(expected: TraceView, found: TraceView): string[] {
  const isTold = expected.missingParents.length > 0
  const wrong = [
    ...found.unrooted.filter((key) => !expected.unrooted.includes(key)),
    ...(isTold ? [] : expected.unrooted.filter((key) => !found.unrooted.includes(key))),
  ]
  return wrong.length === 0
    ? []
    : [`unrooted: expected ${text(expected.unrooted)}, found ${text(found.unrooted)}`]
}

function text(value: unknown): string {
  return Array.isArray(value) ? `[${value.map(String).join(', ')}]` : String(value)
}

function rootOf(fragments: readonly FragmentFacts[], spans: ReadonlySet<bigint>): string {
  const own = fragments
    .filter(({ rootStartTimeNs, remoteRoots }) => rootStartTimeNs !== 0n && remoteRoots.length === 0)
    .map((facts) => [facts.rootStartTimeNs, facts.rootName, facts.rootService] as const)
  const remote = fragments
    .flatMap(({ remoteRoots }) => remoteRoots)
    .filter(({ parentKey }) => !spans.has(parentKey))
    .map((root) => [root.startTimeNs, root.name, root.service] as const)
  return earliestRoot(own.length > 0 ? own : remote)
}

export function earliestRoot(roots: readonly (readonly [bigint, string, string])[]): string {
  const sorted = roots.map(([start, name, service]) => `${start} ${name} ${service}`).sort()
  return sorted[0] ?? ''
}

/** `maxMap`: of each key the greatest tuple. */
function newest<Fact extends NodeFact | LogFact>(facts: readonly Fact[]): Fact[] {
  const byKey = new Map<bigint, Fact>()
  for (const fact of facts) {
    const held = byKey.get(fact.key)
    if (held === undefined || isNewer(fact, held)) byKey.set(fact.key, fact)
  }
  return [...byKey.values()]
}

function isNewer(a: NodeFact, b: NodeFact): boolean {
  if (a.version !== b.version) return a.version > b.version
  return rank(a) > rank(b)
}

function rank({ isError, tokens }: NodeFact): number {
  return (
    (((Number(isError) * 100 + tokens.question) * 100 + tokens.prompt) * 100 + tokens.completion) * 100 +
    tokens.total
  )
}

function sumTokens(facts: readonly NodeFact[]): number[] {
  return (['question', 'prompt', 'completion', 'total'] as const).map((name) =>
    facts.reduce((sum, { tokens }) => sum + tokens[name], 0),
  )
}

function unite(lists: readonly Iterable<bigint>[]): Set<bigint> {
  const all = new Set<bigint>()
  for (const list of lists) for (const key of list) all.add(key)
  return all
}

export function except(keys: Iterable<bigint>, known: ReadonlySet<bigint>): bigint[] {
  return ordered([...keys].filter((key) => !known.has(key)))
}

export function ordered(values: readonly bigint[]): bigint[] {
  return [...values].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
}
