import { writeFile } from 'node:fs/promises'
import { type Command, InvalidArgumentError } from 'commander'
import type { DeadLetterFilter } from '../audit/dead-letter-filter.ts'
import type { ReplayRecord } from '../audit/dead-letter-replay.ts'
import type { StoredLetter } from '../audit/stored-letter.ts'
import type { Config } from '../config/config.ts'
import { DEAD_LETTER_REASONS } from '../model/dead-letter.ts'
import { SiderealError } from '../model/errors.ts'
import { configOf } from './context.ts'
import { type LetterScanner, openDeadLetters } from './dead-letter-topic.ts'
import { moment, range, wholeNumber } from './numbers.ts'

interface FilterFlags {
  reason?: string[]
  sid?: string
  topic?: string
  partition?: number
  offset?: { first: number; last: number }
  since?: number
  until?: number
}

interface ListFlags extends FilterFlags {
  limit: number
  json?: boolean
}

interface ShowFlags {
  bytes: number
  output?: string
  json?: boolean
}

interface ReplayFlags extends FilterFlags {
  limit?: number
  yes?: boolean
  dryRun?: boolean
}

/** Where a record lay in its input topic. */
interface Place {
  readonly topic: string | undefined
  readonly partition: number
  readonly offset: number
}

/** Adds `sidereal dead-letters list|show|replay`. */
export function registerDeadLettersCommand(program: Command): void {
  const letters = program
    .command('dead-letters')
    .description('Records that could not be processed: list them, look at one, send them through again.')
  withFilters(letters.command('list'))
    .description('List the records among the dead letters, each once, newest last.')
    .option('--limit <count>', 'records to show, the newest', wholeNumber(1, 100_000), 50)
    .option('--json', 'one JSON object a line')
    .action(async (flags: ListFlags, command: Command) => {
      await withLetters(configOf(command), (open) => list(open, flags))
    })
  letters
    .command('show')
    .description(
      'Show one dead letter: where it came from, why it is here, its headers, and its first bytes.',
    )
    .argument('<place>', 'partition/offset in the input topic, or topic/partition/offset', parsePlace)
    .option('--bytes <count>', 'bytes of the value to show', wholeNumber(0, 1_048_576), 512)
    .option('-o, --output <file>', 'write the whole value to this file, byte for byte')
    .option('--json', 'one JSON object, the value in base64')
    .action(async (place: Place, flags: ShowFlags, command: Command) => {
      const config = configOf(command)
      await withLetters(config, (open) =>
        show(open, { ...place, topic: place.topic ?? config.topics.traces }, flags),
      )
    })
  withFilters(letters.command('replay'))
    .description(
      'Send the records of dead letters to the input topic again, as they came. Without --yes it only says what it would send. It may be repeated: rows stay the same.',
    )
    .option('--limit <count>', 'records to send, in the order of the dead-letter topic', wholeNumber(1))
    .option('--yes', 'send them')
    .option('--dry-run', 'only say what would be sent (the default)')
    .action(async (flags: ReplayFlags, command: Command) => {
      if (flags.yes === true && flags.dryRun === true) {
        throw new SiderealError(
          'SIDEREAL_CONFIG_INVALID',
          '--yes and --dry-run contradict each other. Give one of them.',
        )
      }
      const config = configOf(command)
      await withLetters(config, (open) => replay(config, open, flags))
    })
}

function withFilters(command: Command): Command {
  return command
    .option('--reason <reason...>', `only these: ${DEAD_LETTER_REASONS.join(', ')}`, addReason)
    .option('--sid <sid>', 'only records with this key')
    .option('--topic <name>', 'only records of this input topic')
    .option('--partition <number>', 'only records of this partition of it', wholeNumber(0))
    .option('--offset <range>', 'only these offsets in it: 12 or 10-20', range)
    .option('--since <time>', 'only letters written since: 2026-05-01T12:00:00Z, or 24h ago', moment)
    .option('--until <time>', 'only letters written before', moment)
}

function addReason(text: string, former: string[] | undefined): string[] {
  if (!DEAD_LETTER_REASONS.some((reason) => reason === text)) {
    throw new InvalidArgumentError(`It must be one of ${DEAD_LETTER_REASONS.join(', ')}.`)
  }
  return [...(former ?? []), text]
}

