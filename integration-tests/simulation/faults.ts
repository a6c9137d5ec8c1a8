import type { SeededRandom } from '../../src/audit/seeded-random.ts'
import { isTight, type RunOptions } from './options.ts'

/** Requests that a fault can hit. */
export const REQUESTS = [
  'join',
  'heartbeat',
  'fetch',
  'commit',
  'read ledger',
  'list offsets',
  'tables',
  'archive',
  'otlp',
  'dead letters',
  'payloads',
  'registry',
] as const
export type RequestName = (typeof REQUESTS)[number]

/**
 * How a server fails: `request lost` = nothing is done, an error comes; `reply lost` = all is done, an error comes; `part done` = a part is
 * done, an error comes; `slow`; `hangs` = nothing until the caller's deadline, done or not.
 */
export const FAILURES = ['request lost', 'reply lost', 'part done', 'slow', 'hangs'] as const
export type Failure = (typeof FAILURES)[number]

export type Fault =
  | {
      readonly kind: 'kill' | 'stop'
      readonly worker: number
      readonly atMs: number
      readonly awayMs: number
    }
  /** Killed when its n-th such request has left, before the answer. */
  | {
      readonly kind: 'kill at'
      readonly worker: number
      readonly request: RequestName
      readonly nth: number
      readonly awayMs: number
    }
  | { readonly kind: 'freeze'; readonly worker: number; readonly atMs: number; readonly forMs: number }
  | { readonly kind: 'evict'; readonly worker: number; readonly atMs: number }
  /** A member joins again, and the group was at rest; `isInVain` = its request does not arrive (a coordinator that has moved). */
  | { readonly kind: 'join'; readonly worker: number; readonly atMs: number; readonly isInVain: boolean }
  /** One worker is started again and again; meanwhile the others hear of committed offsets up to so much late. */
  | {
      readonly kind: 'storm'
      readonly worker: number
      readonly atMs: number
      readonly times: number
      readonly everyMs: number
      readonly lateLedgersMs: number
    }
  /** What the coordinator says of committed offsets reaches one worker late: maybe after another assignment. */
  | {
      readonly kind: 'late ledger'
      readonly worker: number
      readonly atMs: number
      readonly forMs: number
      readonly byMs: number
    }
  /** See {@link BadDeploy}. Mended, or not, as the run's options say. */
  | {
      readonly kind: 'bad deploy'
      readonly how: 'schema' | 'rows'
      readonly atMs: number
      readonly forMs: number
      readonly share: number
    }
  | { readonly kind: 'astray'; readonly worker: number; readonly atMs: number; readonly by: number }
  | {
      readonly kind: 'failure'
      readonly request: RequestName
      readonly how: Failure
      readonly atMs: number
      readonly forMs: number
    }
  | { readonly kind: 'kafka away'; readonly atMs: number; readonly forMs: number }
  | { readonly kind: 'leader move'; readonly partition: number; readonly atMs: number }
  /** A replica that lags answers a fetch: the offset is out of range, and it is not. Then whoever fetched joins again, as it does for a leader that has moved. */
  | {
      readonly kind: 'out of range'
      readonly partition: number
      readonly atMs: number
      readonly joinsAfterMs: number
    }
  | {
      readonly kind: 'retention' | 'truncation'
      readonly partition: number
      readonly atMs: number
      readonly share: number
    }
  | { readonly kind: 'growth'; readonly atMs: number; readonly by: number; readonly noticedAfterMs: number }
  | {
      readonly kind: 'memory over limit'
      readonly worker: number
      readonly atMs: number
      readonly forMs: number
      /** Where it stays afterwards, as a share of the limit. */
      readonly restsAt: number
    }

/** Faults end by then; afterwards everything must come to its end. */
export const FAULTS_END_MS = 14_000

