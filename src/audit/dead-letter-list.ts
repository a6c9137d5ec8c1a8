import { letterPlace, type StoredLetter } from './stored-letter.ts'

/** One record among the dead letters, however often its letter was written: what `list` shows. No value. */
export interface LetterSummary {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly reason: string
  readonly stage: string
  /** Key of the record as text; `null` = it had none. */
  readonly sid: string | null
  /** Bytes of the value; `null` = it had none. Of one that was left out, what it had. */
  readonly valueBytes: number | null
  readonly isValueOmitted: boolean
  readonly errorClass: string
  readonly errorMessage: string
  /** When its newest letter was written, ISO 8601. */
  readonly writtenAt: string
  /** When Kafka first took the record, ISO 8601. */
  readonly firstReceivedAt: string
  readonly letters: number
}

/** Groups dead letters by their place, and keeps the newest: memory grows with their number by a place and a count each. */
export class LetterList {
  readonly #limit: number
  /** Letters by place. */
  readonly #counts = new Map<string, number>()
  readonly #reasons = new Map<string, number>()
  #newest: { place: string; letter: StoredLetter }[] = []

  constructor(limit: number) {
    this.#limit = limit
  }

  add(letter: StoredLetter): void {
    const place = letterPlace(letter)
    const count = this.#counts.get(place) ?? 0
    this.#counts.set(place, count + 1)
    if (count === 0) this.#reasons.set(letter.reason, (this.#reasons.get(letter.reason) ?? 0) + 1)
    this.#newest.push({ place, letter: withoutValue(letter) })
    if (this.#newest.length > 2 * this.#limit + 100) this.#trim()
  }

  /** Records, each once. */
  get records(): number {
    return this.#counts.size
  }

  /** Records by reason, the most frequent first. */
  get reasons(): [string, number][] {
    return [...this.#reasons].sort((a, b) => b[1] - a[1])
  }

  /** The newest, oldest first. */
  summaries(): LetterSummary[] {
    this.#trim()
    return this.#newest.map(({ place, letter }) => summaryOf(letter, this.#counts.get(place) ?? 1))
  }

  #trim(): void {
    const byPlace = new Map<string, { place: string; letter: StoredLetter }>()
    for (const entry of this.#newest.sort((a, b) => a.letter.letter.writtenMs - b.letter.letter.writtenMs)) {
      byPlace.delete(entry.place)
      byPlace.set(entry.place, entry)
    }
    this.#newest = [...byPlace.values()].slice(-this.#limit)
  }
}

/** The value is a view into a whole fetch response: what is kept must not hold it. */
function withoutValue(letter: StoredLetter): StoredLetter {
  const { value, key, omitted } = letter
  return {
    ...letter,
    key: key === null ? null : Buffer.from(key),
    value: null,
    omitted: omitted ?? (value === null ? undefined : { bytes: value.length, sha256: '' }),
    headers: {},
    stacktrace: '',
  }
}

function summaryOf(letter: StoredLetter, letters: number): LetterSummary {
  const { topic, partition, offset, reason, stage, key, omitted, errorClass, errorMessage } = letter
  return {
    topic,
    partition,
    offset,
    reason,
    stage,
    sid: key === null ? null : key.toString('utf8'),
    valueBytes: omitted?.bytes ?? null,
    isValueOmitted: omitted !== undefined && omitted.sha256 !== '',
    errorClass,
    errorMessage,
    writtenAt: new Date(letter.letter.writtenMs).toISOString(),
    firstReceivedAt: new Date(letter.firstArrival.appendTimeMs).toISOString(),
    letters,
  }
}
