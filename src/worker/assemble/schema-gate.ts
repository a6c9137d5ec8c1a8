import type { RecordType } from '../../codec/record-type.ts'
import type { Clock } from '../../model/clock.ts'
import { isSiderealError, type SiderealError } from '../../model/errors.ts'
import { asError, backoffMs, errorCode, pause } from '../../model/retry.ts'
import type { WorkerCounters } from '../../telemetry/counters.ts'
import { type Logger, RepeatedWarnings } from '../../telemetry/logger.ts'

/** The part of the schema registry client that assembly needs. */
export interface SchemaSource {
  cached(schemaId: number): RecordType | undefined
  fetch(schemaId: number): Promise<RecordType>
}

export interface SchemaGateOptions {
  readonly schemas: SchemaSource
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  readonly counters: WorkerCounters
  /** How long "there is no such schema" is believed. Default 30 s. */
  readonly refusalTtlMs?: number
}

const MAX_REFUSALS = 1_000
/**
 * Garbage that names another schema each time costs a question each, of a registry that others need too. Beyond so many refusals a second
 * the next question waits for the next second; partitions with such records are that much slower, all others are not.
 */
const MAX_REFUSALS_A_SECOND = 200

/**
 * Gives the type of a record by its schema id, or has partitions wait until the registry has answered. Only the registry's clear
 * word ("there is no such schema", or one that cannot be used) is an answer; while it is away or slow, one waits.
 */
export class SchemaGate {
  readonly #options: SchemaGateOptions
  readonly #warnings: RepeatedWarnings
  readonly #closing = new AbortController()
  readonly #waiting = new Map<number, (() => void)[]>()
  /** Since when the registry fails to answer for a schema that a partition waits for. */
  readonly #failingSinceMs = new Map<number, number>()
  readonly #refusals = new Map<number, { error: SiderealError; untilMs: number }>()

  #secondStartMs = Number.NEGATIVE_INFINITY
  #refusedThisSecond = 0

  constructor(options: SchemaGateOptions) {
    this.#options = options
    this.#warnings = new RepeatedWarnings(options.logger, options.clock)
  }

  /** The type; an error = records of this schema can never be read; `undefined` = not known yet, see {@link whenKnown}. */
  lookUp(schemaId: number): RecordType | SiderealError | undefined {
    const type = this.#options.schemas.cached(schemaId)
    if (type !== undefined) return type
    const refusal = this.#refusals.get(schemaId)
    if (refusal === undefined || refusal.untilMs < this.#options.clock.monotonicMs()) return undefined
    return refusal.error
  }

  /** Asks the registry until it answers, then calls back once. */
  whenKnown(schemaId: number, callback: () => void): void {
    const callbacks = this.#waiting.get(schemaId)
    if (callbacks !== undefined) {
      callbacks.push(callback)
      return
    }
    this.#waiting.set(schemaId, [callback])
    this.#options.counters.schemaWaits += 1
    void this.#ask(schemaId)
  }

  /** How long the registry has failed while a partition waits for it; 0 = it does not. */
  get failingForMs(): number {
    if (this.#failingSinceMs.size === 0) return 0
    return this.#options.clock.monotonicMs() - Math.min(...this.#failingSinceMs.values())
  }

  close(): void {
    this.#closing.abort()
    this.#waiting.clear()
  }

  async #ask(schemaId: number): Promise<void> {
    const { schemas, clock, random } = this.#options
    const signal = this.#closing.signal
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        await this.#turn(signal)
        await schemas.fetch(schemaId)
        break
      } catch (error) {
        if (isRefusal(error)) {
          this.#refuse(schemaId, error)
          break
        }
        if (!this.#failingSinceMs.has(schemaId)) this.#failingSinceMs.set(schemaId, clock.monotonicMs())
        this.#warnings.warn(
          'registry',
          { schemaId, code: errorCode(error), error: asError(error), attempt },
          'the schema registry does not answer: partitions with records of this schema wait',
        )
        await pause(clock, backoffMs(attempt, random), signal)
      }
    }
    this.#failingSinceMs.delete(schemaId)
    const callbacks = this.#waiting.get(schemaId) ?? []
    this.#waiting.delete(schemaId)
    for (const callback of callbacks) callback()
  }

  /** Resolves when the registry may be asked. */
  async #turn(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    while (!signal.aborted) {
      const restMs = this.#secondStartMs + 1_000 - clock.monotonicMs()
      if (restMs <= 0) {
        this.#secondStartMs = clock.monotonicMs()
        this.#refusedThisSecond = 0
      }
      if (this.#refusedThisSecond < MAX_REFUSALS_A_SECOND) return
      await pause(clock, restMs, signal)
    }
  }

  #refuse(schemaId: number, error: SiderealError): void {
    const { clock, refusalTtlMs = 30_000 } = this.#options
    this.#refusedThisSecond += 1
    this.#refusals.delete(schemaId)
    this.#refusals.set(schemaId, { error, untilMs: clock.monotonicMs() + refusalTtlMs })
    // Garbage may name any schema id: what is remembered of it is bounded.
    for (const oldest of this.#refusals.keys()) {
      if (this.#refusals.size <= MAX_REFUSALS) break
      this.#refusals.delete(oldest)
    }
  }
}

function isRefusal(error: unknown): error is SiderealError {
  return (
    isSiderealError(error) &&
    !error.retryable &&
    (error.code === 'SIDEREAL_SCHEMA_UNKNOWN' ||
      error.code === 'SIDEREAL_SCHEMA_INCOMPATIBLE' ||
      error.code === 'SIDEREAL_RECORD_INVALID')
  )
}
