import { setTimeout as sleep } from 'node:timers/promises'
import type { CanaryDelay } from './canaries.ts'
import type { Fault, FaultContext } from './fault.ts'
import type { Level, Watch } from './watch.ts'

const RECOVERY_TIMEOUT_MS = 600_000
const MIN_GAP_MS = 6_000
const MAX_GAP_MS = 12_000
const WARM_UP_MS = 45_000

/** One injection. Times are Unix milliseconds. */
export interface Injection {
  readonly fault: string
  readonly startedMs: number
  readonly endedMs: number
  /** Undefined = not within the time. */
  readonly recoveryMs: number | undefined
  /** Records that some worker read and some worker had read before; ± what was on its way at both ends. */
  readonly reread: number
  readonly measured: Readonly<Record<string, number>>
  readonly recoveredMs: number
  /** From the start until the recovery, monotonic. */
  readonly window: { readonly fromMs: number; readonly untilMs: number }
}

/** How long traces took that were sent while the fault was on or not yet over. */
export function delaysDuring({ window }: Injection, delays: readonly CanaryDelay[]): number[] {
  return delays.flatMap(({ sentMs, delayMs }) =>
    sentMs >= window.fromMs && sentMs <= window.untilMs ? [delayMs] : [],
  )
}

export interface TimelineOptions {
  readonly faults: readonly Fault[]
  readonly context: Omit<FaultContext, 'measured' | 'broken'>
  readonly watch: Watch
  readonly durationMs: number
  readonly broken: (what: string) => void
  readonly signal: AbortSignal
}

export interface Timeline {
  readonly injections: readonly Injection[]
  /** Delays of traces while no fault was on and the last was over. */
  readonly calmDelaysMs: readonly number[]
}

/** Injects the faults in random order, each as often as any other, with a recovery between two, until the time is over. */
export async function runTimeline(options: TimelineOptions): Promise<Timeline> {
  const { context, faults, watch, durationMs, signal } = options
  const { random, canaries, say } = context
  const injections: Injection[] = []
  const calmDelaysMs: number[] = []
  const startMs = performance.now()
  const deck: Fault[] = []
  await sleep(WARM_UP_MS)
  while (performance.now() - startMs < durationMs && !signal.aborted) {
    const calmFromMs = performance.now()
    await sleep(random.integer(MIN_GAP_MS, MAX_GAP_MS))
    for (const { sentMs, delayMs } of canaries.delays) if (sentMs >= calmFromMs) calmDelaysMs.push(delayMs)
    if (deck.length === 0) deck.push(...faults)
    if (deck.length === 0) continue
    const [fault] = deck.splice(random.integer(0, deck.length - 1), 1)
    const injection = await inject(fault!, options, await watch.level(calmFromMs))
    injections.push(injection)
    const recovery =
      injection.recoveryMs === undefined ? 'NOT' : `after ${(injection.recoveryMs / 1_000).toFixed(1)} s`
    say(`${injection.fault}: recovered ${recovery}`)
  }
  return { injections, calmDelaysMs }
}

async function inject(fault: Fault, options: TimelineOptions, level: Level): Promise<Injection> {
  const { context, watch, broken } = options
  const { say } = context
  const before = watch.last
  const startedMs = Date.now()
  const startedAtMs = performance.now()
  const measured: Record<string, number> = {}
  say(`${fault.name} begins (lag ${level.lag}, oldest trace ${Math.round(level.oldestCanaryMs)} ms)`)
  try {
    await fault.inject({
      ...context,
      broken: (what) => broken(`${fault.name}: ${what}`),
      measured: (name, value) => {
        measured[name] = value
      },
    })
  } catch (error) {
    broken(`${fault.name}: ${error instanceof Error ? error.message : String(error)}`)
  }
  const endedMs = Date.now()
  const endedAtMs = performance.now()
  const backAtMs = await watch.untilBack(level, endedAtMs, RECOVERY_TIMEOUT_MS)
  if (backAtMs === undefined)
    broken(`${fault.name}: not recovered after ${RECOVERY_TIMEOUT_MS / 1_000} s; lag ${watch.last?.lag}`)
  const untilMs = backAtMs ?? performance.now()
  const after = watch.last
  const read = (after?.consumed ?? 0) - (before?.consumed ?? 0)
  const appended = (after?.logEnd ?? Number.NaN) - (before?.logEnd ?? Number.NaN)
  return {
    fault: fault.name,
    startedMs,
    endedMs,
    recoveryMs: backAtMs === undefined ? undefined : Math.max(0, backAtMs - endedAtMs),
    reread: Math.max(0, Math.round(read - appended)),
    recoveredMs: Date.now(),
    measured,
    window: { fromMs: startedAtMs, untilMs },
  }
}
