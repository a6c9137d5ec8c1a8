/**
 * What an outage of Kafka does to a service: two services under load, one with a spool and one without, while the broker is killed and stays away.
 * Prints what their calls took, their memory over the outage, and what became of every span and log, which the topic is then searched for.
 */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import {
  droppedOf,
  LoadedService,
  type LoadedServiceLine,
} from '../integration-tests/producer/loaded-service.ts'
import { readNames } from '../integration-tests/producer/topic-names.ts'
import { createKafka } from '../src/kafka/client.ts'
import { makeTemporaryFolder } from '../src/local/local-folders.ts'
import { startStack } from '../src/local/stack.ts'
import type { ItemStats } from '../src/producer/delivery-counts.ts'
import { silentLogger } from '../src/telemetry/logger.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '3' },
    rate: { type: 'string', default: '1000' },
  },
})
const outageMs = Number(values.minutes) * 60_000
if (!(outageMs > 0) || !(Number(values.rate) > 0))
  throw new Error('--minutes (of outage) and --rate (spans a second, for each service) are numbers over 0')
const WARM_UP_MS = 15_000
const ROWS = 10
const PHASES = ['before', 'outage', 'after'] as const
const WAYS = ['memory', 'spool'] as const
type Way = (typeof WAYS)[number]

interface Story {
  readonly service: LoadedService
  readonly topic: string
  readonly phases: Map<string, LoadedServiceLine>
  peakRssMb: number
}

const say = (text: string) => process.stderr.write(`${text}\n`)
const folder = makeTemporaryFolder('outage')
const spool = join(folder, 'spool')
mkdirSync(spool)
const stack = await startStack({
  servers: ['kafka', 'registry'],
  dataFolder: join(folder, 'stack'),
  onProgress: say,
  onCrash: () => undefined,
})
const brokers = [stack.kafka!.address]
const stories = new Map<Way, Story>()
try {
  await createTopics(WAYS.map(topicOf))
  for (const way of WAYS) stories.set(way, start(way))
  await phase('before', WARM_UP_MS)
  await stack.kafka!.brokers[0]!.kill()
  say(`the broker is killed, for ${values.minutes} minutes`)
  heading()
  await phase('outage', outageMs)
  say('the broker starts')
  const startedAt = performance.now()
  await stack.kafka!.brokers[0]!.start()
  await Promise.all([phase('after', WARM_UP_MS), ...[...stories.values()].map(drained)])
  say(`everything has arrived after ${((performance.now() - startedAt) / 1000).toFixed(0)} s`)
  await report()
} finally {
  for (const { service } of stories.values()) await service[Symbol.asyncDispose]()
  await stack.close()
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
}

function topicOf(way: Way): string {
  return `outage-${way}`
}

async function createTopics(topics: readonly string[]): Promise<void> {
  const kafka = createKafka({ brokers }, { clientId: 'bench', logger: silentLogger })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({
    topics: topics.map((topic) => ({ topic, numPartitions: 3 })),
    waitForLeaders: true,
  })
  await admin.disconnect()
}

function start(way: Way): Story {
  const story: Story = {
    topic: topicOf(way),
    phases: new Map(),
    peakRssMb: 0,
    service: new LoadedService({
      env: {
        ...stack.env,
        SERVICE_NAME: way,
        SIDEREAL_TOPIC: topicOf(way),
        ...(way === 'spool' ? { SIDEREAL_PRODUCER_SPOOL_DIR: spool } : {}),
        SPAN_NAME: way,
        SPANS_PER_SECOND: values.rate,
      },
      onLine: (line) => {
        story.phases.set(line.phase, line)
        story.peakRssMb = Math.max(story.peakRssMb, line.rssMb)
      },
    }),
  }
  return story
}

/** Lets time pass; during the outage a row now and then. */
async function phase(name: (typeof PHASES)[number], ms: number): Promise<void> {
  for (const { service } of stories.values()) {
    await service.until(({ stats }) => name !== 'before' || stats.spans.sent > 0)
    service.say(`phase ${name}`)
  }
  for (let row = 1; row <= ROWS; row++) {
    await sleep(ms / ROWS)
    if (name === 'outage') console.log(cells(`${((row * ms) / ROWS / 1000).toFixed(0)} s`, memoryCells))
  }
}

function heading(): void {
  const names = ['RSS MB', 'heap', 'buffers', 'queue', 'disk', 'dropped']
  console.log(cells('', (_line, way) => names.map((_name, place) => (place === 0 ? `${way}:` : ''))))
  console.log(cells('outage', () => names))
}

function memoryCells({ rssMb, heapMb, externalMb, stats }: LoadedServiceLine): string[] {
  const mb = (bytes: number) => (bytes / 2 ** 20).toFixed(1)
  const used = [rssMb, heapMb, externalMb].map((megabytes) => megabytes.toFixed(0))
  return [...used, mb(stats.queueBytes), mb(stats.spoolBytes), String(droppedOf(stats.spans))]
}

function cells(first: string, of: (line: LoadedServiceLine, way: Way) => string[]): string {
  const parts = WAYS.flatMap((way) => of(stories.get(way)!.service.last!, way))
  return first.padEnd(10) + parts.map((part) => part.padStart(9)).join('')
}

async function drained({ service }: Story): Promise<void> {
  await service.until(
    ({ phase: name, stats }) => name === 'after' && stats.spans.spooled + stats.logs.spooled === 0,
    600_000,
  )
}

async function report(): Promise<void> {
  console.log(
    `\n${''.padEnd(24)}${'p50 µs'.padStart(10)}${'p99 µs'.padStart(10)}${'max µs'.padStart(10)}   (calls of a request)`,
  )
  for (const way of WAYS)
    for (const name of PHASES) {
      const { p50, p99, max } = stories.get(way)!.phases.get(name)!.requestMicros
      const figures = [p50, p99, max].map((micros) => micros.toFixed(0).padStart(10)).join('')
      console.log(`${way} ${name}`.padEnd(24) + figures)
    }
  let isRight = true
  for (const [way, { service, topic, peakRssMb }] of stories) {
    service.say('stop')
    const { stats, made, thrown, inexact, isSafe } = await service.end()
    const found = await readNames({ brokers, registryUrl: stack.registry!.address }, topic, 600_000)
    console.log(
      `\n${way}: peak RSS ${peakRssMb.toFixed(0)} MB, ${thrown} exceptions, ${inexact} inexact counts, shutdown gave ${isSafe}`,
    )
    const isSpans = countsOf('spans', made.spans, stats.spans, found.spans)
    const isLogs = countsOf('logs', made.logs, stats.logs, found.logs)
    const twice = found.total - found.spans.size - found.logs.size
    console.log(`  written twice: ${twice}`)
    isRight &&= isSpans && isLogs && thrown === 0 && inexact === 0
  }
  console.log(isRight ? '\nnothing is lost that is not counted' : '\nWRONG: see above')
  if (!isRight) process.exitCode = 1
}

/** Says whether everything that was accepted and not dropped is in the topic. */
function countsOf(kind: string, made: number, stats: ItemStats, found: ReadonlySet<string>): boolean {
  const dropped = droppedOf(stats)
  const reasons = Object.entries(stats.dropped).filter(([, items]) => items > 0)
  const why = reasons.map(([reason, items]) => `${reason} ${items}`).join(', ')
  console.log(
    `  ${kind}: made ${made}, accepted ${stats.accepted}, sent ${stats.sent}, dropped ${dropped}${why === '' ? '' : ` (${why})`}, in the topic ${found.size}`,
  )
  return stats.accepted === made && stats.sent + dropped === made && found.size >= made - dropped
}
