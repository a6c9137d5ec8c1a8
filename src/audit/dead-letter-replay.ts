import { copyHeaders, type OutgoingHeaders } from '../model/dead-letter.ts'
import { setFirstArrival } from '../model/first-arrival.ts'
import type { ScanAnswer } from './dead-letter-scan.ts'
import { letterPlace, type StoredLetter } from './stored-letter.ts'

export interface ReplayRecord {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: OutgoingHeaders
}

export interface ReplayOptions {
  /** The input topic: letters of any other are left alone, since what a letter says of itself must not choose where we write. */
  readonly topic: string
  /** Rows of records that first arrived before are past their time to live. Unix milliseconds. */
  readonly expiredBeforeMs: number
  readonly limit: number
  /** Resolves when Kafka has them; `null` = a dry run. */
  readonly send: ((records: readonly ReplayRecord[]) => Promise<unknown>) | null
  readonly onSent?: (records: number) => void
}

export interface ReplayCounts {
  /** Records that were sent, or would be. */
  records: number
  bytes: number
  /** Left alone: letters of other topics; values that are not there; rows that would be deleted at once. */
  otherTopic: number
  omitted: number
  expired: number
  readonly reasons: Map<string, number>
}

const BATCH_RECORDS = 200
const BATCH_BYTES = 4 * 1024 * 1024

/**
 * Sends the records of dead letters through again, as they came: key, value and headers, and headers that say when and where Kafka first
 * took them. So rows are the same however often this is done.
 */
export class LetterReplay {
  readonly counts: ReplayCounts = {
    records: 0,
    bytes: 0,
    otherTopic: 0,
    omitted: 0,
    expired: 0,
    reasons: new Map(),
  }
  readonly #options: ReplayOptions
  readonly #places = new Set<string>()
  #batch: ReplayRecord[] = []
  #batchBytes = 0

  constructor(options: ReplayOptions) {
    this.#options = options
  }

  /** Takes one letter; `'stop'` = the limit is reached. */
  async add(letter: StoredLetter): Promise<ScanAnswer> {
    const { topic, expiredBeforeMs, limit } = this.#options
    const place = letterPlace(letter)
    if (this.#places.has(place)) return 'next'
    this.#places.add(place)
    const { counts } = this
    if (letter.topic !== topic) counts.otherTopic += 1
    else if (letter.omitted !== undefined) counts.omitted += 1
    else if (letter.firstArrival.appendTimeMs < expiredBeforeMs) counts.expired += 1
    else {
      counts.records += 1
      counts.reasons.set(letter.reason, (counts.reasons.get(letter.reason) ?? 0) + 1)
      await this.#queue(letter)
    }
    return counts.records >= limit ? 'stop' : 'next'
  }

  /** Sends what is left. */
  async finish(): Promise<void> {
    const { send, onSent } = this.#options
    const batch = this.#batch
    this.#batch = []
    this.#batchBytes = 0
    if (send === null || batch.length === 0) return
    await send(batch)
    onSent?.(batch.length)
  }

  async #queue(letter: StoredLetter): Promise<void> {
    const bytes = (letter.key?.length ?? 0) + (letter.value?.length ?? 0)
    this.counts.bytes += bytes
    if (this.#options.send === null) return
    this.#batch.push(replayRecord(letter))
    this.#batchBytes += bytes
    if (this.#batch.length >= BATCH_RECORDS || this.#batchBytes >= BATCH_BYTES) await this.finish()
  }
}

/** The record of a letter as it goes to the input topic. Its partition is the key's, as at first. */
export function replayRecord({ key, value, headers, firstArrival }: StoredLetter): ReplayRecord {
  const outgoing = copyHeaders(headers)
  setFirstArrival(outgoing, firstArrival)
  return {
    key: key === null ? null : Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    headers: outgoing,
  }
}
