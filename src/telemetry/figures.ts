/** One assigned partition as the source sees it. */
export interface PartitionFigures {
  readonly partition: number
  /** Records between the watermark and the end of the partition. */
  readonly lagRecords: number
  /** Age of the newest record that was read, where there is something left to read; 0 = read to the end. */
  readonly lagSeconds: number
  /** Age of the oldest record that is not settled; 0 = everything is. */
  readonly watermarkAgeSeconds: number
  /** It stands still, since too many of its records would become dead letters. */
  readonly isStopped: boolean
}

/** Totals that the source counts itself. */
export interface SourceFigures {
  readonly commitsOk: number
  readonly commitsFailed: number
  readonly rebalances: number
  /** Batches that began elsewhere than the last one ended. */
  readonly jumps: number
  /** Records that retention deleted before they were read. */
  readonly lostByRetention: number
  /** Times that a partition had to wait for a schema or for the dead-letter topic. */
  readonly blocked: number
  /** Batches that came while reading was paused, and were left for later, whole or in part. */
  readonly refusedBatches: number
  /** Fetches that brought more than may be unpacked at once: the rest was left for later. */
  readonly cutFetches: number
}

/** What stands at the moment: read when `/metrics` is asked. */
export interface WorkerFigures {
  readonly partitions: readonly PartitionFigures[]
  readonly source: SourceFigures
  readonly openTraces: number
  readonly openBytes: number
  readonly slabBytes: number
  /** Part of the memory shares that may be used: less than 1 while the process is over its limit. */
  readonly memoryScale: number
  readonly undeliveredBytes: number
  readonly batchesInFlight: number
  readonly deadLetterQueueRecords: number
  readonly deadLetterQueueBytes: number
  /** Queued bytes by best-effort sink. */
  readonly sinkQueueBytes: Readonly<Record<string, number>>
  /** Reasons for which the source is paused now. */
  readonly pausedReasons: readonly string[]
  readonly isReady: boolean
}

export const PAUSE_REASONS = ['undelivered', 'memory'] as const
