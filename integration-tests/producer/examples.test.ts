import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { SchemaRegistry } from '../../src/codec/schema-registry.ts'
import { BODY_START, readFrame } from '../../src/codec/wire.ts'
import { createKafka } from '../../src/kafka/client.ts'
import type { NodeTraceLog } from '../../src/model/node-trace-log.ts'
import type { Span } from '../../src/model/span.ts'
import { initTracing, Span as ProducerSpan, Trace } from '../../src/producer/index.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { readWholeTopic } from '../kafka/kafka-for-tests.ts'
import { freshTopic } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'

const REQUESTS = 10
const servers = await useServers('kafka', 'registry')
const kafka = createKafka({ brokers: servers.brokers }, { clientId: 'tests', logger: silentLogger })
const registry = new SchemaRegistry({ url: servers.registryUrl, timeoutMs: 10_000, payloadLimitBytes: 5_120 })
const children: ChildProcess[] = []
after(() => {
  for (const child of children) child.kill('SIGKILL')
})

/** Runs a file of `examples/` as a user would. */
function runExample(file: string, topic: string, env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [new URL(`../../examples/${file}`, import.meta.url).pathname], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      SIDEREAL_KAFKA_BROKERS: servers.brokers.join(','),
      SIDEREAL_REGISTRY_URL: servers.registryUrl,
      SIDEREAL_TOPIC: topic,
      SERVICE_NAME: file,
      ...env,
    },
  })
  children.push(child)
  const exited = once(child, 'exit')
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    /** The next line that begins with something; kafkajs logs to the same place. */
    async nextLine(beginning = ''): Promise<string> {
      for (;;) {
        const { value, done } = await lines.next()
        if (done === true) throw new Error(`${file} ended without a line "${beginning}…"`)
        if (value.startsWith(beginning)) return value
      }
    },
    /** All is sent when an example ends with code 0. */
    async end(signal?: NodeJS.Signals): Promise<void> {
      if (signal !== undefined) child.kill(signal)
      assert.deepEqual(await exited, [0, null])
    },
  }
}

interface Request {
  readonly appId: string
  readonly uid: string
  readonly logs: NodeTraceLog[]
  readonly spans: (Span & { readonly service: unknown })[]
}

/** What a topic holds, by SID. Each span's record must name the same app and user. */
async function readRequests(topic: string): Promise<Map<string, Request>> {
  const requests = new Map<string, Request>()
  for (const { message } of await readWholeTopic(kafka, topic)) {
    const value = message.value!
    const record = (await registry.fetch(readFrame(value))).decode(value, BODY_START, value.length)
    const { sid, appId, uid } = record
    assert.equal(String(message.key), sid)
    const request = requests.get(sid) ?? { appId, uid, logs: [], spans: [] }
    requests.set(sid, request)
    assert.deepEqual([appId, uid], [request.appId, request.uid])
    if ('spans' in record) {
      const service = record.resource.attributes.find(({ key }) => key === 'service.name')?.value
      request.spans.push(...record.spans.map((span) => ({ ...span, service })))
    } else request.logs.push(record)
  }
  return requests
}

/** `service/span < parent`, sorted; all of one trace, with every parent there. */
function tree({ spans }: Request): string[] {
  assert.equal(new Set(spans.map(({ traceId }) => traceId)).size, 1)
  const names = new Map(spans.map(({ spanId, service, name }) => [spanId, `${service}/${name}`]))
  assert.equal(names.size, spans.length)
  return spans
    .map(({ spanId, parentSpanId }) => {
      const parent = parentSpanId === null ? 'none' : names.get(parentSpanId)
      assert.ok(parent !== undefined, `the parent of ${names.get(spanId)} is not there`)
      return `${names.get(spanId)} < ${parent}`
    })
    .sort()
}

test('example express-fetch: a request through express and fetch is one trace under one SID, with its user in both services', async () => {
  const topic = await freshTopic(servers)
  const prices = runExample('express-fetch/prices.ts', topic, { SERVICE_NAME: 'prices', PORT: '0' })
  const env = { SERVICE_NAME: 'shop', PORT: '0', PRICES_URL: await prices.nextLine('http:') }
  const shop = runExample('express-fetch/shop.ts', topic, env)
  const url = await shop.nextLine('http:')
  const sids = await Promise.all(
    Array.from({ length: REQUESTS }, async (_, i) => {
      const response = await fetch(`${url}/quote/tea`, { headers: { 'x-user': `user-${i}` } })
      const { price, sid } = (await response.json()) as { price: number; sid: string }
      assert.equal(price, 3)
      return sid
    }),
  )
  await shop.end('SIGTERM')
  await prices.end('SIGTERM')

  const requests = await readRequests(topic)
  assert.deepEqual([...requests.keys()].sort(), [...sids].sort())
  for (const [i, sid] of sids.entries()) {
    const request = requests.get(sid)!
    assert.deepEqual([request.appId, request.uid], ['shop', `user-${i}`])
    assert.deepEqual(tree(request), [
      'prices/GET < shop/GET',
      'prices/look up < prices/GET',
      'shop/GET < none',
      'shop/GET < shop/quote',
      'shop/quote < shop/GET',
    ])
  }
})

