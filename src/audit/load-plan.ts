/** What one load run sends: together with this, a trace's number gives its whole content. Kept in the first line of the ledger. */
export interface LoadPlan {
  readonly seed: number
  /** 16 random bits of this run: two runs never share a SID, whatever their seeds. */
  readonly run: number
  /** Start of the first trace. Unix milliseconds. */
  readonly startMs: number
  readonly traces: number
  readonly spansPerTrace: number
  /** Share of traces that carry values of 5 KB to 200 KB. */
  readonly payloadShare: number
  /** Whether each trace has a NodeTraceLog. */
  readonly hasLogs: boolean
  /**
   * Share of traces in which something is referred to that is never sent: in one half of them a span misses its parent, the others have
   * only roots whose remote parents are nowhere. Both wait for `SIDEREAL_IDLE_MS`.
   */
  readonly openShare: number
  /** Share of traces in which one span has a time that no clock should have: 0, −1, 1971, 2107, 2150, 2262, 40 days ago, an end before its start. */
  readonly oddTimeShare: number
}

export const SPANS_PER_RECORD = 4
