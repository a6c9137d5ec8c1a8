import type { Command } from 'commander'
import type { DeadLetterNotes } from '../audit/dead-letter-reader.ts'
import type { ExpectedTrace } from '../audit/expected.ts'
import type { VerifyReport } from '../audit/verify.ts'
import type { Config } from '../config/config.ts'
import { SiderealError } from '../model/errors.ts'
import type { PayloadReference } from '../model/payload-reference.ts'
import { configOf } from './context.ts'
import { wholeNumber } from './numbers.ts'

interface VerifyFlags {
  ledger: string[]
  timeout: number
  details: boolean
}

/** Adds `sidereal verify`: holds the tables against a ledger. Its last line is the verdict, the exit code too. */
export function registerVerifyCommand(program: Command): void {
  program
    .command('verify')
    .description('Compare the tables with a ledger of what was sent.')
    .requiredOption('--ledger <file...>', 'ledger of "sidereal load", or content ledgers of services')
    .option(
      '--timeout <seconds>',
      'how long the worker may take to settle what is in the topic',
      wholeNumber(1),
      180,
    )
    .option('--no-details', 'counts only')
    .action(async (flags: VerifyFlags, command: Command) => {
      process.exitCode = await verifyLedger(configOf(command), flags)
    })
}

/** What a ledger of either kind gives to verify. */
interface OpenLedger {
  readonly traces: () => AsyncIterable<ExpectedTrace> | Iterable<ExpectedTrace>
  readonly traceCount: number
  readonly sidPrefix: string | undefined
  readonly sinceMs: number
}

async function verifyLedger(config: Config, flags: VerifyFlags): Promise<number> {
  const { verify } = await import('../audit/verify.ts')
  const { kafkaConnection, clickHouseConnection } = await import('../config/connections.ts')
  const { createKafka } = await import('../kafka/client.ts')
  const { openClickHouse } = await import('../storage/clickhouse/client.ts')
  const { cliLogger } = await import('./logger.ts')
  const { startProgress } = await import('./progress.ts')
  const ledger = await openLedger(config, flags.ledger)
  const kafka = createKafka(kafkaConnection(config), {
    clientId: 'sidereal-verify',
    logger: cliLogger(config),
  })
  const deadLetters = await settle(kafka, config, ledger, flags.timeout * 1000)
  const client = openClickHouse({ ...clickHouseConnection(config), requestTimeoutMs: 120_000 })
  const payloads = await openPayloads(config)
  const progress = startProgress('comparing', 'traces')
  try {
    await client.ping()
    const report = await verify({
      client,
      expected: ledger.traces,
      sidPrefix: ledger.sidPrefix,
      isDeadLettered: (origin, sid) => deadLetters.has(origin, sid),
      fetchPayload: payloads.read,
      onProgress: (traces) => progress.update(traces, ledger.traceCount),
    })
    progress.stop()
    print(report, deadLetters, ledger.sidPrefix ?? '', flags.details)
    return report.isClean && report.deadLettered === 0 ? 0 : 1
  } finally {
    progress.stop()
    await client.close()
    await payloads.close()
  }
}

/** Waits for the worker, then reads what it could not process. */
async function settle(
  kafka: import('kafkajs').Kafka,
  config: Config,
  ledger: OpenLedger,
  timeoutMs: number,
): Promise<DeadLetterNotes> {
  const { waitUntilCommitted } = await import('../audit/committed.ts')
  const { readDeadLetters } = await import('../audit/dead-letter-reader.ts')
  const { kafkaError } = await import('../kafka/kafka-error.ts')
  const { startProgress } = await import('./progress.ts')
  const topic = config.topics.traces
  const admin = kafka.admin()
  const progress = startProgress('waiting for the worker', 'records')
  try {
    await admin.connect()
    await waitUntilCommitted({
      admin,
      topic,
      group: config.worker.group,
      timeoutMs,
      onProgress: (open, total) => progress.update(total - open, total),
    })
    const deadLetterTopic = config.topics.deadLetters
    return await readDeadLetters({
      kafka,
      admin,
      deadLetterTopic,
      topic,
      sinceMs: ledger.sinceMs,
      timeoutMs: 60_000,
    })
  } catch (error) {
    if (error instanceof SiderealError) throw error
    throw kafkaError(error, { topic, brokers: config.kafka.brokers.join(',') })
  } finally {
    progress.stop()
    await admin.disconnect()
  }
}

