import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ROOT_CONTEXT } from '@opentelemetry/api'
import { createKafka } from '../../src/kafka/client.ts'
import { freePorts } from '../../src/local/free-ports.ts'
import { NodeTraceLog, type TracingConfig, TracingService } from '../../src/producer/index.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { freshName, freshTopic } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { droppedOf } from './loaded-service.ts'
import { readNames, type TopicNames } from './topic-names.ts'

const servers = await useServers('kafka', 'registry')
const DEADLINE_MS = 120_000

/** A service of this process, and what it was given. A call that threw would fail the test. */
class Service {
  readonly tracing: TracingService
  readonly topic: string
  readonly #names: string[] = []

  constructor(topic: string, config: Partial<TracingConfig>) {
    this.topic = topic
    this.tracing = new TracingService({
      serviceName: 'faults',
      kafka: { brokers: servers.brokers },
      registry: { url: servers.registryUrl },
      topic,
      lingerMs: 10,
      logger: silentLogger,
      ...config,
    })
  }

  /** Ends so many spans, and publishes a log. */
  async make(spans: number, textBytes = 10): Promise<void> {
    for (let i = 0; i < spans; i++) {
      const name = `span-${this.#names.length}`
      this.#names.push(name)
      this.tracing.tracer.startSpan(name, { attributes: { text: 'x'.repeat(textBytes) } }, ROOT_CONTEXT).end()
      if (i % 50 === 49) await sleep(1)
      this.check()
    }
    this.tracing.publishNodeTraceLog(new NodeTraceLog({ question: `log-${this.#names.length}` }))
    this.check()
  }

