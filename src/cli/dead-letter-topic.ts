import { type DeadLetterFilter, isWanted } from '../audit/dead-letter-filter.ts'
import type { ScanAnswer } from '../audit/dead-letter-scan.ts'
import type { StoredLetter } from '../audit/stored-letter.ts'
import type { Config } from '../config/config.ts'
import { kafkaConnection } from '../config/connections.ts'
import type { CheckedProducer } from '../kafka/checked-producer.ts'
import { systemClock } from '../model/clock.ts'
import { SiderealError } from '../model/errors.ts'

/** The dead-letter topic of a configuration, connected. */
export interface LetterScanner {
  readonly deadLetterTopic: string
  /** Reads all letters of the filter, with progress on standard error. `note` stands behind its figures. */
  scan(
    filter: DeadLetterFilter,
    visit: (letter: StoredLetter) => ScanAnswer | Promise<ScanAnswer>,
    note?: () => string,
  ): Promise<{ readonly strangers: number }>
  /** A connected producer; the caller closes it. */
  openProducer(): Promise<CheckedProducer>
  close(): Promise<void>
}

/** A broker that accepts and says nothing would hold a connection for minutes. */
const CONNECT_TIMEOUT_MS = 12_000
const SILENCE_MS = 60_000

export async function openDeadLetters(config: Config): Promise<LetterScanner> {
  const { scanDeadLetters } = await import('../audit/dead-letter-scan.ts')
  const { createKafka } = await import('../kafka/client.ts')
  const { kafkaError } = await import('../kafka/kafka-error.ts')
  const { within } = await import('../model/within.ts')
  const { cliLogger } = await import('./logger.ts')
  const { startProgress } = await import('./progress.ts')
  const brokers = config.kafka.brokers.join(',')
  const deadLetterTopic = config.topics.deadLetters
  const logger = cliLogger(config)
  const kafka = createKafka(kafkaConnection(config), { clientId: 'sidereal-dead-letters', logger })
  const admin = kafka.admin()
  const connected = <T>(work: Promise<T>): Promise<T> =>
    within(
      work,
      CONNECT_TIMEOUT_MS,
      systemClock,
      () =>
        new SiderealError(
          'SIDEREAL_KAFKA_UNAVAILABLE',
          `Kafka at ${brokers} did not answer within ${CONNECT_TIMEOUT_MS / 1000} s. Check SIDEREAL_KAFKA_BROKERS.`,
          { retryable: true },
        ),
    )
  const told = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work
    } catch (error) {
      if (error instanceof SiderealError) throw error
      throw kafkaError(error, { topic: deadLetterTopic, brokers })
    }
  }
  await told(connected(admin.connect()))
  return {
    deadLetterTopic,
    scan: async (filter, visit, note = () => '') => {
      const progress = startProgress('reading dead letters', 'records')
      try {
        return await told(
          scanDeadLetters(
            {
              kafka,
              admin,
              deadLetterTopic,
              sinceMs: filter.sinceMs ?? 0,
              timeoutMs: SILENCE_MS,
              onProgress: (done, total) => progress.update(done, total, note()),
            },
            (letter) => (isWanted(letter, filter) ? visit(letter) : 'next'),
          ),
        )
      } finally {
        progress.stop()
      }
    },
    openProducer: async () => {
      const { CheckedProducer } = await import('../kafka/checked-producer.ts')
      const producer = new CheckedProducer({ kafka, brokers: config.kafka.brokers, logger })
      try {
        await connected(producer.start())
      } catch (error) {
        void producer.close({ timeoutMs: 0 })
        throw error
      }
      return producer
    },
    close: () => admin.disconnect(),
  }
}
