import { randomInt } from 'node:crypto'
import type { Command } from 'commander'
import type { LoadProgress } from '../audit/load.ts'
import type { LoadPlan } from '../audit/load-plan.ts'
import type { Config } from '../config/config.ts'
import { systemClock } from '../model/clock.ts'
import { SiderealError } from '../model/errors.ts'
import { configOf } from './context.ts'
import { share, wholeNumber } from './numbers.ts'

interface LoadFlags {
  traces: number
  spansPerTrace: number
  seed: number
  rate: number
  ledger: string
  payloadShare: number
  openShare: number
  oddTimeShare: number
  logs: boolean
}

/** Adds `sidereal load`: sends seeded traces, and writes down what it sent and what Kafka acknowledged. */
export function registerLoadCommand(program: Command): void {
  program
    .command('load')
    .description('Send generated traces and keep a ledger of them, for "sidereal verify".')
    .requiredOption('--ledger <file>', 'file to write the ledger to; it must not exist yet')
    .option('--traces <count>', 'traces to send', wholeNumber(1, 100_000_000), 1000)
    .option('--spans-per-trace <count>', 'spans of each, four a record', wholeNumber(1, 100_000), 12)
    .option('--seed <number>', 'the same seed gives the same content', wholeNumber(0, 0xffff_ffff), 1)
    .option('--rate <spans>', 'spans a second; 0 = as fast as it goes', wholeNumber(0), 0)
    .option('--payload-share <share>', 'share of traces with values of 5 to 200 KB', share, 0.02)
    .option('--open-share <share>', 'share of traces that refer to something which is never sent', share, 0)
    .option('--odd-time-share <share>', 'share of traces with a span of an impossible time', share, 0)
    .option('--no-logs', 'spans only, no NodeTraceLogs')
    .action(async (flags: LoadFlags, command: Command) => {
      await load(configOf(command), flags)
    })
}

async function load(config: Config, flags: LoadFlags): Promise<void> {
  const { runLoad } = await import('../audit/load.ts')
  const { LedgerWriter } = await import('../audit/ledger.ts')
  const { startProgress } = await import('./progress.ts')
  const topic = config.topics.traces
  const plan: LoadPlan = {
    seed: flags.seed,
    run: randomInt(0x10000),
    startMs: Date.now(),
    traces: flags.traces,
    spansPerTrace: flags.spansPerTrace,
    payloadShare: flags.payloadShare,
    hasLogs: flags.logs,
    openShare: flags.openShare,
    oddTimeShare: flags.oddTimeShare,
  }
  const stop = new AbortController()
  const onSignal = () => stop.abort()
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
  const progress = startProgress('sending', 'spans')
  const startedMs = performance.now()
  const rateOf = ({ spans }: LoadProgress) =>
    `${Math.round(spans / ((performance.now() - startedMs) / 1000))} spans/s`
  const producer = await openProducer(config)
  try {
    using ledger = new LedgerWriter(flags.ledger, { topic, plan })
    const total = await runLoad({
      plan,
      ledger,
      rate: flags.rate,
      encoder: producer.encoder,
      send: producer.send,
      onProgress: (sent) => progress.update(sent.spans, flags.traces * flags.spansPerTrace, rateOf(sent)),
      signal: stop.signal,
    })
    progress.stop()
    const { traces, spans, records, bytes } = total
    const size = `${(bytes / 1024 / 1024).toFixed(1)} MiB`
    console.log(
      `${traces} traces · ${spans} spans · ${records} records · ${size} acknowledged · ${rateOf(total)} · ledger ${flags.ledger}`,
    )
    if (stop.signal.aborted) process.exitCode = 130
  } finally {
    progress.stop()
    await producer.close()
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
  }
}

/** A broker that accepts and says nothing would hold the first connection for minutes. */
const START_TIMEOUT_MS = 12_000

async function openProducer(config: Config) {
  const { within } = await import('../model/within.ts')
  const { BUNDLED_SCHEMA_NAMES, bundledSchema } = await import('../codec/bundled-schemas.ts')
  const { RecordWriter } = await import('../codec/record-writer.ts')
  const { SchemaRegistry, subjectFor } = await import('../codec/schema-registry.ts')
  const { kafkaConnection, registryConnection } = await import('../config/connections.ts')
  const { CheckedProducer } = await import('../kafka/checked-producer.ts')
  const { createKafka } = await import('../kafka/client.ts')
  const { cliLogger } = await import('./logger.ts')
  const topic = config.topics.traces
  const registry = new SchemaRegistry({
    ...registryConnection(config),
    timeoutMs: 10_000,
    payloadLimitBytes: config.payloads.limitBytes,
  })
  const register = (name: (typeof BUNDLED_SCHEMA_NAMES)[number]) =>
    registry.register(subjectFor(topic, name), bundledSchema(name).json)
  const spanSchema = await register('sidereal.SpanBatch')
  const logSchema = await register('sidereal.NodeTraceLog')
  const logger = cliLogger(config)
  const { brokers } = config.kafka
  const kafka = createKafka(kafkaConnection(config), { clientId: 'sidereal-load', logger })
  const producer = new CheckedProducer({ kafka, brokers, logger, sendTimeoutMs: 120_000 })
  try {
    await within(
      producer.start(),
      START_TIMEOUT_MS,
      systemClock,
      () =>
        new SiderealError(
          'SIDEREAL_KAFKA_UNAVAILABLE',
          `Kafka at ${brokers.join(',')} did not answer within ${START_TIMEOUT_MS / 1000} s. Check SIDEREAL_KAFKA_BROKERS.`,
          { retryable: true },
        ),
    )
  } catch (error) {
    // Not awaited: behind a silent broker this takes as long as the connection that is being made, and nothing was sent.
    void producer.close({ timeoutMs: 0 })
    throw error
  }
  const writer = new RecordWriter()
  return {
    encoder: {
      spanBatch: (batch: Parameters<RecordWriterType['encodeSpanBatch']>[0]) =>
        writer.encodeSpanBatch(batch, spanSchema),
      nodeTraceLog: (log: Parameters<RecordWriterType['encodeNodeTraceLog']>[0]) =>
        writer.encodeNodeTraceLog(log, logSchema),
    },
    send: (records: readonly { key: Buffer; value: Buffer }[]) => producer.send(topic, records),
    close: () => producer.close(),
  }
}

type RecordWriterType = import('../codec/record-writer.ts').RecordWriter
