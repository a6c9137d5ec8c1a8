import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Context, ROOT_CONTEXT, type Span, trace } from '@opentelemetry/api'
import { SchemaRegistry } from '../../src/codec/schema-registry.ts'
import { BODY_START, readFrame } from '../../src/codec/wire.ts'
import { createKafka } from '../../src/kafka/client.ts'
import { runCli } from '../../src/local/demo/cli-process.ts'
import { Witness } from '../../src/local/demo/witness.ts'
import { copyWitness } from '../../src/local/demo/witness-ledger.ts'
import { startWorker } from '../../src/local/demo/worker-process.ts'
import { makeTemporaryFolder } from '../../src/local/local-folders.ts'
import { startStack } from '../../src/local/stack.ts'
import type { NodeTraceLog as NodeTraceLogRecord } from '../../src/model/node-trace-log.ts'
import type { SpanBatch } from '../../src/model/span.ts'
import { droppedOf } from '../../src/producer/delivery-counts.ts'
import { NodeTraceLog, type TracingConfig, TracingService } from '../../src/producer/index.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { readWholeTopic } from '../kafka/kafka-for-tests.ts'

type Environment = Readonly<Record<string, string>>

/** Longer than the time of a record with Kafka: what was sent first is given back then, and what came later must not pass it. */
const OUTAGE_MS = 36_000
const STEP_MS = 25
const SIDS = 4
/** What a second of such an outage brings, about. */
const SMALL_QUEUE_BYTES = 64 * 1024

/** A service with requests that last: numbered spans in each of their traces, and numbered logs of SIDs of their own. */
class Service {
  readonly topic: string
  readonly tracing: TracingService
  made = 0
  readonly #witness: Witness
  readonly #witnessFile: string
  readonly #roots: readonly { readonly span: Span; readonly context: Context }[]
  readonly #logSids = new Map<string, string>()

  constructor(
    topic: string,
    folder: string,
    env: Environment,
    where: Pick<TracingConfig, 'spool' | 'maxQueueBytes'>,
  ) {
    this.topic = topic
    this.#witnessFile = join(folder, `${topic}.witness.jsonl`)
    this.#witness = new Witness(this.#witnessFile, topic)
    this.tracing = new TracingService({
      serviceName: topic,
      kafka: { brokers: (env['SIDEREAL_KAFKA_BROKERS'] ?? '').split(',') },
      registry: { url: env['SIDEREAL_REGISTRY_URL'] ?? '' },
      topic,
      // So that nearly each span is a record.
      lingerMs: 5,
      logger: silentLogger,
      spanProcessors: [this.#witness],
      ...where,
    })
    this.#roots = Array.from({ length: SIDS }, () => {
      const span = this.tracing.tracer.startSpan('root', {}, ROOT_CONTEXT)
      return { span, context: trace.setSpan(ROOT_CONTEXT, span) }
    })
  }

  makeOne(): void {
    const number = String(this.made++)
    for (const [index, { span, context }] of this.#roots.entries()) {
      this.tracing.tracer.startSpan(number, {}, context).end()
      const log = new NodeTraceLog({ sid: `${this.topic}-${index}`, question: number })
      log.setEnd()
      this.tracing.publishNodeTraceLog(log)
      this.#witness.onLog(log, span.spanContext().traceId)
      this.#logSids.set(log.logId, log.sid)
    }
  }

  async end(): Promise<void> {
    for (const { span } of this.#roots) span.end()
    assert.equal(await this.tracing.flush(60_000), true)
    assert.equal(await this.tracing.shutdown(), true)
  }

  /** What the witness saw, under the SIDs that it does not know. */
  async writeLedger(sidOfTrace: ReadonlyMap<string, string>): Promise<string> {
    const path = `${this.#witnessFile}.ledger`
    await copyWitness(this.#witnessFile, path, ({ traceId, ...line }) => {
      // The logs were published outside of any span.
      if (line.logId !== undefined) return { ...line, sid: this.#logSids.get(line.logId) }
      return { ...line, traceId, sid: sidOfTrace.get(traceId) }
    })
    return path
  }
}

