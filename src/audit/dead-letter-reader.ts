import { randomBytes } from 'node:crypto'
import type { Admin, IHeaders, Kafka, KafkaMessage } from 'kafkajs'
import { DEAD_LETTER_HEADERS } from '../model/dead-letter.ts'
import { SiderealError } from '../model/errors.ts'
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
  const { kafka, admin, deadLetterTopic, sinceMs } = options
  const notes = new DeadLetterNotes()
  if (!(await admin.listTopics()).includes(deadLetterTopic)) return notes
  const ends = await admin.fetchTopicOffsets(deadLetterTopic)
  const starts = await admin.fetchTopicOffsetsByTimestamp(deadLetterTopic, sinceMs)
  const wanted = new Map<number, { start: number; end: number }>()
  for (const { partition, high } of ends) {
    const start = Number(starts.find((entry) => entry.partition === partition)?.offset ?? 0)
    if (start < Number(high)) wanted.set(partition, { start, end: Number(high) })
  }
  if (wanted.size === 0) return notes
  const groupId = `sidereal-verify-${randomBytes(6).toString('hex')}`
  const consumer = kafka.consumer({ groupId, sessionTimeout: 10_000 })
  await consumer.connect()
  let timer: NodeJS.Timeout | undefined
  try {
    await consumer.subscribe({ topic: deadLetterTopic, fromBeginning: true })
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => {
        const seconds = options.timeoutMs / 1000
        reject(
          new SiderealError(
            'SIDEREAL_VERIFY_TIMEOUT',
            `The dead letters of ${deadLetterTopic} could not be read within ${seconds} s. Check the brokers.`,
          ),
        )
      }, options.timeoutMs)
      const eachMessage = async ({ partition, message }: { partition: number; message: KafkaMessage }) => {
        const range = wanted.get(partition)
        if (range === undefined) return
        if (Number(message.offset) < range.end) noteMessage(notes, message, options.topic)
        if (Number(message.offset) + 1 >= range.end) wanted.delete(partition)
        if (wanted.size === 0) resolve()
      }
      consumer.run({ autoCommit: false, eachMessage }).catch(reject)
      for (const [partition, { start }] of wanted)
        consumer.seek({ topic: deadLetterTopic, partition, offset: String(start) })
    })
  } finally {
    clearTimeout(timer)
    await consumer.disconnect()
    await admin.deleteGroups([groupId])
  }
  return notes
}

function noteMessage(notes: DeadLetterNotes, message: KafkaMessage, topic: string): void {
  const header = (name: string) => headerText(message.headers ?? {}, name)
  if (header(DEAD_LETTER_HEADERS.topic) !== topic) return
  notes.add({
    partition: Number(header(DEAD_LETTER_HEADERS.partition)),
    offset: Number(header(DEAD_LETTER_HEADERS.offset)),
    sid: message.key?.toString('utf8') ?? '',
    stage: header(DEAD_LETTER_HEADERS.stage),
    reason: header(DEAD_LETTER_HEADERS.reason),
  })
}

function headerText(headers: IHeaders, name: string): string {
  const value = headers[name]
  const first = Array.isArray(value) ? value[0] : value
  return first === undefined ? '' : first.toString()
}
