import { randomBytes } from 'node:crypto'
import type { Admin, Kafka } from 'kafkajs'
import { SiderealError } from '../model/errors.ts'
import { readStoredLetter, type StoredLetter } from './stored-letter.ts'

export interface DeadLetterScanOptions {
  readonly kafka: Kafka
  readonly admin: Admin
  readonly deadLetterTopic: string
  /** Unix milliseconds: letters written before are left out. */
  readonly sinceMs: number
  /** How long nothing may come while letters are still to be read. */
  readonly timeoutMs: number
  /** Records read so far, of those that were there at the start. */
  readonly onProgress?: (done: number, total: number) => void
}

/** What lay in the topic when the scan began. */
export interface DeadLetterScan {
  readonly records: number
  /** Records in the topic that are no dead letters of a Sidereal worker. */
  readonly strangers: number
}

export type ScanAnswer = 'next' | 'stop'

/** The group has no other member: nobody waits for it to notice that a slow visit is alive. */
const SESSION_TIMEOUT_MS = 60_000

/**
 * Reads the dead-letter topic up to the end that it has now, partition by partition in order. A letter may come twice: after a crash of a
 * worker it lies in the topic twice, and kafkajs may begin a partition anew.
 *
 * @param visit is awaited for each letter; whoever keeps a letter keeps the whole fetch response in memory that its buffers lie in
 * @throws SiderealError SIDEREAL_VERIFY_TIMEOUT when the brokers fall silent; what `visit` throws
 */
export async function scanDeadLetters(
  options: DeadLetterScanOptions,
  visit: (letter: StoredLetter) => ScanAnswer | Promise<ScanAnswer>,
): Promise<DeadLetterScan> {
  const { kafka, admin, deadLetterTopic } = options
  const ranges = await rangesOf(options)
  const total = [...ranges.values()].reduce((sum, { start, end }) => sum + end - start, 0)
  let strangers = 0
  if (total === 0) return { records: 0, strangers }
  const groupId = `sidereal-dead-letters-${randomBytes(6).toString('hex')}`
  const consumer = kafka.consumer({ groupId, sessionTimeout: SESSION_TIMEOUT_MS })
  const over = Promise.withResolvers<void>()
  const silence = new Silence(options, over.reject)
  let isOver = false
  const positions = new Map([...ranges].map(([partition, { start }]) => [partition, start]))
  const left = (): number =>
    [...ranges].reduce(
      (sum, [partition, { end }]) => sum + Math.max(0, end - (positions.get(partition) ?? 0)),
      0,
    )
  try {
    await consumer.connect()
    await consumer.subscribe({ topic: deadLetterTopic, fromBeginning: true })
    consumer
      .run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        eachBatch: async ({ batch, resolveOffset, heartbeat }) => {
          const range = ranges.get(batch.partition)
          for (const message of batch.messages) {
            const offset = Number(message.offset)
            if (range === undefined || isOver || offset >= range.end) break
            if (offset < range.start) continue
            const letter = readStoredLetter(batch.partition, message)
            try {
              if (letter === undefined) strangers += 1
              else if ((await visit(letter)) === 'stop') isOver = true
            } catch (error) {
              // Not out of here: kafkajs would try the batch again.
              isOver = true
              over.reject(error)
            }
            silence.end()
            resolveOffset(message.offset)
            await heartbeat()
          }
          if (range !== undefined) {
            positions.set(batch.partition, Math.min(range.end, Number(batch.lastOffset()) + 1))
            resolveOffset(batch.lastOffset())
          }
          options.onProgress?.(total - left(), total)
          if (isOver || left() === 0) over.resolve()
        },
      })
      .catch(over.reject)
    for (const [partition, { start }] of ranges)
      consumer.seek({ topic: deadLetterTopic, partition, offset: String(start) })
    await over.promise
  } finally {
    isOver = true
    silence.close()
    await consumer.disconnect()
    await admin.deleteGroups([groupId])
  }
  return { records: total, strangers }
}

async function rangesOf(
  options: DeadLetterScanOptions,
): Promise<Map<number, { start: number; end: number }>> {
  const { admin, deadLetterTopic, sinceMs } = options
  const ranges = new Map<number, { start: number; end: number }>()
  if (!(await admin.listTopics()).includes(deadLetterTopic)) return ranges
  const ends = await admin.fetchTopicOffsets(deadLetterTopic)
  const starts = await admin.fetchTopicOffsetsByTimestamp(deadLetterTopic, sinceMs)
  for (const { partition, low, high } of ends) {
    const since = Number(starts.find((entry) => entry.partition === partition)?.offset ?? 0)
    const start = Math.max(since, Number(low))
    if (start < Number(high)) ranges.set(partition, { start, end: Number(high) })
  }
  return ranges
}

/** Fails when nothing has come for too long. */
class Silence {
  readonly #options: DeadLetterScanOptions
  readonly #fail: (error: SiderealError) => void
  #timer: NodeJS.Timeout

  constructor(options: DeadLetterScanOptions, fail: (error: SiderealError) => void) {
    this.#options = options
    this.#fail = fail
    this.#timer = this.#start()
  }

  end(): void {
    this.#timer.refresh()
  }

  close(): void {
    clearTimeout(this.#timer)
  }

  #start(): NodeJS.Timeout {
    const { deadLetterTopic, timeoutMs } = this.#options
    return setTimeout(() => {
      this.#fail(
        new SiderealError(
          'SIDEREAL_VERIFY_TIMEOUT',
          `The dead letters of ${deadLetterTopic} could not be read: nothing came for ${timeoutMs / 1000} s. Check the brokers.`,
        ),
      )
    }, timeoutMs)
  }
}
