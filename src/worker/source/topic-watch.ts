import type { Clock, Timer } from '../../model/clock.ts'
import type { Logger } from '../../telemetry/logger.ts'

const ASK_MS = 2_000

export interface TopicWatchDeps {
  readonly clock: Clock
  readonly logger: Logger
  /** The id of the topic; undefined while it is not known. */
  readonly readId: () => Promise<string | undefined>
  readonly onCreatedAnew: () => void
}

/**
 * Notices that a topic was deleted and created anew under its name. Nobody is told: kafkajs fetches by name, and where the new log has already
 * grown beyond the position, it goes on there as if nothing had happened; what lies before would never be read.
 */
export class TopicWatch {
  readonly #deps: TopicWatchDeps
  #id: string | undefined
  #timer: Timer | undefined
  #isStopped = false

  constructor(deps: TopicWatchDeps) {
    this.#deps = deps
  }

  /** Asks at once, before anything is read, then again and again. Never rejects. */
  async start(): Promise<void> {
    try {
      const id = await this.#deps.readId()
      const isAnother = this.#id !== undefined && id !== undefined && id !== this.#id
      this.#id = id ?? this.#id
      if (isAnother && !this.#isStopped) this.#deps.onCreatedAnew()
    } catch (error) {
      this.#deps.logger.debug({ error }, 'the id of the topic could not be read')
    }
    if (!this.#isStopped) this.#timer = this.#deps.clock.setTimer(() => void this.start(), ASK_MS)
  }

  stop(): void {
    this.#isStopped = true
    this.#timer?.cancel()
  }
}
