import type { FragmentFacts, RemoteRoot } from '../model/fragment.ts'
import type { SpanRoot } from './span-facts.ts'

type RootFacts = Pick<FragmentFacts, 'rootName' | 'rootService' | 'rootStartTimeNs' | 'remoteRoots'>

const NO_ROOTS: readonly RemoteRoot[] = []

/** What the facts say of the roots of a fragment. The order of the roots and their repetition do not count. */
export function rootFacts(roots: readonly SpanRoot[], serviceOf: (record: number) => string): RootFacts {
  const [only] = roots
  if (only !== undefined && roots.length === 1 && only.parentKey === undefined) {
    const { name, startTimeNs, record } = only
    return {
      rootName: name,
      rootService: serviceOf(record),
      rootStartTimeNs: startTimeNs,
      remoteRoots: NO_ROOTS,
    }
  }
  const trueRoots = roots.filter((root) => root.parentKey === undefined)
  const remoteRoots = trueRoots.length > 0 ? NO_ROOTS : sorted(roots, serviceOf)
  const first = trueRoots.length > 0 ? sorted(trueRoots, serviceOf)[0] : remoteRoots[0]
  return {
    rootName: first?.name ?? '',
    rootService: first?.service ?? '',
    rootStartTimeNs: first?.startTimeNs ?? 0n,
    remoteRoots,
  }
}

/** Each once. */
function sorted(roots: readonly SpanRoot[], serviceOf: (record: number) => string): RemoteRoot[] {
  const all = roots.map(({ startTimeNs, name, record, parentKey = 0n }) => ({
    startTimeNs,
    name,
    service: serviceOf(record),
    parentKey,
  }))
  if (all.length < 2) return all
  all.sort(compare)
  return all.filter((root, i) => i === 0 || compare(all[i - 1]!, root) !== 0)
}

function compare(a: RemoteRoot, b: RemoteRoot): number {
  if (a.startTimeNs !== b.startTimeNs) return a.startTimeNs < b.startTimeNs ? -1 : 1
  const order = compareText(a.name, b.name) || compareText(a.service, b.service)
  if (order !== 0 || a.parentKey === b.parentKey) return order
  return a.parentKey < b.parentKey ? -1 : 1
}

/** By UTF-8, as ClickHouse does when it merges fragments: JavaScript orders some characters otherwise. */
function compareText(a: string, b: string): number {
  return a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b))
}
