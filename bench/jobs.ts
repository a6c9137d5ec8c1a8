import type { DataName } from './data-sets.ts'

/** What is measured beside a job, by turns, in the same run. */
export interface Comparison {
  readonly data: DataName
  readonly openTraces: number
  /** In place of the job's settings; then without its receiver. */
  readonly env?: Readonly<Record<string, string>>
}

/** One job of the bench: data, how much of it, and how the worker is set up. */
export interface Job {
  readonly about: string
  readonly data: DataName
  /** Spans, or logs. */
  readonly units: number
  /** Traces that are open at once at the peak, about. */
  readonly openTraces: number
  /** Settings of the worker beside the defaults. */
  readonly env?: Readonly<Record<string, string>>
  /** Re-exports to one gRPC receiver on loopback: a process of its own that answers, or one that takes connections and never does. */
  readonly receiver?: 'answers' | 'hangs'
  readonly comparedWith?: Comparison
}

const SPANS = 480_000
const OPEN_TRACES = 8_000
/** Of values of 20 KB as many wait as of spans: at the default limit garbage would be collected most of the time. */
const LARGE_VALUES = { SIDEREAL_MAX_MEMORY: '700MB' }

export type JobName = 'plain' | 'otlp' | 'hard' | 'single' | 'open' | 'logs' | 'payloads' | 'stuck'

export const JOBS: Readonly<Record<JobName, Job>> = {
  plain: {
    about: 'Kafka → assembled → ClickHouse, with ledger, completion and payload detection',
    data: 'plain',
    units: SPANS,
    openTraces: OPEN_TRACES,
  },
  otlp: {
    about: 'plain, and OTLP re-export to one gRPC receiver, without compression',
    data: 'plain',
    units: SPANS,
    openTraces: OPEN_TRACES,
    env: { SIDEREAL_SINKS: 'clickhouse,otlp', SIDEREAL_OTLP_COMPRESSION: 'none' },
    receiver: 'answers',
  },
  hard: {
    about: '12 attributes out of 200 keys in random order, 300 pods, Chinese texts, random doubles',
    data: 'hard',
    units: SPANS,
    openTraces: OPEN_TRACES,
  },
  single: {
    about: 'plain, one span a record',
    data: 'single',
    units: SPANS,
    openTraces: OPEN_TRACES,
  },
  open: {
    about: 'plain with 100,000 open traces, beside the same data with 8,000',
    data: 'plain',
    // A trace stays open for five sixths of the time in which all of them begin.
    units: 1_440_000,
    openTraces: 100_000,
    env: { SIDEREAL_MAX_MEMORY: '1300MB' },
    comparedWith: { data: 'plain', openTraces: OPEN_TRACES },
  },
  logs: {
    about: 'NodeTraceLogs of 8 nodes, 20 KB, no value over the limit for payloads',
    data: 'logs',
    units: 24_000,
    openTraces: 4_000,
    env: LARGE_VALUES,
  },
  payloads: {
    about: '1 in 50 spans with a value of 20 KB, beside the same spans without',
    data: 'payloads',
    units: SPANS,
    openTraces: OPEN_TRACES,
    env: LARGE_VALUES,
    comparedWith: { data: 'plain', openTraces: OPEN_TRACES },
  },
  stuck: {
    about: 'plain, and a best-effort OTLP sink whose receiver never answers, beside plain without it',
    data: 'plain',
    units: SPANS,
    openTraces: OPEN_TRACES,
    env: { SIDEREAL_SINKS: 'clickhouse,otlp:best-effort' },
    receiver: 'hangs',
    comparedWith: { data: 'plain', openTraces: OPEN_TRACES, env: { SIDEREAL_SINKS: 'clickhouse' } },
  },
}

/** @throws Error that lists the names */
export function jobNamed(name: string): Job {
  const job = Object.hasOwn(JOBS, name) ? JOBS[name as JobName] : undefined
  if (job === undefined) throw new Error(`no job ${name}: one of ${Object.keys(JOBS).join(', ')}`)
  return job
}