  /** Everything that was accepted is accounted for, now. */
  check(): void {
    const { spans, logs } = this.tracing.stats()
    for (const stats of [spans, logs])
      assert.equal(stats.accepted, stats.waiting + stats.spooled + stats.sent + droppedOf(stats))
    assert.equal(spans.accepted, this.#names.length)
  }

  async until(isTrue: () => boolean): Promise<void> {
    const deadline = performance.now() + DEADLINE_MS
    while (!isTrue()) {
      this.check()
      assert.ok(performance.now() < deadline, JSON.stringify(this.tracing.stats()))
      await sleep(20)
    }
  }

  /** Ends the service; what it did not drop must be in the topic. */
  async end(): Promise<TopicNames> {
    const dropped = () => droppedOf(this.tracing.stats().spans) + droppedOf(this.tracing.stats().logs)
    const before = dropped()
    // True only if all that waited is in Kafka now.
    assert.equal(await this.tracing.flush(DEADLINE_MS), dropped() === before)
    assert.equal(await this.tracing.shutdown(), true)
    this.check()
    const { spans, logs } = this.tracing.stats()
    const found = await readNames(servers, this.topic)
    const missing = this.#names.filter((name) => !found.spans.has(name))
    assert.ok(missing.length <= droppedOf(spans), `${missing.length} lost, ${droppedOf(spans)} dropped`)
    assert.ok(found.logs.size >= logs.accepted - droppedOf(logs))
    return found
  }
}

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'sidereal-faults-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A broker that is away until the proxy is started: the brokers then tell their own addresses. */
async function brokerAway(
  t: TestContext,
): Promise<{ readonly address: string; readonly comeBack: () => Promise<unknown> }> {
  const [port] = await freePorts(1)
  const proxy = new TcpProxy(`http://${servers.brokers[0]}`, port)
  let isUp = false
  t.after(async () => {
    if (isUp) await proxy.close()
  })
  const comeBack = async () => {
    await proxy.start()
    isUp = true
  }
  return { address: `127.0.0.1:${port}`, comeBack }
}

test('a topic that is missing at the start and created later gets everything, in memory and by way of the spool', async (t) => {
  for (const spool of [undefined, { folder: temporaryFolder(t), afterMs: 100 }]) {
    const topic = freshName('late')
    const service = new Service(topic, spool === undefined ? {} : { spool })
    await service.make(200)
    // It has been tried, and there is no such topic.
    await service.until(() =>
      spool === undefined
        ? service.tracing.stats().spans.waiting === 200
        : service.tracing.stats().spans.spooled === 200,
    )
    assert.equal(await service.tracing.flush(3_000), false)
    assert.equal(service.tracing.stats().spans.sent, 0)
    await createTopic(topic)
    await service.make(50)
    const { spans } = await service.end()
    assert.equal(spans.size, 250)
  }
})

test('a registry that is away at the start holds everything, until it is back and has the bundled schemas', async (t) => {
  const topic = await freshTopic(servers)
  const proxy = new TcpProxy(servers.registryUrl)
  await proxy.start()
  t.after(() => proxy.close())
  proxy.set('refusing')
  const service = new Service(topic, { registry: { url: proxy.url } })
  await service.make(300)
  assert.equal(await service.tracing.flush(2_000), false)
  assert.equal(service.tracing.stats().spans.waiting, 300)
  proxy.set('open')
  const { spans, logs } = await service.end()
  assert.deepEqual([spans.size, logs.size], [300, 1])
  const subjects = (await (await fetch(`${servers.registryUrl}/subjects`)).json()) as string[]
  for (const name of ['sidereal.SpanBatch', 'sidereal.NodeTraceLog'])
    assert.ok(subjects.includes(`${topic}-${name}`), subjects.join())
})

test('a record over the topic’s limit is dropped as too large, by itself: its neighbours arrive', async () => {
  const topic = await freshTopic(servers, { config: { 'max.message.bytes': '20000' } })
  const service = new Service(topic, { compression: 'none' })
  await service.make(100)
  await service.make(3, 40_000)
  await service.make(100)
  const { spans } = await service.end()
  const stats = service.tracing.stats().spans
  assert.deepEqual([stats.dropped.too_large, stats.sent, spans.size], [3, 200, 200])
  assert.ok(!spans.has('span-100'))
})

test('a disk that is really full holds nothing up: memory keeps what it may, the rest is counted, and all that was kept arrives', async (t) => {
  const disk = temporaryFolder(t)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk], { stdio: 'pipe' })
  } catch (error) {
    t.skip(
      `a small file system cannot be mounted here: ${String((error as { stderr?: Buffer }).stderr ?? error)}`,
    )
    return
  }
  try {
    const broker = await brokerAway(t)
    const topic = await freshTopic(servers)
    // As much as may be with Kafka: that is not dropped.
    const maxQueueBytes = 4 * 1024 * 1024
    const service = new Service(topic, {
      kafka: { brokers: [broker.address] },
      spool: { folder: join(disk, 'spool'), afterMs: 50 },
      maxQueueBytes,
    })
    await service.make(200, 4_000)
    await service.until(() => service.tracing.stats().spans.spooled > 0)
    await service.make(2_500, 4_000)
    await service.until(() => service.tracing.stats().spans.dropped.queue_full > 0)
    const { spans, queueBytes, spoolBytes } = service.tracing.stats()
    assert.ok(spans.spooled > 0 && spans.spooled < 300, `${spans.spooled} spooled`)
    assert.ok(queueBytes <= maxQueueBytes, `${queueBytes} bytes in memory`)
    assert.ok(spoolBytes <= 1024 * 1024, `${spoolBytes} bytes on disk`)
    await broker.comeBack()
    await service.make(20)
    const found = await service.end()
    const { dropped, sent } = service.tracing.stats().spans
    assert.equal(found.spans.size, sent)
    assert.deepEqual([sent + dropped.queue_full, dropped.spool_damaged], [2_720, 0])
    assert.deepEqual(readdirSync(join(disk, 'spool')), [])
  } finally {
    // Lazily: a failed test may leave files open in it.
    execFileSync('umount', ['-l', disk])
  }
})

test('a spool over its limit drops the oldest, counted, and what is younger arrives', async (t) => {
  const broker = await brokerAway(t)
  const topic = await freshTopic(servers)
  const maxBytes = 3 * 1024 * 1024
  const service = new Service(topic, {
    kafka: { brokers: [broker.address] },
    spool: { folder: temporaryFolder(t), afterMs: 50, maxBytes },
  })
  await service.make(8_000, 1_000)
  await service.until(() => service.tracing.stats().spans.dropped.spool_full > 1_000)
  assert.ok(service.tracing.stats().spoolBytes <= maxBytes)
  await broker.comeBack()
  await service.make(20)
  const { spans } = await service.end()
  const { dropped, sent } = service.tracing.stats().spans
  assert.deepEqual([sent + dropped.spool_full, spans.size], [8_020, sent])
  // What was on its way to Kafka when its segment went may have arrived; what went is older than all that the disk holds: 2 MB at
  // least, a segment of a megabyte less than the limit, and a span takes up to 1.4 KB.
  for (let i = 7_000; i < 8_020; i++) assert.ok(spans.has(`span-${i}`), `span-${i}`)
})

async function createTopic(topic: string): Promise<void> {
  const admin = createKafka({ brokers: servers.brokers }, { clientId: 'tests', logger: silentLogger }).admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: 3 }], waitForLeaders: true })
  await admin.disconnect()
}
