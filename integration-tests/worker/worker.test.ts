import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { bundledSchema } from '../../src/codec/bundled-schemas.ts'
import { RecordWriter } from '../../src/codec/record-writer.ts'
import { SchemaRegistry, subjectFor } from '../../src/codec/schema-registry.ts'
import { CheckedProducer } from '../../src/kafka/checked-producer.ts'
import { createKafka } from '../../src/kafka/client.ts'
import { DEAD_LETTER_HEADERS } from '../../src/model/dead-letter.ts'
import type { Span, SpanBatch } from '../../src/model/span.ts'
import { ClickHouse } from '../../src/storage/clickhouse/client.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { readTopic } from '../kafka/kafka-for-tests.ts'
import { freshDatabase, freshName, freshObjectStore, freshTopic } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { CliProcess, metric, until } from './worker-for-tests.ts'

const servers = await useServers()
const topic = await freshTopic(servers, { partitions: 3 })
const deadLetters = await freshTopic(servers, { partitions: 1, config: { 'max.message.bytes': '9437184' } })
const database = await freshDatabase(servers)
const env = {
  ...servers.env,
  SIDEREAL_TOPIC: topic,
  SIDEREAL_DEAD_LETTER_TOPIC: deadLetters,
  SIDEREAL_GROUP: freshName('group'),
  SIDEREAL_CLICKHOUSE_DATABASE: database,
  SIDEREAL_OBJECT_STORE: await freshObjectStore(servers),
  SIDEREAL_QUIET_MS: '1000',
  SIDEREAL_IDLE_MS: '3000',
  SIDEREAL_SESSION_TIMEOUT_MS: '10000',
  SIDEREAL_METRICS_PORT: '0',
  SIDEREAL_BATCH_MS: '200',
}
const kafka = createKafka(
  { brokers: servers.brokers },
  { clientId: freshName('client'), logger: silentLogger },
)
const producer = new CheckedProducer({ kafka, brokers: servers.brokers, logger: silentLogger })
const registry = new SchemaRegistry({ url: servers.registryUrl, timeoutMs: 10_000, payloadLimitBytes: 5_120 })
const clickHouse = new ClickHouse({
  url: servers.clickhouseUrl,
  database,
  username: servers.env['SIDEREAL_CLICKHOUSE_USERNAME'],
  password: servers.env['SIDEREAL_CLICKHOUSE_PASSWORD'],
  requestTimeoutMs: 30_000,
})
const writer = new RecordWriter()
let schemaId = 0

function span(id: number, parent: number | null, text = 'work'): Span {
  return {
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: id.toString(16).padStart(16, '0'),
    parentSpanId: parent === null ? null : parent.toString(16).padStart(16, '0'),
    flags: 1,
    name: 'work',
    kind: 1,
    startTimeNs: BigInt(Date.now()) * 1_000_000n,
    endTimeNs: BigInt(Date.now() + 5) * 1_000_000n,
    statusCode: 0,
    statusMessage: '',
    traceState: '',
    attributes: [{ key: 'answer', value: text }],
    droppedAttributesCount: 0,
    events: [],
    droppedEventsCount: 0,
    links: [],
    droppedLinksCount: 0,
  }
}

function encode(sid: string, spans: Span[]): Buffer {
  const batch: SpanBatch = {
    sid,
    appId: 'app',
    uid: 'u',
    chatId: 'c',
    batchId: '0190b8a7c3d14e5f8a9b0c1d2e3f4a5b',
    resource: {
      attributes: [{ key: 'service.name', value: 'entry' }],
      droppedAttributesCount: 0,
      schemaUrl: '',
      entityRefs: [],
    },
    scope: { name: 'test', version: '1', attributes: [], droppedAttributesCount: 0, schemaUrl: '' },
    spans,
  }
  return writer.encodeSpanBatch(batch, schemaId)
}

async function spansOf(sids: readonly string[]): Promise<number> {
  const [row] = await clickHouse.query<{ n: string }>(
    `SELECT count() AS n FROM ${database}.spans_exact WHERE sid IN {sids:Array(String)}`,
    { sids },
  )
  return Number(row?.n)
}