test('over an outage that is longer than a send may take records of one SID keep their order, in memory and by way of the spool, and verify finds all but those that are counted as dropped', async (t) => {
  const folder = makeTemporaryFolder('producer-outage')
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }))
  await using stack = await startStack({ dataFolder: join(folder, 'stack'), onCrash: () => undefined })
  const broker = stack.kafka!.brokers[0]!
  const envOf = (topic: string): Environment => ({
    ...stack.env,
    ...{ SIDEREAL_TOPIC: topic, SIDEREAL_GROUP: topic },
    ...{ SIDEREAL_QUIET_MS: '500', SIDEREAL_IDLE_MS: '500', SIDEREAL_METRICS_PORT: '0' },
  })
  for (const topic of ['memory', 'spool', 'small']) await cli(['setup'], envOf(topic))
  const spool = { folder: join(folder, 'spool'), afterMs: 100 }
  const services = [
    new Service('memory', folder, stack.env, {}),
    new Service('spool', folder, stack.env, { spool }),
    new Service('small', folder, stack.env, { maxQueueBytes: SMALL_QUEUE_BYTES }),
  ]
  t.after(() => Promise.all(services.map(({ tracing }) => tracing.shutdown(0))))
  const makeFor = async (ms: number): Promise<void> => {
    for (const endMs = performance.now() + ms; performance.now() < endMs; ) {
      for (const service of services) service.makeOne()
      await sleep(STEP_MS)
    }
  }
  await makeFor(2_000)
  await broker.kill()
  await makeFor(OUTAGE_MS)
  await broker.start()
  await makeFor(3_000)

  for (const service of services) {
    await service.end()
    const { spans, logs } = service.tracing.stats()
    const dropped = droppedOf(spans) + droppedOf(logs)
    assert.equal(dropped > 0, service.topic === 'small')
    const { sidOfTrace, numbers } = await readOrder(service, stack.env)
    assertOrder(service, numbers, dropped)
    const env = envOf(service.topic)
    const worker = await startWorker(env, join(folder, `${service.topic}.worker.log`), neverAborted)
    try {
      const ledger = await service.writeLedger(sidOfTrace)
      const { output } = await runCli(['verify', '--timeout', '60', '--ledger', ledger], env, neverAborted)
      // What the facts say of a trace is about what came of it.
      const expected = `^${dropped} lost · 0 duplicated · 0 altered · ${dropped > 0 ? '\\d+' : '0'} truncated · 0 extra$`
      assert.match(output.toString(), new RegExp(expected, 'm'))
    } finally {
      await worker.close()
    }
  }
})

const { signal: neverAborted } = new AbortController()

async function cli(args: readonly string[], env: Environment): Promise<string> {
  const { code, output } = await runCli(args, env, neverAborted)
  assert.equal(code, 0, output.toString())
  return output.toString()
}

/** What came for each SID, in the order in which it came at first. */
type Numbers = ReadonlyMap<string, ReadonlySet<string>>

async function readOrder(
  { topic }: Service,
  env: Environment,
): Promise<{ numbers: Numbers; sidOfTrace: ReadonlyMap<string, string> }> {
  const brokers = (env['SIDEREAL_KAFKA_BROKERS'] ?? '').split(',')
  const kafka = createKafka({ brokers }, { clientId: 'tests', logger: silentLogger })
  const registry = new SchemaRegistry({
    url: env['SIDEREAL_REGISTRY_URL'] ?? '',
    timeoutMs: 10_000,
    payloadLimitBytes: 5_120,
  })
  const records = await readWholeTopic(kafka, topic)
  // Records of a SID lie in one partition.
  records.sort((a, b) => Number(a.message.offset) - Number(b.message.offset))
  const numbers = new Map<string, Set<string>>()
  const sidOfTrace = new Map<string, string>()
  for (const { message } of records) {
    const type = await registry.fetch(readFrame(message.value!))
    const value = type.decode(message.value!, BODY_START, message.value!.length)
    const sid = `${type.kind} of ${message.key}`
    const seen = numbers.get(sid) ?? new Set()
    numbers.set(sid, seen)
    if ('spans' in value) for (const { traceId } of value.spans) sidOfTrace.set(traceId, value.sid)
    // One whose answer was lost is sent again, and comes twice: the first time counts.
    for (const number of namesIn(value)) if (number !== 'root') seen.add(number)
  }
  return { numbers, sidOfTrace }
}

/** All came in the order in which it was made, but for as many as were dropped. */
function assertOrder({ topic, made }: Service, numbers: Numbers, dropped: number): void {
  assert.equal(numbers.size, 2 * SIDS)
  let missing = 0
  for (const [sid, seen] of numbers) {
    const inOrder = Array.from({ length: made }, (_, i) => String(i)).filter((number) => seen.has(number))
    assert.deepEqual([...seen], inOrder, `${topic}: ${sid}`)
    missing += made - seen.size
  }
  assert.equal(missing, dropped, topic)
}

function namesIn(value: SpanBatch | NodeTraceLogRecord): string[] {
  return 'spans' in value ? value.spans.map(({ name }) => name) : [String(value.question)]
}
