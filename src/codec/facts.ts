import type { FragmentFacts } from '../model/fragment.ts'
import { createTextReader } from './decode-runtime.ts'
import { KeyList } from './key-table.ts'
import { NodeFacts } from './node-facts.ts'
import { rootFacts } from './root-facts.ts'
import { SpanFacts, type SpanKeyLists } from './span-facts.ts'

/**
 * Whether anything that a trace announces or refers to is missing: `complete` = each trace id has a root, every local parent is there, no
 * announced node is outstanding; `complete_if_idle` = the same, but the only roots of some trace id have remote parents, which may
 * still come.
 */
export type Completeness = 'complete' | 'complete_if_idle' | 'incomplete'

/** Collectors may be many, and what they read as text is little: apps, services, users, root names. */
const TEXT_CACHE_SIZE = 256

/** One record of the fragment, after its walk. Times are clamped Unix nanoseconds; 0n = none. */
interface CollectedRecord {
  app: number
  isLog: boolean
  service: string
  uid: string
  chatId: string
  receivedAtMs: number
  startTimeNs: bigint
  endTimeNs: bigint
}

/**
 * Takes the facts of one fragment from its records' bytes: feed every record by `RecordType.collect`, in any order, then ask. Reused:
 * `reset` before the next fragment. A span or a node that comes twice counts once. The methods that begin with `begin`, `add` and `end` are
 * for the generated walks.
 */
export class FactsCollector {
  readonly #text = createTextReader(TEXT_CACHE_SIZE)
  readonly spans = new SpanFacts(this.#text)
  readonly nodes = new NodeFacts()
  readonly #records: CollectedRecord[] = []
  readonly #apps: string[] = []
  readonly #appIndex = new Map<string, number>()
  readonly #lists: SpanKeyLists = {
    span: new KeyList(),
    error: new KeyList(),
    missingParent: new KeyList(),
    trace: new KeyList(),
    rootedTrace: new KeyList(),
  }

  reset(): void {
    this.spans.reset()
    this.nodes.reset()
    this.#records.length = 0
    this.#apps.length = 0
    this.#appIndex.clear()
  }

  /** Index of the record that is being collected. */
  get record(): number {
    return this.#records.length
  }

