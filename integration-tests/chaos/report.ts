import type { Verdict } from './final-checks.ts'
import { quantile } from './metrics.ts'
import type { Injection, Timeline } from './timeline.ts'

/** An injection, and how long traces took meanwhile. */
export interface ReportedInjection extends Injection {
  /** Span rows that were written meanwhile and had been written before. */
  readonly rewritten: number
  readonly p99DelayMs: number
  readonly maxDelayMs: number
}

export interface Report {
  readonly seed: number
  readonly minutes: number
  readonly rate: number
  readonly startedAt: string
  readonly isClean: boolean
  readonly problems: readonly string[]
  readonly unexpectedEnds: readonly string[]
  readonly loads: number
  readonly records: number
  readonly rowsWritten: number
  readonly rowsRewritten: number
  readonly calmDelayMs: { readonly p50: number; readonly p99: number }
  readonly verdict: Verdict
  readonly injections: readonly ReportedInjection[]
}

export function calmDelay({ calmDelaysMs }: Timeline): Report['calmDelayMs'] {
  return { p50: quantile(calmDelaysMs, 0.5), p99: quantile(calmDelaysMs, 0.99) }
}

/** The table of `docs/reliability.md`, and what stands around it. */
export function formatReport(report: Report): string {
  const { verdict, injections, calmDelayMs } = report
  const { poison, canaries } = verdict
  const names = [...new Set(injections.map(({ fault }) => fault))].sort()
  const lost = report.isClean ? '0 / 0' : 'see below'
  const rows = names.map((name) => {
    const all = injections.filter(({ fault }) => fault === name)
    const recoveries = all.map(({ recoveryMs }) => recoveryMs ?? Number.POSITIVE_INFINITY)
    return [
      name,
      all.length,
      `${seconds(quantile(recoveries, 0.5))} / ${seconds(Math.max(...recoveries))}`,
      seconds(Math.max(...all.map(({ p99DelayMs }) => p99DelayMs))),
      lost,
      sum(all.map(({ reread }) => reread)),
      sum(all.map(({ rewritten }) => rewritten)),
    ].join(' | ')
  })
  const measured = injections.flatMap(({ fault, measured: figures }) =>
    Object.entries(figures).map(([name, value]) => `- ${fault}: ${name}: ${Math.round(value)}`),
  )
  return [
    `seed ${report.seed}, ${report.minutes.toFixed(1)} minutes, ${report.rate} spans/s, ${report.startedAt}`,
    '',
    '| fault | times | recovery median / max (s) | worst p99 trace delay (s) | lost / duplicated | records read again | rows written again |',
    '|---|---|---|---|---|---|---|',
    ...rows.map((row) => `| ${row} |`),
    '',
    `- verify: ${verdict.verified.join('; ')}`,
    `- ${report.records} records, ${report.rowsWritten} span rows written, ${report.rowsRewritten} of them again; ${report.loads} load(s)`,
    `- dead letters: ${poison.sent} poison records sent, ${poison.letters} letters, ${poison.repeated} repeated, ${poison.omittedValues} without their value`,
    `- canary traces: ${canaries.seen} seen, ${canaries.missing.length} missing; delay between faults: median ${seconds(calmDelayMs.p50)} s, p99 ${seconds(calmDelayMs.p99)} s`,
    `- ends of workers that were not asked for: ${report.unexpectedEnds.length === 0 ? 'none' : report.unexpectedEnds.join(', ')}`,
    ...measured,
    ...(report.isClean ? [] : ['', 'PROBLEMS', ...report.problems]),
    '',
  ].join('\n')
}

function seconds(ms: number): string {
  return Number.isFinite(ms) ? (ms / 1_000).toFixed(1) : '–'
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
