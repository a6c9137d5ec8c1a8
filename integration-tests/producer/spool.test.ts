import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { SchemaRegistry } from '../../src/codec/schema-registry.ts'
import { BODY_START, readFrame } from '../../src/codec/wire.ts'
import { createKafka } from '../../src/kafka/client.ts'
import { startStack } from '../../src/local/stack.ts'
import type { SpanBatch } from '../../src/model/span.ts'
import { DROP_REASONS, type ItemStats } from '../../src/producer/delivery-counts.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'

/** Two thousand a second. */
const SPANS = 6_000
/** Of a call, on a machine that does other things as well. */
const SLOWEST_MS = 500

interface Line {
  readonly made: number
  readonly slowestMs: number
  readonly isSafe?: boolean
  readonly spans: ItemStats
}

class Service {
  readonly process: ChildProcess
  readonly #lines: AsyncIterator<string>

  constructor(env: Record<string, string>) {
    this.process = spawn(
      process.execPath,
      [fileURLToPath(new URL('./spooling-process.ts', import.meta.url))],
      {
        env: { ...process.env, ...env },
        stdio: ['pipe', 'pipe', 'ignore'],
      },
    )
    this.#lines = createInterface({ input: this.process.stdout! })[Symbol.asyncIterator]()
  }

  async until(isTrue: (line: Line) => boolean): Promise<Line> {
    const deadline = performance.now() + 120_000
    for (;;) {
      const next = await this.#lines.next()
      assert.ok(next.done !== true, 'the service ended by itself')
      const line = JSON.parse(next.value) as Line
      const { accepted, waiting, spooled, sent, dropped } = line.spans
      const all = waiting + spooled + sent + DROP_REASONS.reduce((sum, reason) => sum + dropped[reason], 0)
      assert.equal(all, accepted, next.value)
      if (isTrue(line)) return line
      assert.ok(performance.now() < deadline, `the condition never became true: ${next.value}`)
    }
  }

  async kill(): Promise<void> {
    this.process.kill('SIGKILL')
    await once(this.process, 'exit')
  }
}

test('broker and registry away, the service killed with -9 while it spools: every span that was on disk is in Kafka', async (t) => {
  const spool = mkdtempSync(join(tmpdir(), 'sidereal-spool-'))
  const dataFolder = mkdtempSync(join(tmpdir(), 'sidereal-stack-'))
  t.after(() => rmSync(spool, { recursive: true, force: true }))
  t.after(() => rmSync(dataFolder, { recursive: true, force: true, maxRetries: 3 }))
  // A stack of its own: its servers are ended. The ports stay the same.
  const first = await startStack({ servers: ['kafka', 'registry'], dataFolder })
  const ports = { kafka: first.kafka!.ports, registry: first.registry!.ports }
  const topic = 'spooled'
  const kafka = createKafka({ brokers: [first.kafka!.address] }, { clientId: 'tests', logger: silentLogger })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: 3 }], waitForLeaders: true })
  await admin.disconnect()
  const env = (name: string) => ({
    ...first.env,
    SERVICE_NAME: 'spooling',
    SIDEREAL_TOPIC: topic,
    SIDEREAL_PRODUCER_LINGER_MS: '20',
    SIDEREAL_PRODUCER_SPOOL_DIR: spool,
    SPAN_NAME: name,
    SPANS: String(SPANS),
  })
  await first.close()

  const start = (name: string) => {
    const service = new Service(env(name))
    t.after(() => service.process.kill('SIGKILL'))
    return service
  }
  const killed = start('killed')
  // In the middle: it is still writing.
  const last = await killed.until(({ spans }) => spans.spooled >= SPANS / 3)
  await killed.kill()
  assert.ok(last.made < SPANS, `all ${SPANS} spans were made already`)
  assert.ok(last.slowestMs < SLOWEST_MS, `a call took ${last.slowestMs} ms`)

  const second = start('second')
  const taken = await second.until(
    ({ made, spans }) => made === SPANS && spans.recovered >= last.spans.spooled && spans.sent === 0,
  )
  assert.equal(taken.spans.accepted, SPANS + taken.spans.recovered)
  await using stack = await startStack({ servers: ['kafka', 'registry'], dataFolder, ports })
  const { spans } = await second.until((line) => line.spans.sent === line.spans.accepted)
  second.process.stdin!.write('end\n')
  const { isSafe } = await second.until((line) => line.isSafe !== undefined)
  assert.equal(isSafe, true)
  assert.deepEqual(readdirSync(spool), [])

  const registry = new SchemaRegistry({
    url: stack.registry!.address,
    timeoutMs: 10_000,
    payloadLimitBytes: 5_120,
  })
  const names = await readNames(registry, stack.kafka!.address, topic, spans.sent)
  for (const [name, count] of [
    ['killed', last.spans.spooled],
    ['second', SPANS],
  ] as const)
    for (let i = 0; i < count; i++) assert.ok(names.has(`${name}-${i}`), `${name}-${i} is lost`)
})

/** Reads a topic until it has given so many names of spans. */
async function readNames(
  registry: SchemaRegistry,
  broker: string,
  topic: string,
  count: number,
): Promise<Set<string>> {
  const kafka = createKafka({ brokers: [broker] }, { clientId: 'tests', logger: silentLogger })
  const consumer = kafka.consumer({ groupId: 'reader' })
  const names = new Set<string>()
  try {
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${names.size} of ${count} spans`)), 90_000)
      consumer
        .run({
          eachMessage: async ({ message }) => {
            const type = await registry.fetch(readFrame(message.value!))
            const batch = type.decode(message.value!, BODY_START, message.value!.length) as SpanBatch
            for (const { name } of batch.spans) names.add(name)
            if (names.size < count) return
            clearTimeout(timer)
            resolve()
          },
        })
        .catch(reject)
    })
  } finally {
    await consumer.disconnect()
  }
  return names
}