async function sendTraces(count: number): Promise<string[]> {
  const sids = Array.from({ length: count }, () => freshName('sid'))
  await producer.send(
    topic,
    sids.flatMap((sid) => [
      { key: Buffer.from(sid), value: encode(sid, [span(2, 1), span(3, 1)]) },
      { key: Buffer.from(sid), value: encode(sid, [span(1, null)]) },
    ]),
  )
  return sids
}

before(async () => {
  const setup = await new CliProcess(['setup'], env).ended
  assert.equal(setup.code, 0, setup.stderr)
  schemaId = await registry.register(
    subjectFor(topic, 'sidereal.SpanBatch'),
    bundledSchema('sidereal.SpanBatch').json,
  )
  await producer.start()
})

after(async () => {
  await producer.close()
  await clickHouse.close()
})

describe('a worker on real servers', () => {
  test('traces arrive whole with their payloads offloaded, bad records of every kind become dead letters, and SIGTERM ends it well', async () => {
    const worker = new CliProcess(['worker'], env)
    const base = await worker.metricsUrl()
    const sids = await sendTraces(200)
    const bigSid = freshName('sid')
    const big = '天气很好。'.repeat(4_000)
    await producer.send(topic, [{ key: Buffer.from(bigSid), value: encode(bigSid, [span(1, null, big)]) }])

    const good = encode('sid-good', [span(1, null)])
    const unknownId = Buffer.from(good)
    unknownId.writeUInt32BE(987_654, 1)
    const bad: [string, string | null, Buffer | null][] = [
      ['bad_frame', 'k', Buffer.from('these are not the bytes of a record')],
      ['schema_unknown', 'sid-good', unknownId],
      ['record_invalid', 'sid-good', good.subarray(0, good.length - 9)],
      ['null_key', null, good],
      ['tombstone', 'sid-good', null],
      ['key_mismatch', 'another', good],
    ]
    const sent = await producer.send(
      topic,
      bad.map(([, key, value]) => ({
        key: key === null ? null : Buffer.from(key),
        value,
        headers: { origin: 'test' },
      })),
    )
    const later = await sendTraces(20)

    await until('all spans are in the table', async () => (await spansOf([...sids, ...later])) === 220 * 3)
    await until('the span with the payload is in the table', async () => (await spansOf([bigSid])) === 1)
    const letters = await readTopic(kafka, deadLetters, bad.length)
    assert.equal(letters.length, bad.length)
    for (const [index, [reason, key, value]] of bad.entries()) {
      const place = sent[index] ?? assert.fail('no place')
      const letter = letters.find(
        ({ message }) =>
          String(message.headers?.[DEAD_LETTER_HEADERS.partition]) === String(place.partition) &&
          String(message.headers?.[DEAD_LETTER_HEADERS.offset]) === String(place.offset),
      )?.message
      assert.ok(letter !== undefined, `no dead letter for ${reason}`)
      const header = (name: string): string => String(letter.headers?.[name])
      assert.equal(header(DEAD_LETTER_HEADERS.reason), reason)
      assert.equal(header(DEAD_LETTER_HEADERS.topic), topic)
      assert.match(header(DEAD_LETTER_HEADERS.stage), /_CONVERTER$/)
      assert.notEqual(header(DEAD_LETTER_HEADERS.exceptionMessage), 'undefined')
      assert.equal(header('origin'), 'test')
      assert.equal(letter.key === null ? null : String(letter.key), key)
      assert.deepEqual(letter.value, value)
    }
    const complete = await clickHouse.query<{ n: string }>(
      `SELECT count() AS n FROM ${database}.traces WHERE sid IN {sids:Array(String)} AND span_count = 3`,
      { sids },
    )
    assert.equal(Number(complete[0]?.n), 200)
    const payload = await clickHouse.query<{ attributes: Record<string, string>; keys: string[] }>(
      `SELECT attributes, mapKeys(payload_refs) AS keys FROM ${database}.spans_exact WHERE sid = {sid:String}`,
      { sid: bigSid },
    )
    assert.equal(payload[0]?.keys.length, 1, 'the value was moved to the object store')
    assert.ok((payload[0]?.attributes['answer']?.length ?? 0) < big.length)

    await until(
      'everything is settled',
      async () => (await metric(base, 'sidereal_watermark_age_seconds_max')) === 0,
    )
    assert.equal(await metric(base, 'sidereal_fragments_settled_total{reason="complete"}'), 221)
    assert.equal(await metric(base, 'sidereal_undelivered_bytes'), 0)
    assert.equal(await metric(base, 'sidereal_payloads_total'), 1)
    const byObjects = 'sidereal_records_by_objects_total{sink="clickhouse",reason='
    assert.equal(await metric(base, `${byObjects}"no_day"}`), 0)
    assert.equal(await metric(base, `${byObjects}"no_walk"}`), 0)
    assert.equal((await fetch(`${base}/readyz`)).status, 200)
    assert.equal((await fetch(`${base}/healthz`)).status, 200)
    const { code, stderr } = await worker.kill('SIGTERM')
    assert.equal(code, 0, stderr)
  })

  test('after kill -9 in the middle and a restart every span is there exactly once in the exact view', async () => {
    const worker = new CliProcess(['worker'], env)
    await worker.metricsUrl()
    const sids = await sendTraces(400)
    await until('some spans have arrived', async () => (await spansOf(sids)) > 0)
    await worker.kill('SIGKILL')
    sids.push(...(await sendTraces(100)))
    const second = new CliProcess(['worker'], env)
    const base = await second.metricsUrl()
    await until('all spans are in the table', async () => (await spansOf(sids)) === 500 * 3)
    const traces = await clickHouse.query<{ n: string }>(
      `SELECT count() AS n FROM ${database}.traces WHERE sid IN {sids:Array(String)} AND span_count = 3`,
      { sids },
    )
    assert.equal(Number(traces[0]?.n), 500)
    await until(
      'everything is settled',
      async () => (await metric(base, 'sidereal_watermark_age_seconds_max')) === 0,
    )
    const { code, stderr } = await second.kill('SIGTERM')
    assert.equal(code, 0, stderr)
  })

  test('while ClickHouse is away the worker says so, reads on within its memory, and loses nothing', async () => {
    const proxy = new TcpProxy(servers.clickhouseUrl)
    const throughProxy = { ...env, SIDEREAL_CLICKHOUSE_URL: await proxy.start() }
    const worker = new CliProcess(['worker'], throughProxy)
    try {
      const base = await worker.metricsUrl()
      const sids = await sendTraces(50)
      await until('the first spans are in the table', async () => (await spansOf(sids)) === 150)
      proxy.set('refusing')
      sids.push(...(await sendTraces(300)))
      await until('batches wait', async () => (await metric(base, 'sidereal_undelivered_bytes')) > 0)
      const isFailing = 'sidereal_sink_errors_total{sink="clickhouse",code="SIDEREAL_CLICKHOUSE_UNAVAILABLE"}'
      await until('attempts fail', async () => (await metric(base, isFailing)) >= 3)
      assert.equal(await spansOf(sids), 150)
      assert.equal((await fetch(`${base}/healthz`)).status, 200, 'an outage is no reason for a restart')
      proxy.set('open')
      await until('all spans are in the table', async () => (await spansOf(sids)) === 350 * 3)
      await until(
        'everything is settled',
        async () => (await metric(base, 'sidereal_undelivered_bytes')) === 0,
      )

      // A server that takes requests and never answers must not hold the end beyond the session.
      proxy.set('hanging')
      sids.push(...(await sendTraces(100)))
      await until('batches wait', async () => (await metric(base, 'sidereal_batches_in_flight')) > 0)
      const askedAt = performance.now()
      const { code, stderr } = await worker.kill('SIGTERM')
      assert.equal(code, 0, stderr)
      assert.ok(performance.now() - askedAt < 20_000, `${performance.now() - askedAt} ms`)
      assert.match(worker.stdout, /not everything was delivered in time/)

      const next = new CliProcess(['worker'], env)
      await next.metricsUrl()
      await until('the next worker delivers the rest', async () => (await spansOf(sids)) === 450 * 3)
      assert.equal((await next.kill('SIGTERM')).code, 0)
    } finally {
      await proxy.close()
      await worker.kill('SIGKILL')
    }
  })

  test('a best-effort receiver that is away from the start holds nobody: its losses are counted and named by offset', async () => {
    const worker = new CliProcess(['worker'], {
      ...env,
      SIDEREAL_SINKS: 'clickhouse,otlp:best-effort',
      SIDEREAL_OTLP_ENDPOINT: 'http://127.0.0.1:1',
    })
    const base = await worker.metricsUrl()
    const sids = await sendTraces(30)
    await until('all spans are in the table', async () => (await spansOf(sids)) === 90)
    await until('everything is settled', async () => (await metric(base, 'sidereal_undelivered_bytes')) === 0)
    const lost = 'sidereal_sink_lost_records_total{sink="otlp"}'
    await until('the losses are counted', async () => (await metric(base, lost)) >= 60)
    assert.match(worker.stdout, /a best-effort sink does not start/)
    assert.match(worker.stdout, new RegExp(`"offsets":\\["${topic}/\\d:\\d+`))
    assert.equal((await fetch(`${base}/readyz`)).status, 200)
    const { code, stderr } = await worker.kill('SIGTERM')
    assert.equal(code, 0, stderr)
  })

  test('a second SIGTERM ends a worker at once', async () => {
    const proxy = new TcpProxy(servers.clickhouseUrl)
    const worker = new CliProcess(['worker'], { ...env, SIDEREAL_CLICKHOUSE_URL: await proxy.start() })
    try {
      const base = await worker.metricsUrl()
      proxy.set('hanging')
      await sendTraces(20)
      await until('batches wait', async () => (await metric(base, 'sidereal_batches_in_flight')) > 0)
      worker.signal('SIGTERM')
      await until('it is stopping', () => worker.stdout.includes('"msg":"stopping"'))
      const askedAt = performance.now()
      const { code } = await worker.kill('SIGTERM')
      assert.equal(code, 1)
      assert.ok(performance.now() - askedAt < 2_000)
    } finally {
      await proxy.close()
      await worker.kill('SIGKILL')
    }
  })

  test('a wrong address or a missing topic is one clear line within 15 seconds, and the exit code is 1', async () => {
    const cases: [Record<string, string>, RegExp][] = [
      [{ SIDEREAL_KAFKA_BROKERS: '127.0.0.1:1' }, /SIDEREAL_KAFKA_UNAVAILABLE.*127\.0\.0\.1:1/],
      [{ SIDEREAL_REGISTRY_URL: 'http://127.0.0.1:1' }, /SIDEREAL_REGISTRY_UNAVAILABLE.*127\.0\.0\.1:1/],
      [{ SIDEREAL_CLICKHOUSE_URL: 'http://127.0.0.1:1' }, /SIDEREAL_CLICKHOUSE_UNAVAILABLE.*127\.0\.0\.1:1/],
      [{ SIDEREAL_CLICKHOUSE_DATABASE: 'nothing_here' }, /SIDEREAL_CLICKHOUSE_FAILED.*nothing_here/],
      [{ SIDEREAL_OBJECT_STORE: 's3://no-such-bucket-here' }, /SIDEREAL_OBJECT_STORE.*no-such-bucket-here/],
      [{ SIDEREAL_TOPIC: 'no-such-topic' }, /SIDEREAL_TOPIC_INVALID.*no-such-topic/],
      [{ SIDEREAL_DEAD_LETTER_TOPIC: 'no-such-letters' }, /SIDEREAL_TOPIC_INVALID.*no-such-letters/],
    ]
    for (const [change, expected] of cases) {
      const { code, stderr, seconds } = await new CliProcess(['worker'], { ...env, ...change }).ended
      assert.equal(code, 1, stderr)
      assert.match(stderr, expected)
      assert.equal(stderr.trim().split('\n').length, 1, stderr)
      assert.ok(seconds < 15, `${seconds} s for ${expected}`)
    }
  })
})
