import type { Logger } from '../telemetry/logger.ts'

export const RECORD_KINDS = ['spans', 'log'] as const
export type RecordKind = (typeof RECORD_KINDS)[number]

/** Why spans or logs were given up. */
export const DROP_REASONS = [
  'queue_full',
  'spool_full',
  'spool_damaged',
  'too_large',
  'invalid',
  'refused',
  'shutdown',
] as const
export type DropReason = (typeof DROP_REASONS)[number]

/** Spans or logs since the start: `accepted` = `waiting` + `spooled` + `sent` + all of `dropped`, at any time; each is a count of its own. */
export interface ItemStats {
  /** What the service ended or published, and what was found in the spool of a process that is gone. */
  readonly accepted: number
  /** The part of `accepted` that came from the spool of a process that is gone. */
  readonly recovered: number
  /** Held in memory only, encoded or not yet. */
  readonly waiting: number
  /** Held on disk. */
  readonly spooled: number
  /** Acknowledged by Kafka. */
  readonly sent: number
  readonly dropped: Readonly<Record<DropReason, number>>
}

/** For whatever reason. */
export function droppedOf({ dropped }: ItemStats): number {
  return Object.values(dropped).reduce((sum, items) => sum + items, 0)
}

export type ItemsByKind = Record<RecordKind, number>

export interface HeldItems {
  /** In memory only. */
  readonly waiting: number
  /** On disk. */
  readonly spooled: number
}

interface Counts {
  accepted: number
  recovered: number
  sent: number
  readonly dropped: Record<DropReason, number>
}

const LOG_INTERVAL_MS = 60_000

/** Counts what becomes of spans and logs, and says once a minute that something goes wrong. */
export class DeliveryCounts {
  readonly #counts: Record<RecordKind, Counts> = { spans: newCounts(), log: newCounts() }
  readonly #logger: Logger
  readonly #topic: string
  readonly #held: (kind: RecordKind) => HeldItems
  #lastLogMs = Number.NEGATIVE_INFINITY
  #restTimer: NodeJS.Timeout | undefined
  #isUnreported = false

  /** `held` gives what is neither sent nor dropped, from where it lies. */
  constructor(logger: Logger, topic: string, held: (kind: RecordKind) => HeldItems) {
    this.#logger = logger
    this.#topic = topic
    this.#held = held
  }

  stats(kind: RecordKind): ItemStats {
    const { accepted, recovered, sent, dropped } = this.#counts[kind]
    const { waiting, spooled } = this.#held(kind)
    return { accepted, recovered, waiting, spooled, sent, dropped: { ...dropped } }
  }

  accept(kind: RecordKind, items: number): void {
    this.#counts[kind].accepted += items
  }

  recover(kind: RecordKind, items: number): void {
    this.#counts[kind].accepted += items
    this.#counts[kind].recovered += items
  }

  send(kind: RecordKind, items: number): void {
    this.#counts[kind].sent += items
  }

  drop(kind: RecordKind, items: number, reason: DropReason, cause?: unknown): void {
    this.#counts[kind].dropped[reason] += items
    this.report('spans or logs were dropped', {
      reason,
      ...(cause === undefined ? {} : { cause: String(cause) }),
    })
  }

  /** At most one line a minute; the counters in it say the rest. What happens within the minute is told at its end. */
  report(message: string, fields: Readonly<Record<string, unknown>>): void {
    const now = performance.now()
    const leftMs = this.#lastLogMs + LOG_INTERVAL_MS - now
    if (leftMs > 0) {
      this.#isUnreported = true
      this.#restTimer ??= setTimeout(() => this.reportRest(), leftMs).unref()
      return
    }
    clearTimeout(this.#restTimer)
    this.#restTimer = undefined
    this.#lastLogMs = now
    this.#isUnreported = false
    this.#write(message, fields)
  }

  /** What happened since the last line, if anything did: at the end of its minute, and as the last word of a process. */
  reportRest(): void {
    clearTimeout(this.#restTimer)
    this.#restTimer = undefined
    if (!this.#isUnreported) return
    this.#lastLogMs = performance.now()
    this.#write('delivery of spans and logs had failures since the last line', {})
    this.#isUnreported = false
  }

  #write(message: string, fields: Readonly<Record<string, unknown>>): void {
    this.#logger.warn(
      { topic: this.#topic, ...fields, spans: this.stats('spans'), logs: this.stats('log') },
      message,
    )
  }
}

function newCounts(): Counts {
  return {
    accepted: 0,
    recovered: 0,
    sent: 0,
    dropped: {
      queue_full: 0,
      spool_full: 0,
      spool_damaged: 0,
      too_large: 0,
      invalid: 0,
      refused: 0,
      shutdown: 0,
    },
  }
}
