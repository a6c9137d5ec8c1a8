import type { Admin, Kafka } from 'kafkajs'
import { scanDeadLetters } from './dead-letter-scan.ts'
import type { Origin } from './expected.ts'

/** One record of the input topic that lies among the dead letters. */
export interface DeadLetterNote {
  readonly partition: number
  readonly offset: number
  readonly sid: string
  readonly stage: string
  readonly reason: string
}

/** Dead letters of one input topic. A dead letter may repeat after a crash: each record is noted once. */
export class DeadLetterNotes {
  readonly #notes = new Map<string, DeadLetterNote>()
  readonly #sids = new Set<string>()

  add(note: DeadLetterNote): void {
    this.#notes.set(`${note.partition}/${note.offset}`, note)
    this.#sids.add(note.sid)
  }

  /** Whether a record lies here: by its place where that is known, else by its SID. */
  has({ partition, offset }: Origin, sid: string): boolean {
    if (partition === undefined || offset === undefined) return this.#sids.has(sid)
    return this.#notes.has(`${partition}/${offset}`)
  }

  [Symbol.iterator](): IterableIterator<DeadLetterNote> {
    return this.#notes.values()
  }
}

export interface DeadLetterReaderOptions {
  readonly kafka: Kafka
  readonly admin: Admin
  readonly deadLetterTopic: string
  /** Dead letters of other input topics are left out. */
  readonly topic: string
  /** Unix milliseconds; older ones are left out. */
  readonly sinceMs: number
  readonly timeoutMs: number
}

/** Reads the dead letters that are there now. */
export async function readDeadLetters(options: DeadLetterReaderOptions): Promise<DeadLetterNotes> {
  const notes = new DeadLetterNotes()
  await scanDeadLetters(options, (letter) => {
    if (letter.topic !== options.topic) return 'next'
    const { partition, offset, stage, reason, key } = letter
    notes.add({ partition, offset, sid: key?.toString('utf8') ?? '', stage, reason })
    return 'next'
  })
  return notes
}
