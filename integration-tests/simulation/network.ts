import type { SeededRandom } from '../../src/audit/seeded-random.ts'
import type { Failure, RequestName } from './faults.ts'
import type { Scheduler, SimProcess } from './scheduler.ts'

export interface ActiveFailure {
  readonly request: RequestName
  readonly how: Failure
  readonly fromMs: number
  readonly untilMs: number
}

export interface NetworkOptions {
  readonly latencyMs: number
  readonly slowChance: number
}

/** What a server does with a request. `share` of it: 1 = all of it; less = it failed in the middle. */
export interface Call<Answer> {
  readonly name: RequestName
  readonly process: SimProcess
  readonly timeoutMs: number
  /** Runs at the server. `share` < 1: do a part and fail. */
  serve(share: number): Answer
  onAnswer(answer: Answer): void
  onError(error: Error): void
}

/** Requests and answers on their way: late, lost, or done and never confirmed. */
export class Network {
  readonly #scheduler: Scheduler
  readonly #random: SeededRandom
  readonly #options: NetworkOptions
  readonly #failures: ActiveFailure[] = []
  readonly #lastArrivalMs = new WeakMap<SimProcess, number>()
  /** Called when a request has left its process. */
  onRequest: (process: SimProcess, name: RequestName) => void = () => undefined

  constructor(scheduler: Scheduler, random: SeededRandom, options: NetworkOptions) {
    this.#scheduler = scheduler
    this.#random = random
    this.#options = options
  }

  fail(failure: ActiveFailure): void {
    this.#failures.push(failure)
  }

  delayMs(): number {
    const { latencyMs, slowChance } = this.#options
    const random = this.#random
    return random.next() * latencyMs * (random.chance(slowChance) ? 100 : 1)
  }

  /** Requests to the coordinator share a connection: none overtakes another. */
  #arrivalMs(name: RequestName, process: SimProcess, delayMs: number): number {
    if (name !== 'commit' && name !== 'read ledger' && name !== 'heartbeat') return delayMs
    const { nowMs } = this.#scheduler
    const atMs = Math.max(nowMs + delayMs, (this.#lastArrivalMs.get(process) ?? 0) + 0.001)
    this.#lastArrivalMs.set(process, atMs)
    return atMs - nowMs
  }

  /** The failure that a request meets now. */
  failureOf(name: RequestName): Failure | undefined {
    const { nowMs } = this.#scheduler
    return this.#failures.find(
      ({ request, fromMs, untilMs }) => request === name && fromMs <= nowMs && nowMs < untilMs,
    )?.how
  }

  call<Answer>(call: Call<Answer>): void {
    const { name, process, timeoutMs } = call
    if (!process.isAlive) return
    const random = this.#random
    const how = this.failureOf(name)
    const label = `${process.name} ${name}`
    const slowMs = how === 'slow' ? random.next() * 1_500 : 0
    // Whether a request that is on its way when its sender dies still arrives.
    const arrivesAnyway = random.chance(0.5)
    const isServed =
      how === undefined || how === 'slow' || how === 'reply lost' || (how === 'hangs' && random.chance(0.5))
    const share = how === 'part done' ? random.next() : 1
    const failMs = how === 'hangs' ? timeoutMs : this.delayMs() + this.delayMs()
    const failed = (): void => call.onError(new Error(`${name}: ${how}`))
    if (isServed || share < 1) {
      this.#scheduler.post(
        this.#arrivalMs(name, process, this.delayMs() + slowMs),
        null,
        `${label} arrives`,
        () => {
          if (!process.isAlive && !arrivesAnyway) return
          const answer = call.serve(share)
          if (how !== undefined && how !== 'slow') return
          this.#scheduler.post(this.delayMs(), process, `${label} answer`, () => call.onAnswer(answer))
        },
      )
    }
    if (how !== undefined && how !== 'slow') {
      this.#scheduler.post(failMs, process, `${label} ${how}`, failed)
    }
    this.onRequest(process, name)
  }
}