  endBatch(
    b: Buffer,
    appAt: number,
    appLength: number,
    uidAt: number,
    uidLength: number,
    chatAt: number,
    chatLength: number,
    serviceAt: number,
    serviceLength: number,
    receivedAtMs: number,
    spanCount: number,
  ): void {
    const { minHigh, minLow, maxHigh, maxLow } = this.spans
    const hasSpans = spanCount > 0
    this.#records.push({
      app: this.#app(this.#text(b, appAt, appLength)),
      isLog: false,
      service: this.#text(b, serviceAt, serviceLength),
      uid: this.#text(b, uidAt, uidLength),
      chatId: this.#text(b, chatAt, chatLength),
      receivedAtMs,
      startTimeNs: hasSpans ? (BigInt(minHigh) << 32n) | BigInt(minLow) : 0n,
      endTimeNs: hasSpans ? (BigInt(maxHigh) << 32n) | BigInt(maxLow) : 0n,
    })
  }

  endLog(
    b: Buffer,
    logAt: number,
    appAt: number,
    appLength: number,
    uidAt: number,
    uidLength: number,
    chatAt: number,
    chatLength: number,
    serviceAt: number,
    serviceLength: number,
    revision: number,
    receivedAtMs: number,
    statusCode: number,
    startMs: number,
    endMs: number,
    question: number,
    prompt: number,
    completion: number,
    total: number,
  ): void {
    const tokens = { question, prompt, completion, total }
    this.nodes.addLog(b, logAt, revision, receivedAtMs, statusCode, startMs, endMs, tokens, this.record)
    this.#records.push({
      app: this.#app(this.#text(b, appAt, appLength)),
      isLog: true,
      service: this.#text(b, serviceAt, serviceLength),
      uid: this.#text(b, uidAt, uidLength),
      chatId: this.#text(b, chatAt, chatLength),
      receivedAtMs,
      startTimeNs: BigInt(this.nodes.minMs) * 1_000_000n,
      endTimeNs: BigInt(this.nodes.maxMs) * 1_000_000n,
    })
  }

  completeness(): Completeness {
    const spans = this.spans.completeness()
    if (spans === 'incomplete' || !this.nodes.isComplete()) return 'incomplete'
    return spans === 'remote' ? 'complete_if_idle' : 'complete'
  }

  /** The facts, one entry for each app id among the records, sorted by it. */
  build(): FragmentFacts[] {
    if (this.#apps.length === 1) return [this.#buildApp(0, undefined)]
    const spansOf: number[][] = this.#apps.map(() => [])
    for (let span = 0; span < this.spans.count; span++) {
      spansOf[this.#records[this.spans.recordOf(span)]!.app]!.push(span)
    }
    return this.#apps
      .map((_, app) => this.#buildApp(app, spansOf[app]!))
      .sort((a, b) => (a.appId < b.appId ? -1 : 1))
  }

  #buildApp(app: number, spans: readonly number[] | undefined): FragmentFacts {
    const records = this.#records
    const serviceOf = (record: number) => records[record]!.service
    const isWanted = this.#apps.length === 1 ? () => true : (record: number) => records[record]!.app === app
    const lists = this.#lists
    const traceIds = this.spans.list(spans, lists)
    const roots = this.spans.listRoots(spans, isWanted, lists.rootedTrace)
    const own = this.#apps.length === 1 ? records : records.filter((record) => record.app === app)
    const claimed = identities(own)
    const { firstReceivedAtMs, lastReceivedAtMs, startTimeNs, endTimeNs } = bounds(own)
    const { rootName, rootService, rootStartTimeNs, remoteRoots } = rootFacts(roots, serviceOf)
    // Not spread: a fragment of a few spans costs as much for its facts as for its rows.
    return {
      appId: this.#apps[app]!,
      firstReceivedAtMs,
      lastReceivedAtMs,
      startTimeNs,
      endTimeNs,
      traceIds,
      services: services(claimed),
      rootName,
      rootService,
      rootStartTimeNs,
      remoteRoots,
      identities: claimed,
      spanKeys: lists.span.take(),
      errorKeys: lists.error.take(),
      missingParents: lists.missingParent.take(),
      traceKeys: lists.trace.take(),
      rootedTraceKeys: lists.rootedTrace.take(),
      nodes: this.nodes.nodes(isWanted),
      logs: this.nodes.logs(isWanted),
      nodeIdKeys: this.nodes.nodeIdKeys(isWanted),
      announced: this.nodes.announced(isWanted),
      endedLogKeys: this.nodes.endedLogKeys(isWanted),
    }
  }

  #app(appId: string): number {
    if (this.#apps[0] === appId) return 0
    let app = this.#appIndex.get(appId)
    if (app === undefined) {
      app = this.#apps.push(appId) - 1
      this.#appIndex.set(appId, app)
    }
    return app
  }
}

function bounds(
  records: readonly CollectedRecord[],
): Pick<FragmentFacts, 'firstReceivedAtMs' | 'lastReceivedAtMs' | 'startTimeNs' | 'endTimeNs'> {
  let firstReceivedAtMs = Number.POSITIVE_INFINITY
  let lastReceivedAtMs = Number.NEGATIVE_INFINITY
  let startTimeNs = 0n
  let endTimeNs = 0n
  for (const record of records) {
    firstReceivedAtMs = Math.min(firstReceivedAtMs, record.receivedAtMs)
    lastReceivedAtMs = Math.max(lastReceivedAtMs, record.receivedAtMs)
    if (record.startTimeNs === 0n) continue
    if (startTimeNs === 0n || record.startTimeNs < startTimeNs) startTimeNs = record.startTimeNs
    if (record.endTimeNs > endTimeNs) endTimeNs = record.endTimeNs
  }
  return { firstReceivedAtMs, lastReceivedAtMs, startTimeNs, endTimeNs }
}

type Identity = FragmentFacts['identities'][number]

/** Up to so many, inserting each at its place costs less than sorting all; beyond it is the other way round. */
const MAX_INSERTED = 64

/** Each (service, uid, chat id) once, sorted. */
function identities(records: readonly CollectedRecord[]): FragmentFacts['identities'] {
  const found: Identity[] = []
  for (let index = 0; index < records.length; index++) {
    if (found.length > MAX_INSERTED) return sortedOnce([...found, ...records.slice(index)])
    const record = records[index]!
    const place = placeOf(record, found)
    const next = found[place]
    if (next !== undefined && compareIdentities(next, record) === 0) continue
    const { service, uid, chatId } = record
    if (next === undefined) found.push({ service, uid, chatId })
    else found.splice(place, 0, { service, uid, chatId })
  }
  return found
}

function sortedOnce(identities: readonly Identity[]): Identity[] {
  const all = identities.map(({ service, uid, chatId }) => ({ service, uid, chatId })).sort(compareIdentities)
  return all.filter((identity, i) => i === 0 || compareIdentities(all[i - 1]!, identity) !== 0)
}

/** Where the identity stands among sorted ones, or would stand: there are few, nearly always. */
function placeOf(identity: Identity, sorted: readonly Identity[]): number {
  let from = 0
  let to = sorted.length
  while (from < to) {
    const middle = (from + to) >>> 1
    if (compareIdentities(sorted[middle]!, identity) < 0) from = middle + 1
    else to = middle
  }
  return from
}

/** The services of sorted identities, each once; an unknown one is left out. */
function services(sorted: FragmentFacts['identities']): string[] {
  const found: string[] = []
  for (const { service } of sorted) {
    if (service !== '' && found.at(-1) !== service) found.push(service)
  }
  return found
}

function compareIdentities(a: Identity, b: Identity): number {
  return compareText(a.service, b.service) || compareText(a.uid, b.uid) || compareText(a.chatId, b.chatId)
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
