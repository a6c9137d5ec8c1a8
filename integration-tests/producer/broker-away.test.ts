import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ROOT_CONTEXT } from '@opentelemetry/api'
import { SchemaRegistry } from '../../src/codec/schema-registry.ts'
import { BODY_START, readFrame } from '../../src/codec/wire.ts'
import { createKafka } from '../../src/kafka/client.ts'
import type { SpanBatch } from '../../src/model/span.ts'
import { NodeTraceLog, type TracingConfig, TracingService } from '../../src/producer/index.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { readTopic } from '../kafka/kafka-for-tests.ts'
import { freshTopic } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { SilentServer } from '../support/silent-server.ts'

const servers = await useServers('kafka', 'registry')

/** A port on which nobody listens. */
async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => probe.once('listening', resolve))
  const { port } = probe.address() as { port: number }
  await new Promise((resolve) => probe.close(resolve))
  return port
}

function open(
  brokers: string[],
  registryUrl: string,
  topic: string,
  limits: Partial<TracingConfig> = {},
): TracingService {
  return new TracingService({
    serviceName: 'away',
    kafka: { brokers },
    registry: { url: registryUrl },
    topic,
    lingerMs: 10,
    logger: silentLogger,
    ...limits,
  })
}

test('with no broker and no registry at the start every call returns at once, and what was held and dropped is counted exactly', async () => {
  const address = `127.0.0.1:${await freePort()}`
  const tracing = open([address], `http://${address}`, 'any', { maxQueueItems: 100 })
  for (let i = 0; i < 250; i++) tracing.tracer.startSpan(`s${i}`, {}, ROOT_CONTEXT).end()
  tracing.publishNodeTraceLog(new NodeTraceLog({ question: 'q' }))
  assert.equal(await tracing.flush(100), false)
  const { spans, logs } = tracing.stats()
  assert.deepEqual(
    [
      spans.accepted,
      spans.sent,
      spans.waiting + logs.waiting,
      spans.dropped.queue_full + logs.dropped.queue_full,
    ],
    [250, 0, 100, 151],
  )
  assert.equal(await tracing.shutdown(100), false)
  const after = tracing.stats()
  assert.deepEqual([after.spans.waiting, after.logs.waiting], [0, 0])
  assert.equal(after.spans.dropped.shutdown + after.logs.dropped.shutdown, 100)
})

test('spans that were made while Kafka could not be reached arrive once it can', async () => {
  const topic = await freshTopic(servers)
  const port = await freePort()
  const [host, realPort] = servers.brokers[0]!.split(':')
  const tracing = open([`127.0.0.1:${port}`], servers.registryUrl, topic)
  for (let i = 0; i < 50; i++) tracing.tracer.startSpan(`s${i}`, {}, ROOT_CONTEXT).end()
  assert.equal(await tracing.flush(500), false)
  assert.equal(tracing.stats().spans.waiting, 50)
  // The address comes to life: a plain relay to the broker, which then names its own address.
  const relay = createServer((socket) => {
    const upstream = connect(Number(realPort), host)
    socket.pipe(upstream).pipe(socket)
    socket.on('error', () => upstream.destroy())
    upstream.on('error', () => socket.destroy())
  }).listen(port, '127.0.0.1')
  try {
    assert.equal(await tracing.flush(60_000), true)
    assert.equal(tracing.stats().spans.sent, 50)
    const registry = new SchemaRegistry({
      url: servers.registryUrl,
      timeoutMs: 10_000,
      payloadLimitBytes: 5_120,
    })
    const kafka = createKafka({ brokers: servers.brokers }, { clientId: 'tests', logger: silentLogger })
    const names = new Set<string>()
    for (const { message } of await readTopic(kafka, topic, 50)) {
      const type = await registry.fetch(readFrame(message.value!))
      const batch = type.decode(message.value!, BODY_START, message.value!.length) as SpanBatch
      for (const { name } of batch.spans) names.add(name)
    }
    assert.equal(names.size, 50)
  } finally {
    await tracing.shutdown()
    relay.close()
  }
})

test('shutdown ends within its time when Kafka and the registry take connections and never answer, with and without a spool', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sidereal-hanging-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  using silent = await SilentServer.start()
  for (const registryUrl of [servers.registryUrl, silent.url]) {
    for (const hasSpool of [false, true]) {
      const spool = hasSpool ? { folder: mkdtempSync(join(folder, 'spool-')), afterMs: 50 } : undefined
      const tracing = open([silent.address], registryUrl, 'any', spool === undefined ? {} : { spool })
      for (let i = 0; i < 50; i++) tracing.tracer.startSpan(`s${i}`, {}, ROOT_CONTEXT).end()
      // Something is on its way to it.
      await tracing.flush(500)
      const startMs = performance.now()
      // Safe is what lies on disk.
      assert.equal(await tracing.shutdown(1_000), spool !== undefined)
      const tookMs = performance.now() - startMs
      assert.ok(tookMs < 1_800, `${tookMs} ms`)
      const { waiting, spooled, dropped } = tracing.stats().spans
      assert.deepEqual([waiting, spooled + dropped.shutdown], [0, 50])
    }
  }
  assert.ok(silent.connections > 0)
})
