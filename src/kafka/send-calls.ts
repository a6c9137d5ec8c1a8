import type { SiderealError } from '../model/errors.ts'
import type { SendCall } from './send-lanes.ts'
import type { TopicLanes } from './topic-lanes.ts'

/** How late the end of a call's time may be noticed. */
const SWEEP_MS = 50

/** The calls that have not ended, and their deadlines: one timer for all, which runs while there are calls. */
export class SendCalls {
  readonly #timeoutError: (topic: TopicLanes) => SiderealError
  readonly #keepsAlive: boolean
  readonly #calls = new Map<SendCall, TopicLanes>()
  #sweep: NodeJS.Timeout | undefined
  #whenIdle: (() => void)[] = []

  /**
   * @param timeoutError what a record fails with when its time is up
   * @param keepsAlive whether a call that has not ended keeps the process alive
   */
  constructor(timeoutError: (topic: TopicLanes) => SiderealError, keepsAlive: boolean) {
    this.#timeoutError = timeoutError
    this.#keepsAlive = keepsAlive
  }

  add(call: SendCall, topic: TopicLanes): void {
    this.#calls.set(call, topic)
    if (this.#sweep !== undefined) return
    this.#sweep = setInterval(() => this.#expire(), SWEEP_MS)
    if (!this.#keepsAlive) this.#sweep.unref()
  }

  /** A call has ended. */
  remove(call: SendCall): void {
    this.#calls.delete(call)
    if (this.#calls.size > 0) return
    clearInterval(this.#sweep)
    this.#sweep = undefined
    const whenIdle = this.#whenIdle
    this.#whenIdle = []
    for (const resolve of whenIdle) resolve()
  }

  failAll(error: SiderealError): void {
    for (const call of this.#calls.keys()) call.failAll(error)
  }

  /** Resolves when every call has ended. */
  async ended(): Promise<void> {
    if (this.#calls.size > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve))
  }

  #expire(): void {
    const nowMs = performance.now()
    for (const [call, topic] of this.#calls) {
      if (nowMs >= call.deadlineMs) topic.expire(call, this.#timeoutError(topic))
    }
  }
}
