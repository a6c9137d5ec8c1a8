import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { SchemaRegistry } from '../../src/codec/schema-registry.ts'
import { BODY_START, readFrame } from '../../src/codec/wire.ts'
import { createKafka } from '../../src/kafka/client.ts'
import { partitionFor } from '../../src/kafka/partitioner.ts'
import type { NodeTraceLog } from '../../src/model/node-trace-log.ts'
import type { Span, SpanBatch } from '../../src/model/span.ts'
import type { TracingStats } from '../../src/producer/index.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { readWholeTopic } from '../kafka/kafka-for-tests.ts'
import { freshTopic } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'

const PARTITIONS = 3
const REQUESTS = 20
const servers = await useServers('kafka', 'registry')
const kafka = createKafka({ brokers: servers.brokers }, { clientId: 'tests', logger: silentLogger })
const registry = new SchemaRegistry({ url: servers.registryUrl, timeoutMs: 10_000, payloadLimitBytes: 5_120 })
const children: ChildProcess[] = []
after(() => {
  for (const child of children) child.kill('SIGKILL')
})

interface Service {
  readonly url: string
  end(): Promise<{ isFlushed: boolean; stats: TracingStats }>
}

async function startService(name: string, topic: string, env: Record<string, string> = {}): Promise<Service> {
  const child = spawn(process.execPath, [new URL('./service.ts', import.meta.url).pathname], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: {
      ...process.env,
      SIDEREAL_KAFKA_BROKERS: servers.brokers.join(','),
      SIDEREAL_REGISTRY_URL: servers.registryUrl,
      SIDEREAL_TOPIC: topic,
      SERVICE_NAME: name,
      SERVICE_SUB: name,
      SERVICE_PORT: '8080',
      ...env,
    },
  })
  children.push(child)
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async <T>(): Promise<T> => {
    const { value, done } = await lines.next()
    if (done === true) throw new Error(`${name} ended without a word`)
    return JSON.parse(value) as T
  }
  const { url } = await next<{ url: string }>()
  return {
    url,
    end() {
      child.stdin.write('end\n')
      return next()
    },
  }
}

interface Answer {
  readonly sid: string
  readonly atStart: string
  readonly appId: string
  readonly called?: Answer
}

const serviceOf = ({ resource }: SpanBatch) =>
  resource.attributes.find(({ key }) => key === 'service.name')?.value

test('three services of one request agree on its SID, and spans and log reach Kafka under it, with the right parents', async () => {
  const topic = await freshTopic(servers, { partitions: PARTITIONS })
  const tools = await startService('tools', topic)
  const workflow = await startService('workflow', topic, { NEXT_URL: tools.url, WRITES_LOG: 'yes' })
  const entry = await startService('entry', topic, { NEXT_URL: workflow.url })
  const answers = await Promise.all(
    Array.from(
      { length: REQUESTS },
      async (_, i) => (await (await fetch(entry.url, { headers: { 'x-app': `app-${i}` } })).json()) as Answer,
    ),
  )
  let accepted = 0
  for (const service of [entry, workflow, tools]) {
    const { isFlushed, stats } = await service.end()
    assert.equal(isFlushed, true)
    assert.deepEqual([stats.spans.waiting, stats.spans.sent], [0, stats.spans.accepted])
    accepted += stats.spans.accepted
  }
  // Entry and workflow: server span, work, client span; tools: server span and work. No span of our own sending among them.
  assert.equal(accepted, REQUESTS * 8)

  const sids = new Set(answers.map(({ sid }) => sid))
  assert.equal(sids.size, REQUESTS)
  for (const { sid, atStart, appId, called } of answers) {
    assert.match(sid, /^entry[0-9a-f]{8}@src/)
    assert.equal(atStart, sid)
    assert.deepEqual([called?.sid, called?.called?.sid, called?.called?.appId], [sid, sid, appId])
  }

  const spans = new Map<string, { span: Span; batch: SpanBatch }[]>()
  const logs = new Map<string, NodeTraceLog[]>()
  const records: { key: string; partition: number; value: Buffer }[] = []
  // Each SID has one batch a service at least; a linger may cut one in two.
  for (const { partition, message } of await readWholeTopic(kafka, topic))
    records.push({ key: String(message.key), partition, value: message.value! })
  for (const { key, partition, value } of records) {
    assert.equal(partition, partitionFor(Buffer.from(key), PARTITIONS))
    const type = await registry.fetch(readFrame(value))
    const record = type.decode(value, BODY_START, value.length)
    assert.equal(record.sid, key)
    if ('spans' in record) {
      const list = spans.get(key) ?? []
      spans.set(key, [...list, ...record.spans.map((span) => ({ span, batch: record }))])
    } else logs.set(key, [...(logs.get(key) ?? []), record])
  }
  assert.deepEqual(new Set(spans.keys()), sids)
  assert.deepEqual(new Set(logs.keys()), sids)
  for (const { sid, appId } of answers) {
    const members = spans.get(sid)!
    const ids = new Map(members.map((member) => [member.span.spanId, member]))
    assert.equal(ids.size, 8)
    assert.equal(new Set(members.map(({ span }) => span.traceId)).size, 1)
    assert.ok(members.every(({ batch }) => batch.appId === appId && batch.uid === 'user-1'))
    const way = members.map(({ span, batch }) => {
      const parent = span.parentSpanId === null ? undefined : ids.get(span.parentSpanId)
      assert.ok(span.parentSpanId === null || parent !== undefined)
      const isRemote = (span.flags & 0x200) !== 0
      return `${serviceOf(batch)}/${span.kind} <${isRemote ? '= ' : '- '}${parent === undefined ? 'none' : `${serviceOf(parent.batch)}/${parent.span.kind}`}`
    })
    assert.deepEqual(way.sort(), [
      'entry/1 <- entry/2',
      'entry/2 <- none',
      'entry/3 <- entry/1',
      'tools/1 <- tools/2',
      'tools/2 <= workflow/3',
      'workflow/1 <- workflow/2',
      'workflow/2 <= entry/3',
      'workflow/3 <- workflow/1',
    ])
    const [log, ...others] = logs.get(sid)!
    assert.equal(others.length, 0)
    assert.deepEqual(
      [log?.appId, log?.usage.totalTokens, log?.question, log?.revision],
      [appId, 28, '明天的天气？', 0],
    )
    const active = ids.get(String(log?.spanId))
    assert.deepEqual(
      [log?.traceId, active?.span.name, serviceOf(active!.batch)],
      [active?.span.traceId, 'work', 'workflow'],
    )
  }
})