test('example agent-loop: each step is a span, and the log has nodes, tokens, the answer and its first frame', async () => {
  const topic = await freshTopic(servers)
  const agent = runExample('agent-loop/agent.ts', topic, { SERVICE_NAME: 'agent' })
  const sid = (await agent.nextLine('SID ')).slice(4)
  assert.equal(await agent.nextLine('It'), 'It is sunny in Oslo.')
  await agent.end()

  const requests = await readRequests(topic)
  assert.deepEqual([...requests.keys()], [sid])
  const request = requests.get(sid)!
  assert.deepEqual([request.appId, request.uid], ['weather-agent', 'user-7'])
  assert.deepEqual(tree(request), [
    'agent/agent < none',
    'agent/model < agent/agent',
    'agent/model < agent/agent',
    'agent/weather < agent/agent',
  ])
  const [log, ...others] = request.logs
  assert.equal(others.length, 0)
  assert.ok(log !== undefined)
  assert.deepEqual([log.question, log.answer], ['How is the weather in Oslo?', 'It is sunny in Oslo.'])
  assert.deepEqual(
    log.trace.map(({ nodeId }) => nodeId),
    ['llm:1', 'tool:1', 'llm:2', 'message:2'],
  )
  assert.deepEqual([log.usage.promptTokens, log.usage.completionTokens, log.usage.totalTokens], [50, 9, 59])
  assert.equal(log.firstFrameDurationMs, log.trace[3]!.startTimeMs - log.startTimeMs)
  assert.equal(log.spanId, request.spans.find(({ name }) => name === 'agent')?.spanId)
})

test('example kafka-service: what is done for a record has the SID, the user and the trace of its sender', async () => {
  const topic = await freshTopic(servers)
  const orders = await freshTopic(servers)
  const service = runExample('kafka-service/orders.ts', topic, {
    SERVICE_NAME: 'orders',
    ORDERS_TOPIC: orders,
  })
  const tracing = initTracing({
    serviceName: 'sender',
    kafka: { brokers: servers.brokers },
    registry: { url: servers.registryUrl },
    topic,
    logger: silentLogger,
  })
  const producer = kafka.producer()
  const sids = new Map<string, string>()
  try {
    await producer.connect()
    await Promise.all(
      Array.from({ length: REQUESTS }, (_, i) =>
        new ProducerSpan({ appId: 'shop', uid: `user-${i}` }).start('send', async (span) => {
          sids.set(`order-${i}`, span.sid)
          await producer.send({
            topic: orders,
            messages: [{ value: `order-${i}`, headers: Trace.injectContext() }],
          })
        }),
      ),
    )
    for (let i = 0; i < REQUESTS; i++) {
      const [order, sid] = (await service.nextLine('order-')).split(' ')
      assert.equal(sid, sids.get(order!))
    }
  } finally {
    await producer.disconnect()
    assert.equal(await tracing.shutdown(30_000), true)
  }
  await service.end('SIGTERM')

  const requests = await readRequests(topic)
  assert.deepEqual([...requests.keys()].sort(), [...sids.values()].sort())
  for (const [order, sid] of sids) {
    const request = requests.get(sid)!
    assert.deepEqual([request.appId, request.uid], ['shop', order.replace('order', 'user')])
    assert.deepEqual(tree(request), [
      'orders/handle order < sender/send',
      'orders/reserve < orders/handle order',
      'sender/send < none',
    ])
    assert.deepEqual(
      request.logs.map(({ question, spanId }) => [question, spanId]),
      [[order, request.spans.find(({ name }) => name === 'handle order')?.spanId]],
    )
  }
})

test('example kafka-service: an order that send-order.ts sends is handled under the SID that it says, in one trace with it', async () => {
  const topic = await freshTopic(servers)
  const env = { ORDERS_TOPIC: await freshTopic(servers) }
  const service = runExample('kafka-service/orders.ts', topic, { ...env, SERVICE_NAME: 'orders' })
  const sender = runExample('kafka-service/send-order.ts', topic, { ...env, SERVICE_NAME: 'shop' })
  const sid = (await sender.nextLine('SID ')).slice(4)
  await sender.end()
  assert.equal(await service.nextLine('order-1'), `order-1 ${sid}`)
  await service.end('SIGINT')

  const requests = await readRequests(topic)
  assert.deepEqual([...requests.keys()], [sid])
  const request = requests.get(sid)!
  assert.deepEqual([request.appId, request.uid], ['shop', 'user-7'])
  assert.deepEqual(tree(request), [
    'orders/handle order < shop/send order',
    'orders/reserve < orders/handle order',
    'shop/send order < none',
  ])
})
