import type { Clock } from '../model/clock.ts'
import { DEAD_LETTER_LIMITS, type DeadLetterLimits } from '../model/dead-letter-cap.ts'
import type { Sink } from '../model/sink.ts'
import type { Task, TaskHandler } from '../model/task.ts'
import type { WorkerCounters } from '../telemetry/counters.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { DeliveryMetrics } from '../telemetry/metrics.ts'
import { Assembly } from './assemble/assembly.ts'
import type { SchemaSource } from './assemble/schema-gate.ts'
import type { ClosingRules } from './assemble/trace-table.ts'
import { DeadLetterCaps } from './deliver/dead-letter-caps.ts'
import { type DeadLetterProducer, DeadLetters } from './deliver/dead-letters.ts'
import { Deliverer, type DeliveryGate, type FragmentProcessor } from './deliver/deliverer.ts'
import { DELIVERER_LIMITS } from './deliver/deliverer-limits.ts'
import { MemoryGuard } from './memory.ts'
import { memoryShares } from './memory-shares.ts'

export interface PipelineOptions {
  readonly rules: ClosingRules
  readonly maxMemoryBytes: number
  readonly batchRows: number
  readonly batchMs: number
  readonly bestEffortQueueBytes: number
  readonly deadLetterTopic: string
  readonly deadLetterLimits?: DeadLetterLimits
  readonly groupId: string
}

export interface PipelineDeps {
  readonly schemas: SchemaSource
  readonly processor: FragmentProcessor | null
  readonly required: readonly Sink[]
  readonly bestEffort: readonly Sink[]
  readonly deadLetterProducer: DeadLetterProducer
  readonly gate: DeliveryGate & MemoryGate
  readonly instanceId: string
  readonly metrics: DeliveryMetrics
  readonly counters: WorkerCounters
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  /** Resident memory of the process. */
  readonly readRss: () => number
  readonly collectGarbage: (isThorough: boolean) => void
}

/** Reading stops while the process is close to its memory limit. */
export interface MemoryGate {
  pause(reason: 'memory'): void
  resume(reason: 'memory'): void
}

/** Everything between the source and the sinks: assemble → process → deliver, with the memory that they share. */
export class Pipeline {
  readonly assembly: Assembly
  readonly deliverer: Deliverer
  readonly deadLetters: DeadLetters
  readonly caps: DeadLetterCaps
  readonly memory: MemoryGuard

  constructor(options: PipelineOptions, deps: PipelineDeps) {
    const shares = memoryShares(options.maxMemoryBytes)
    const { batchRows, batchMs, maxMemoryBytes, bestEffortQueueBytes, groupId } = options
    this.deadLetters = new DeadLetters({
      ...deps,
      producer: deps.deadLetterProducer,
      topic: options.deadLetterTopic,
      connectorName: groupId,
      maxBytes: shares.deadLetterBytes,
      taskId: deps.instanceId,
    })
    const { deadLetterLimits = DEAD_LETTER_LIMITS } = options
    this.caps = new DeadLetterCaps({ ...deps, limits: deadLetterLimits })
    this.deliverer = new Deliverer({
      ...deps,
      deadLetters: this.deadLetters,
      caps: this.caps,
      limits: {
        ...DELIVERER_LIMITS,
        batchRows,
        batchBytes: shares.batchBytes,
        lingerMs: batchMs,
        maxUndeliveredBytes: shares.undeliveredBytes,
        bestEffort: {
          ...DELIVERER_LIMITS.bestEffort,
          batchRows,
          batchBytes: shares.batchBytes,
          maxQueueBytes: Math.min(bestEffortQueueBytes, shares.bestEffortBytes),
        },
      },
    })
    this.assembly = new Assembly({
      ...deps,
      rules: options.rules,
      maxOpenBytes: shares.openBytes,
      deadLetters: this.deadLetters,
      openCaps: (task) => this.caps.open(task),
      onFragment: (closed) => this.deliverer.offer(closed),
    })
    this.memory = new MemoryGuard({
      ...deps,
      maxMemoryBytes,
      onScale: (scale) => {
        this.assembly.scaleShare(scale)
        this.deliverer.scaleShare(scale)
      },
      onPause: (isPaused) => (isPaused ? deps.gate.pause('memory') : deps.gate.resume('memory')),
      isIdle: () => this.deliverer.isIdle,
    })
  }

  start(): void {
    this.memory.start()
  }

  handlerFor(task: Task): TaskHandler {
    return this.assembly.handlerFor(task)
  }

  /** Resolves when all that is closed is settled, dead letters included. Open traces stay open: a replay makes them again. */
  async drained(): Promise<void> {
    await Promise.all([this.deliverer.drained(), this.deadLetters.drained()])
  }

  /** Gives up what is not settled. */
  async close(): Promise<void> {
    this.memory.close()
    this.assembly.close()
    this.deadLetters.close()
    await this.deliverer.close()
  }
}
