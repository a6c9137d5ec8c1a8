import type { Clock, Timer } from '../model/clock.ts'
import type { WorkerFigures } from '../telemetry/figures.ts'
import { type HealthFacts, judgeHealth, type Verdict } from '../telemetry/health.ts'
import type { Pipeline } from './pipeline.ts'
import type { Processor } from './processor.ts'
import type { Source } from './source/source.ts'

const LOOP_TICK_MS = 500
const FIGURES_MS = 50

/** What is observed. */
export interface ObservedParts {
  readonly source: Source
  readonly pipeline: Pipeline
  readonly processor: Processor
  /** URL of the object store; null = none is configured. */
  readonly storeUrl: string | null
  readonly registryUrl: string
}

/** Gathers what is observed of a worker, for `/metrics` and for health. */
export class Observer {
  readonly #clock: Clock
  readonly #parts: ObservedParts
  #hasStarted = false
  #isClosing = false
  #fatal: string | null = null
  #tickedAtMs: number
  #timer: Timer | null = null
  #figures: { readonly atMs: number; readonly figures: WorkerFigures } | null = null

  constructor(clock: Clock, parts: ObservedParts) {
    this.#clock = clock
    this.#parts = parts
    this.#tickedAtMs = clock.monotonicMs()
    this.#tick()
  }

  noteStarted(): void {
    this.#hasStarted = true
  }

  noteClosing(): void {
    this.#isClosing = true
  }

  noteFatal(line: string): void {
    this.#fatal ??= line
  }

  close(): void {
    this.#timer?.cancel()
  }

  verdict(): Verdict {
    const { source, pipeline, processor, storeUrl, registryUrl } = this.#parts
    const stats = source.stats()
    const facts: HealthFacts = {
      hasStarted: this.#hasStarted,
      isClosing: this.#isClosing,
      fatal: this.#fatal,
      isAssigned: !stats.isInDoubt && stats.tasks.every((task) => task.isReady),
      loopAgeMs: this.#clock.monotonicMs() - this.#tickedAtMs,
      fetchAgeMs: stats.loopAgeMs,
      sinks: pipeline.deliverer.sinkHealth,
      servers: [
        {
          name: `schema registry at ${registryUrl}`,
          failingForMs: pipeline.assembly.registryFailingForMs,
        },
        { name: `object store ${storeUrl ?? ''}`.trim(), failingForMs: processor.storeFailingForMs },
      ],
      stops: pipeline.caps.stops,
    }
    return judgeHealth(facts)
  }

  /** Each metric asks by itself: one look serves all of a scrape. */
  figures(): WorkerFigures {
    const nowMs = this.#clock.monotonicMs()
    if (this.#figures === null || nowMs - this.#figures.atMs > FIGURES_MS) {
      this.#figures = { atMs: nowMs, figures: this.#lookAgain() }
    }
    return this.#figures.figures
  }

  #lookAgain(): WorkerFigures {
    const { source, pipeline } = this.#parts
    const { assembly, deliverer, deadLetters, memory, caps } = pipeline
    const stopped = new Set(caps.stops.map(({ partition }) => partition))
    const { tasks, pauseReasons, ...totals } = source.stats()
    return {
      partitions: tasks.map((task) => ({
        partition: task.partition,
        lagRecords: Math.max(0, task.lag),
        lagSeconds: task.lagMs / 1_000,
        watermarkAgeSeconds: task.watermarkAgeMs / 1_000,
        isStopped: stopped.has(task.partition),
      })),
      source: totals,
      openTraces: assembly.openTraces,
      openBytes: assembly.openBytes,
      slabBytes: assembly.slabBytes,
      memoryScale: memory.scale,
      undeliveredBytes: deliverer.undeliveredBytes,
      batchesInFlight: deliverer.batchesInFlight,
      deadLetterQueueRecords: deadLetters.queuedRecords,
      deadLetterQueueBytes: deadLetters.queuedBytes,
      sinkQueueBytes: deliverer.sinkQueueBytes,
      pausedReasons: pauseReasons,
      isReady: this.verdict().isReady,
    }
  }

  #tick(): void {
    this.#tickedAtMs = this.#clock.monotonicMs()
    this.#timer = this.#clock.setTimer(() => this.#tick(), LOOP_TICK_MS)
  }
}