/** The clock of the broker may be behind ours by so much; older dead letters belong to other ledgers. */
const CLOCK_DIFFERENCE_MS = 3_600_000

async function openLedger(config: Config, paths: readonly string[]): Promise<OpenLedger> {
  const { ContentLedger, isContentLedger } = await import('../audit/content-ledger.ts')
  const { LoadLedger } = await import('../audit/load-ledger.ts')
  const { sidPrefixOf } = await import('../audit/generator.ts')
  const [first = ''] = paths
  if (await isContentLedger(first)) {
    const ledger = await ContentLedger.read(paths)
    return { traces: () => ledger.traces(), traceCount: ledger.traceCount, sidPrefix: undefined, sinceMs: 0 }
  }
  if (paths.length > 1) {
    throw new SiderealError(
      'SIDEREAL_LEDGER_INVALID',
      'Only content ledgers are verified together. Verify each ledger of "sidereal load" by itself.',
    )
  }
  const ledger = await LoadLedger.read(first)
  const topic = config.topics.traces
  if (ledger.topic !== topic) {
    throw new SiderealError(
      'SIDEREAL_LEDGER_INVALID',
      `The ledger ${first} is of topic ${ledger.topic}, but SIDEREAL_TOPIC is ${topic}. Set it to the ledger’s.`,
    )
  }
  return {
    traces: () => ledger.traces(),
    traceCount: ledger.plan.traces,
    sidPrefix: sidPrefixOf(ledger.plan),
    sinceMs: ledger.plan.startMs - CLOCK_DIFFERENCE_MS,
  }
}

async function openPayloads(
  config: Config,
): Promise<{ read: (reference: PayloadReference) => Promise<Buffer>; close: () => Promise<void> }> {
  const { objectStoreConnection } = await import('../config/connections.ts')
  const connection = objectStoreConnection(config)
  if (connection === undefined) {
    const read = async (): Promise<Buffer> => {
      throw new SiderealError(
        'SIDEREAL_PAYLOAD_NOT_FOUND',
        'A row refers to a payload, but no object store is configured. Set SIDEREAL_OBJECT_STORE.',
      )
    }
    return { read, close: async () => undefined }
  }
  const { openObjectStore } = await import('../storage/object-store.ts')
  const { readPayload } = await import('../storage/payload-pack.ts')
  const store = openObjectStore(connection.url, connection)
  return { read: (reference) => readPayload(store, reference), close: () => store.close() }
}

function print(
  report: VerifyReport,
  deadLetters: DeadLetterNotes,
  sidPrefix: string,
  hasDetails: boolean,
): void {
  const { counts, traces, rows, payloads, deadLettered } = report
  if (hasDetails) for (const detail of report.details) console.log(detail)
  if (deadLettered > 0) {
    console.log(`${deadLettered} rows are missing because their records are dead letters:`)
    const notes = [...deadLetters].filter(({ sid }) => sid.startsWith(sidPrefix))
    for (const { partition, offset, stage, reason } of notes.slice(0, 20))
      console.log(`dead letter: partition ${partition}, offset ${offset}: ${stage}, ${reason}`)
    if (notes.length > 20) console.log(`… and ${notes.length - 20} more`)
  }
  console.log(`${traces} traces, ${rows} rows as sent, ${payloads} payloads fetched`)
  console.log(
    `${counts.lost} lost · ${counts.duplicated} duplicated · ${counts.altered} altered · ${counts.truncated} truncated · ${counts.extra} extra`,
  )
}
