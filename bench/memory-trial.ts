import { setTimeout as sleep } from 'node:timers/promises'
import { type Metrics, WorkerProcess } from './worker-process.ts'

const MIB = 1024 * 1024
const SAMPLE_MS = 250
const LOG_FOLDER = '.sidereal/memory'

type Environment = Readonly<Record<string, string>>

/** What a worker held at one moment. Bytes. */
export interface MemorySample {
  readonly atSeconds: number
  readonly rss: number
  readonly heapUsed: number
  readonly heapTotal: number
  /** Memory off the heap that V8 knows of: buffers. */
  readonly external: number
  readonly open: number
  readonly slabs: number
  readonly undelivered: number
  readonly isPaused: boolean
}

export interface MemoryFigures {
  /** The kernel's high-water mark (`VmHWM`). */
  readonly peakRss: number
  /** The sample with the most resident memory. */
  readonly atPeak: MemorySample | undefined
  readonly peakHeld: number
  readonly pausedSeconds: number
  readonly rebalances: number
  readonly lagSecondsPeak: number
  readonly cpuSeconds: number
  readonly fragments: Readonly<Record<string, number>>
}

/** A worker in a process of its own whose memory is looked at four times a second. */
export class MemoryTrial {
  readonly #worker: WorkerProcess
  readonly #stop = new AbortController()
  readonly #sampling: Promise<void>
  readonly #samples: MemorySample[] = []
  #last: Metrics = new Map()
  #lagSecondsPeak = 0

  constructor(name: string, env: Environment) {
    this.#worker = new WorkerProcess({ env, logFolder: LOG_FOLDER, name })
    this.#sampling = this.#sample()
  }

  /** The last figures of the worker's metrics, by name and labels. */
  metric(name: string): number {
    return this.#last.get(name) ?? Number.NaN
  }

  get samples(): readonly MemorySample[] {
    return this.#samples
  }

  /** Waits for a condition; fails when the worker ends, or after `timeoutMs`. */
  async until(what: string, condition: () => boolean | Promise<boolean>, timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs
    while (!(await condition())) {
      if (performance.now() > deadline) throw new Error(`not within ${timeoutMs / 1000} s: ${what}`)
      await Promise.race([sleep(SAMPLE_MS), this.#worker.failed])
    }
  }

  /** All that was produced is settled, and `rows` of them by this worker. */
  get isSettled(): boolean {
    return (
      this.#last.size > 0 &&
      this.metric('sidereal_watermark_age_seconds_max') === 0 &&
      this.metric('sidereal_lag_seconds_max') === 0
    )
  }

  async end(): Promise<MemoryFigures> {
    const { cpuSeconds, peakRssMb } = this.#worker.usage()
    this.#stop.abort()
    await this.#sampling
    await this.#worker.end()
    const held = this.#samples.map(({ open, undelivered }) => open + undelivered)
    const fragments = [...this.#last]
      .map(
        ([name, value]) =>
          [/^sidereal_fragments_settled_total\{reason="(\w+)"\}$/.exec(name)?.[1], value] as const,
      )
      .filter((entry): entry is readonly [string, number] => entry[0] !== undefined && entry[1] > 0)
    return {
      peakRss: peakRssMb * MIB,
      atPeak: this.#samples.reduce<MemorySample | undefined>(
        (peak, sample) => (peak === undefined || sample.rss > peak.rss ? sample : peak),
        undefined,
      ),
      peakHeld: Math.max(0, ...held),
      pausedSeconds: (this.#samples.filter(({ isPaused }) => isPaused).length * SAMPLE_MS) / 1000,
      rebalances: this.metric('sidereal_rebalances_total'),
      lagSecondsPeak: this.#lagSecondsPeak,
      cpuSeconds,
      fragments: Object.fromEntries(fragments),
    }
  }

  async #sample(): Promise<void> {
    const startedAt = performance.now()
    while (!this.#stop.signal.aborted) {
      const metrics = await this.#worker.metrics()
      if (metrics !== undefined) this.#note(metrics, startedAt)
      await sleep(SAMPLE_MS)
    }
  }

  #note(values: Metrics, startedAt: number): void {
    this.#last = values
    const value = (name: string): number => values.get(name) ?? Number.NaN
    this.#lagSecondsPeak = Math.max(this.#lagSecondsPeak, value('sidereal_lag_seconds_max'))
    this.#samples.push({
      atSeconds: (performance.now() - startedAt) / 1000,
      rss: value('process_resident_memory_bytes'),
      heapUsed: value('nodejs_heap_size_used_bytes'),
      heapTotal: value('nodejs_heap_size_total_bytes'),
      external: value('nodejs_external_memory_bytes'),
      open: value('sidereal_open_bytes'),
      slabs: value('sidereal_slab_bytes'),
      undelivered: value('sidereal_undelivered_bytes'),
      isPaused: [...values].some(([name, one]) => name.startsWith('sidereal_paused{') && one === 1),
    })
  }
}
