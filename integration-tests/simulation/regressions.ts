export interface Regression {
  readonly seed: number
  /** What this seed found when it was found. The fault itself is pinned by a unit test: a change of the generator changes what a seed does. */
  readonly found: string
}

/** Seeds that found something, worker or simulator. */
export const REGRESSIONS: readonly Regression[] = [
  { seed: 186, found: 'a ledger that names offsets beyond the end of a cut log was believed' },
  { seed: 372, found: 'a log that was cut to nothing was not noticed while nothing was produced' },
  { seed: 437, found: 'the same, with a client that went on at the new end' },
  { seed: 3_814, found: 'a log that was cut within what the ledger names was not noticed' },
  { seed: 12_746, found: 'a kept task was read again when its committed row was told late' },
  { seed: 12_553, found: 'what retention took before a stretch of control records was not counted' },
  { seed: 1_483, found: 'a join that failed before the first heartbeat left the process in doubt for ever' },
  {
    seed: 7_526,
    found: 'what partitions hold that stand still had no bound, when it no longer paused the others',
  },
  {
    seed: 991_755,
    found:
      'control records that had been fetched before a seek were taken for a hole behind it, and records were lost',
  },
  {
    seed: 86,
    found:
      'a batch whose last record filled the memory was left before the control records behind it, kafkajs was not: a quiet partition stood still',
  },
  { seed: 9_349, found: 'a row that kafkajs wiped without going elsewhere was not committed again' },
  { seed: 6_584, found: 'what was deleted of a log that is read again was not counted as lost' },
]
