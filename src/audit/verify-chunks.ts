import type { ExpectedTrace } from './expected.ts'
import { expectedTimes } from './expected-times.ts'
import type { RowBounds, TimeRange } from './verify-reader.ts'

/** A query costs about the same for ten traces as for a thousand: it reads the granules of the minutes in which they lie. */
export const CHUNK_TRACES = 1_000
const CHUNK_ROWS = 20_000
/** Times further apart than this are ranges of their own, so that one span of 2003 does not make a query read everything since. */
const RANGE_GAP_NS = 600_000_000_000n
const MAX_RANGES = 64
const MS_NS = 1_000_000n

/** Traces in pieces that are small enough for one query. */
export async function* chunks(
  traces: AsyncIterable<ExpectedTrace> | Iterable<ExpectedTrace>,
): AsyncGenerator<ExpectedTrace[]> {
  let chunk: ExpectedTrace[] = []
  let rows = 0
  for await (const trace of traces) {
    chunk.push(trace)
    rows += trace.spans.length + trace.revisions.reduce((total, revision) => total + revision.trace.length, 0)
    if (chunk.length < CHUNK_TRACES && rows < CHUNK_ROWS) continue
    yield chunk
    chunk = []
    rows = 0
  }
  if (chunk.length > 0) yield chunk
}

/** Where the rows of these traces lie if all is well; `undefined` when the senders did not say enough. */
export function boundsOf(traces: readonly ExpectedTrace[]): RowBounds | undefined {
  const appIds = new Set<string>()
  const times: bigint[] = []
  const include = (timeNs: bigint) => times.push(timeNs)
  for (const { spans, revisions } of traces) {
    for (const { appId, startTimeNs, endTimeNs, events } of spans) {
      if (appId === undefined || startTimeNs === undefined || endTimeNs === undefined || events === undefined)
        return undefined
      appIds.add(appId)
      include(
        expectedTimes(
          startTimeNs,
          endTimeNs,
          events.map(({ timeNs }) => timeNs),
        ).startNs,
      )
    }
    for (const { appId, logId, startTimeMs, endTimeMs } of revisions) {
      if (appId === undefined || startTimeMs === undefined || endTimeMs === undefined) return undefined
      appIds.add(appId)
      include(expectedTimes(BigInt(startTimeMs) * MS_NS, BigInt(endTimeMs) * MS_NS, []).startNs)
      include(expectedTimes(BigInt(`0x${logId.slice(0, 12)}`) * MS_NS, 0n, []).startNs)
    }
  }
  return times.length === 0 ? undefined : { appIds: [...appIds], ranges: rangesOf(times) }
}

/** The times in as few ranges as have no long gap, at most {@link MAX_RANGES}. */
function rangesOf(times: bigint[]): TimeRange[] {
  times.sort((one, other) => (one < other ? -1 : one > other ? 1 : 0))
  for (let gapNs = RANGE_GAP_NS; ; gapNs *= 16n) {
    const ranges: { firstNs: bigint; lastNs: bigint }[] = []
    for (const timeNs of times) {
      const range = ranges.at(-1)
      if (range !== undefined && timeNs - range.lastNs <= gapNs) range.lastNs = timeNs
      else ranges.push({ firstNs: timeNs, lastNs: timeNs })
    }
    if (ranges.length <= MAX_RANGES) return ranges
  }
}

/** A growing row of flags. */
export class Bits {
  #bytes = new Uint8Array(1024)

  set(place: number): void {
    while (place >> 3 >= this.#bytes.length) {
      const grown = new Uint8Array(this.#bytes.length * 2)
      grown.set(this.#bytes)
      this.#bytes = grown
    }
    this.#bytes[place >> 3]! |= 1 << (place & 7)
  }

  has(place: number): boolean {
    return ((this.#bytes[place >> 3] ?? 0) & (1 << (place & 7))) !== 0
  }
}
