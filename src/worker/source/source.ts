import type { Kafka } from 'kafkajs'
import type { Clock, Timer } from '../../model/clock.ts'
import type { SiderealError } from '../../model/errors.ts'
import type { TaskHandlerFactory } from '../../model/task.ts'
import type { Logger } from '../../telemetry/logger.ts'
import { checkTopic } from './check-topic.ts'
import { KafkajsPort } from './kafkajs-port.ts'
import { type SourceOptions, type SourceSettings, sourceSettings } from './source-options.ts'
import { SourceState } from './source-state.ts'
import type { SourceStats } from './source-stats.ts'

const TICK_MS = 100
const COMMIT_POLL_MS = 20

export interface SourceDeps {
  readonly clock: Clock
  readonly logger: Logger
  /** 0 to 1; names the process when no instance id is set. */
  readonly random: () => number
  /** A client of its own: two consumers of one client disturb each other. */
  readonly createKafka: (clientId: string) => Kafka
  /** For messages: where the brokers are. */
  readonly brokers: string
  readonly createHandler: TaskHandlerFactory
  /** The source is lost (SIDEREAL_SOURCE_LOST), once: end the process with a code that is not 0, a supervisor starts it again. */
  readonly onFatal: (error: SiderealError) => void
}

/**
 * Reads the input topic as a member of a consumer group and hands its records to one {@link TaskHandler} a partition. Owns
 * positions, the ledger and commits: a record counts as done when `Task.settle` was called for it, and only then.
 *
 * Life: `start()`; at the end `stopIntake()`, let what is on its way to the sinks settle (less than a session timeout), `close()`.
 */
export class Source {
  readonly #deps: SourceDeps
  readonly #settings: SourceSettings
  readonly #kafka: Kafka
  readonly #port: KafkajsPort
  readonly #state: SourceState
  #ticker: Timer | undefined

  constructor(options: SourceOptions, deps: SourceDeps) {
    const settings = sourceSettings(options, deps.random)
    const clientId = `sidereal-${settings.instanceId}`
    this.#deps = deps
    this.#settings = settings
    this.#kafka = deps.createKafka(clientId)
    this.#port = new KafkajsPort({ ...deps, settings, clientId, kafka: this.#kafka })
    this.#state = new SourceState({ ...deps, settings, port: this.#port })
  }

  /** The name of this process in the group. */
  get instanceId(): string {
    return this.#settings.instanceId
  }

  /**
   * Checks brokers and topic, then joins the group in the background.
   *
   * @throws SiderealError SIDEREAL_KAFKA_UNAVAILABLE or SIDEREAL_TOPIC_INVALID, within `startTimeoutMs`
   */
  async start(): Promise<void> {
    const { clock, brokers } = this.#deps
    const { topic, startTimeoutMs } = this.#settings
    const deadlineMs = clock.monotonicMs() + startTimeoutMs
    await checkTopic({ kafka: this.#kafka, topic, brokers, clock, timeoutMs: startTimeoutMs })
    try {
      await this.#port.start(this.#state, deadlineMs)
    } catch (error) {
      await this.#port.stop()
      throw error
    }
    this.#scheduleTick()
  }

  /** Stops the intake (memory is short, a sink is away) until every reason given is taken back. The group does not notice. */
  pause(reason: string): void {
    this.#state.pause(reason)
  }

  resume(reason: string): void {
    this.#state.resume(reason)
  }

  /** To be asked before each write to a sink; see {@link SourceState.mayDeliver}. */
  mayDeliver(): boolean {
    return this.#state.mayDeliver()
  }

  stats(): SourceStats & { readonly cutFetches: number } {
    return { ...this.#state.stats(), cutFetches: this.#port.cutFetches }
  }

  /** The first half of the end: no further records, no further ticks of handlers; settling and committing go on. */
  stopIntake(): void {
    this.#state.stopIntake()
  }

  /** Commits what is settled, gives up all tasks, leaves the group. Takes at most twice `stopTimeoutMs`, about. */
  async close(): Promise<void> {
    this.#state.stopIntake()
    await this.#commitLast()
    this.#ticker?.cancel()
    this.#ticker = undefined
    this.#state.loseAll()
    await this.#port.stop()
  }

  async #commitLast(): Promise<void> {
    const { clock } = this.#deps
    const deadlineMs = clock.monotonicMs() + this.#settings.stopTimeoutMs
    this.#state.commitNow()
    while (!this.#state.isCommitted && clock.monotonicMs() < deadlineMs) {
      await new Promise<void>((resolve) => clock.setTimer(resolve, COMMIT_POLL_MS))
    }
  }

  #scheduleTick(): void {
    this.#ticker = this.#deps.clock.setTimer(() => {
      this.#scheduleTick()
      this.#state.tick()
    }, TICK_MS)
  }
}
