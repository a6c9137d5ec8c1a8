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
 * Gives the type of a record by its schema id, or has partitions wait until the registry has answered. Only the registry's clear
 * word ("there is no such schema", or one that cannot be used) is an answer; while it is away or slow, one waits.
 */
export class SchemaGate {
  readonly #options: SchemaGateOptions
  readonly #warnings: RepeatedWarnings
  readonly #closing = new AbortController()
  readonly #waiting = new Map<number, (() => void)[]>()
  readonly #refusals = new Map<number, { error: SiderealError; untilMs: number }>()

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

  close(): void {
    this.#closing.abort()
    this.#waiting.clear()
  }

  async #ask(schemaId: number): Promise<void> {
    const { schemas, clock, random } = this.#options
    const signal = this.#closing.signal
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        await schemas.fetch(schemaId)
        break
      } catch (error) {
        if (isRefusal(error)) {
          this.#refuse(schemaId, error)
          break
        }
        this.#warnings.warn(
          'registry',
          { schemaId, code: errorCode(error), error: asError(error), attempt },
          'the schema registry does not answer: partitions with records of this schema wait',
        )
        await pause(clock, backoffMs(attempt, random), signal)
      }
    }
    const callbacks = this.#waiting.get(schemaId) ?? []
    this.#waiting.delete(schemaId)
    for (const callback of callbacks) callback()
  }

  #refuse(schemaId: number, error: SiderealError): void {
    const { clock, refusalTtlMs = 30_000 } = this.#options
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
