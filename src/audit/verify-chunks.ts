import type { ExpectedTrace } from './expected.ts'
import { expectedTimes } from './expected-times.ts'
import type { RowBounds } from './verify-reader.ts'

export const CHUNK_TRACES = 200
const CHUNK_ROWS = 4_000
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
  let firstNs: bigint | undefined
  let lastNs: bigint | undefined
  const include = (timeNs: bigint) => {
    if (firstNs === undefined || timeNs < firstNs) firstNs = timeNs
    if (lastNs === undefined || timeNs > lastNs) lastNs = timeNs
  }
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
  return firstNs === undefined || lastNs === undefined ? undefined : { appIds: [...appIds], firstNs, lastNs }
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