function parsePlace(text: string): Place {
  const match = /^(?:([a-zA-Z0-9._-]{1,249})\/)?(\d{1,9})\/(\d{1,16})$/.exec(text)
  if (match === null) {
    throw new InvalidArgumentError('It must be partition/offset or topic/partition/offset, such as 3/1207.')
  }
  return { topic: match[1], partition: Number(match[2]), offset: Number(match[3]) }
}

function filterOf(flags: FilterFlags): DeadLetterFilter {
  const { reason: reasons, sid, topic, partition, offset: offsets, since: sinceMs, until: untilMs } = flags
  return { reasons, sid, topic, partition, offsets, sinceMs, untilMs }
}

async function withLetters(config: Config, use: (open: LetterScanner) => Promise<void>): Promise<void> {
  const open = await openDeadLetters(config)
  try {
    await use(open)
  } finally {
    await open.close()
  }
}

async function list(letters: LetterScanner, flags: ListFlags): Promise<void> {
  const { LetterList } = await import('../audit/dead-letter-list.ts')
  const { letterTable, listSummary } = await import('./dead-letter-text.ts')
  const found = new LetterList(flags.limit)
  const { strangers } = await letters.scan(filterOf(flags), (letter) => {
    found.add(letter)
    return 'next'
  })
  const summaries = found.summaries()
  if (flags.json === true) {
    for (const summary of summaries) console.log(JSON.stringify(summary))
    return
  }
  if (summaries.length > 0) console.log(letterTable(summaries))
  console.log(listSummary(found, summaries.length, letters.deadLetterTopic, strangers))
}

async function show(letters: LetterScanner, place: Required<Place>, flags: ShowFlags): Promise<void> {
  const { letterDetails, letterJson } = await import('./dead-letter-text.ts')
  const { topic, partition, offset } = place
  const filter: DeadLetterFilter = { topic, partition, offsets: { first: offset, last: offset } }
  const found: StoredLetter[] = []
  await letters.scan(filter, (letter) => {
    found.push(letter)
    return 'stop'
  })
  const [letter] = found
  if (letter === undefined) {
    throw new SiderealError(
      'SIDEREAL_DEAD_LETTER_NOT_FOUND',
      `No dead letter of ${topic}, partition ${partition}, offset ${offset} lies in ${letters.deadLetterTopic}. "sidereal dead-letters list" names those that do.`,
    )
  }
  if (flags.output !== undefined) {
    if (letter.value === null) {
      throw new SiderealError(
        'SIDEREAL_DEAD_LETTER_NOT_FOUND',
        letter.omitted === undefined
          ? 'This record has no value: it is a tombstone.'
          : `The value of this record (${letter.omitted.bytes} bytes) was over the limit of the dead-letter topic and is not in it. Read it from ${topic}, partition ${partition}, offset ${offset}, while retention keeps it.`,
      )
    }
    // What services sent, unredacted: for nobody but who asked.
    await writeFile(flags.output, letter.value, { mode: 0o600 })
  }
  console.log(flags.json === true ? letterJson(letter) : letterDetails(letter, flags.bytes))
}

async function replay(config: Config, letters: LetterScanner, flags: ReplayFlags): Promise<void> {
  const { LetterReplay } = await import('../audit/dead-letter-replay.ts')
  const { replaySummary } = await import('./dead-letter-text.ts')
  const topic = config.topics.traces
  const isDryRun = flags.yes !== true
  const producer = isDryRun ? null : await letters.openProducer()
  let sent = 0
  const run = new LetterReplay({
    topic,
    expiredBeforeMs: Date.now() - config.clickhouse.ttlDays * 86_400_000,
    limit: flags.limit ?? Number.POSITIVE_INFINITY,
    send: producer === null ? null : (records: readonly ReplayRecord[]) => producer.send(topic, records),
    onSent: (records) => {
      sent += records
    },
  })
  const stop = new AbortController()
  const onSignal = () => stop.abort()
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
  try {
    await letters.scan(
      filterOf(flags),
      async (letter) => (stop.signal.aborted ? 'stop' : await run.add(letter)),
      () => `· ${run.counts.records} to send, ${sent} sent`,
    )
    await run.finish()
  } catch (error) {
    if (sent > 0) console.error(`${sent} records were sent before this; sending them again changes nothing.`)
    throw error
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
    await producer?.close()
  }
  console.log(replaySummary(run.counts, { topic, isDryRun, ttlDays: config.clickhouse.ttlDays }))
  if (stop.signal.aborted) process.exitCode = 130
}