const MAKERS: readonly [weight: number, make: (random: SeededRandom, options: RunOptions) => Fault][] = [
  [5, (random, o) => ({ kind: 'kill', ...when(random, o), awayMs: random.integer(50, 3_000) })],
  [
    4,
    (random, o) => ({
      kind: 'kill at',
      worker: random.integer(0, o.workers - 1),
      request: random.pick([
        'commit',
        'tables',
        'tables',
        'archive',
        'dead letters',
        'payloads',
        'join',
        'read ledger',
        'fetch',
      ]),
      nth: random.integer(1, 8),
      awayMs: random.integer(50, 3_000),
    }),
  ],
  [3, (random, o) => ({ kind: 'stop', ...when(random, o), awayMs: random.integer(50, 3_000) })],
  [
    4,
    (random, o) => ({
      kind: 'freeze',
      ...when(random, o),
      forMs: random.pick([300, 1_500, 3_000, 5_500, 8_000]),
    }),
  ],
  [2, (random, o) => ({ kind: 'evict', ...when(random, o) })],
  [2, (random, o) => ({ kind: 'join', ...when(random, o), isInVain: random.chance(0.5) })],
  [
    1,
    (random, o) => ({
      kind: 'storm',
      worker: random.integer(0, o.workers - 1),
      atMs: random.integer(0, 7_000),
      times: random.integer(2, 4),
      everyMs: random.integer(700, 1_700),
      lateLedgersMs: random.pick([0, 3_000, 5_000]),
    }),
  ],
  [
    2,
    (random, o) => ({
      kind: 'late ledger',
      ...when(random, o),
      forMs: random.pick([2_000, 5_000]),
      byMs: random.pick([1_000, 3_000, 5_000]),
    }),
  ],
  [1, (random, o) => ({ kind: 'astray', ...when(random, o), by: random.pick([-3, 2, 5]) })],
  [
    12,
    (random) => ({
      kind: 'failure',
      request: random.pick(REQUESTS),
      how: random.pick(FAILURES),
      atMs: random.integer(0, 11_000),
      forMs: random.pick([100, 600, 2_000, 4_000]),
    }),
  ],
  [
    1,
    (random) => ({
      kind: 'kafka away',
      atMs: random.integer(0, 9_000),
      forMs: random.pick([500, 2_500, 5_000]),
    }),
  ],
  [
    2,
    (random, o) => ({
      kind: 'leader move',
      partition: random.integer(0, o.partitions - 1),
      atMs: random.integer(500, 11_000),
    }),
  ],
  [1, (random, o) => ({ kind: 'retention', ...cut(random, o) })],
  [1, (random, o) => ({ kind: 'truncation', ...cut(random, o) })],
  [
    1,
    (random) => ({
      kind: 'growth',
      atMs: random.integer(500, 8_000),
      by: random.integer(1, 2),
      noticedAfterMs: random.integer(100, 3_000),
    }),
  ],
  [
    1,
    (random, o) => ({
      kind: 'memory over limit',
      ...when(random, o),
      forMs: random.integer(500, 4_000),
      restsAt: random.pick([0, 0.83, 0.88]),
    }),
  ],
]

export function randomFaults(random: SeededRandom, options: RunOptions): Fault[] {
  const count = random.pick([0, 1, 1, 2, 3, 4, 6, 9])
  const total = MAKERS.reduce((sum, [weight]) => sum + weight, 0)
  const faults = Array.from({ length: count }, () => {
    let at = random.next() * total
    for (const [weight, make] of MAKERS) {
      at -= weight
      if (at < 0) return make(random, options)
    }
    return MAKERS[0]![1](random, options)
  })
  // Without it the caps have little to do; with the caps of production no run has enough records.
  if (isTight(options)) faults.push(badDeploy(random))
  return faults
}

/** In one run of twenty. With randomness of its own, so that everything else of a seed stays as it was without this fault. */
export function randomOutOfRange(random: SeededRandom, options: RunOptions): Fault[] {
  if (!random.chance(0.05)) return []
  const isSoon = random.chance(0.5)
  return [
    {
      kind: 'out of range',
      partition: random.integer(0, options.partitions - 1),
      atMs: random.integer(500, 12_000),
      // Right after it, or when the client has begun elsewhere and the log is being asked why.
      joinsAfterMs: isSoon ? random.integer(0, 20) : options.maxWaitMs + random.integer(0, 80),
    },
  ]
}

function badDeploy(random: SeededRandom): Fault {
  return {
    kind: 'bad deploy',
    how: random.pick(['schema', 'rows']),
    atMs: random.integer(0, 5_000),
    forMs: random.pick([2_000, 5_000, 10_000]),
    share: random.pick([0.6, 1, 1]),
  }
}

export function describeFault(fault: Fault): string {
  const { kind, ...rest } = fault
  const fields = Object.entries(rest).map(([name, value]) => `${name}=${value}`)
  return `${kind} ${fields.join(' ')}`
}

function when(random: SeededRandom, options: RunOptions): { worker: number; atMs: number } {
  return { worker: random.integer(0, options.workers - 1), atMs: random.integer(0, 11_000) }
}

function cut(random: SeededRandom, options: RunOptions): { partition: number; atMs: number; share: number } {
  return {
    partition: random.integer(0, options.partitions - 1),
    atMs: random.integer(1_000, 11_000),
    share: random.next(),
  }
}
