import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { ROOT_CONTEXT, SpanStatusCode } from '@opentelemetry/api'
import { OtlpTraceMessages, type ReceivedRequest } from '../../src/codec/otlp-trace-messages.ts'
import { OtlpReceiver } from '../../src/local/otlp-receiver.ts'
import type { FurtherExporter } from '../../src/producer/further-exporters.ts'
import { TracingService } from '../../src/producer/tracing-service.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'

/** A service without Kafka; its other exporters must not care. */
function open(exporters: readonly FurtherExporter[]): TracingService {
  return new TracingService({
    serviceName: 'exporting',
    kafka: { brokers: ['127.0.0.1:1'] },
    registry: { url: 'http://127.0.0.1:1' },
    exporters,
    logger: silentLogger,
  })
}

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'sidereal-file-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

const attributesOf = (request: ReceivedRequest) =>
  request.resourceSpans.flatMap(({ scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map(({ attributes }) =>
        Object.fromEntries(attributes.map(({ key, value }) => [key, value?.stringValue])),
      ),
    ),
  )

test('spans go to several OTLP receivers beside Kafka, by gRPC and by HTTP, with headers, compression, and the SID', async (t) => {
  const requests: Record<string, { request: ReceivedRequest; token: unknown }[]> = { grpc: [], http: [] }
  const grpc = new OtlpReceiver({
    onRequest: (request, metadata) => {
      requests['grpc']!.push({ request, token: metadata['authorization'] })
      return undefined
    },
  })
  await grpc.start()
  t.after(() => grpc.close())
  const http = createServer((incoming, response) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => {
      assert.equal(incoming.headers['content-encoding'], 'gzip')
      const request = new OtlpTraceMessages().decodeRequest(gunzipSync(Buffer.concat(chunks)))
      requests['http']!.push({ request, token: incoming.headers['authorization'] })
      response.end()
    })
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => http.once('listening', resolve))
  t.after(() => http.close())
  const headers = { authorization: 'Bearer secret' }
  const tracing = open([
    { kind: 'otlp', protocol: 'grpc', url: grpc.url, headers },
    {
      kind: 'otlp',
      protocol: 'http/protobuf',
      url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/v1/traces`,
      headers,
      compression: 'gzip',
    },
  ])
  for (let i = 0; i < 10; i++)
    tracing.tracer.startSpan(`s${i}`, { attributes: { own: 'yes' } }, ROOT_CONTEXT).end()
  await tracing.shutdown(5_000)
  for (const way of ['grpc', 'http']) {
    const attributes = requests[way]!.flatMap(({ request }) => attributesOf(request))
    assert.equal(attributes.length, 10, way)
    assert.ok(attributes.every(({ own }) => own === 'yes'))
    assert.equal(new Set(attributes.map(({ sid }) => sid)).size, 10)
    assert.match(String(attributes[0]!['sid']), /^svc[0-9a-f]{8}@src/)
    assert.ok(requests[way]!.every(({ token }) => token === 'Bearer secret'))
  }
})

test('the file has a line of JSON for each span from its level on, and is for its owner only', async (t) => {
  const path = join(temporaryFolder(t), 'logs', 'spans.jsonl')
  const tracing = open([{ kind: 'file', path, level: 'INFO' }])
  const span = tracing.tracer.startSpan('failed', { startTime: [1_759_000_000, 5] }, ROOT_CONTEXT)
  span.addEvent('WARN', { text: '天气' })
  span.setStatus({ code: SpanStatusCode.ERROR, message: 'no' })
  span.end([1_759_000_001, 500_000_005])
  const quiet = tracing.tracer.startSpan('quiet', {}, ROOT_CONTEXT)
  quiet.addEvent('DEBUG', {})
  quiet.end()
  tracing.tracer.startSpan('plain', {}, ROOT_CONTEXT).end()
  await tracing.shutdown(2_000)
  const lines = readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.deepEqual(
    lines.map(({ name, level }) => `${name} ${level}`),
    ['failed ERROR', 'plain INFO'],
  )
  const { time, start_time, duration_ms, status, status_message, service, sid, events } = lines[0]
  assert.deepEqual(
    { time, start_time, duration_ms, status, status_message, service },
    {
      time: '2025-09-27T19:06:41.500000005Z',
      start_time: '2025-09-27T19:06:40.000000005Z',
      duration_ms: 1500,
      status: 'ERROR',
      status_message: 'no',
      service: 'exporting',
    },
  )
  assert.match(sid, /^svc[0-9a-f]{8}@src/)
  assert.deepEqual(events[0].attributes, { text: '天气' })
  assert.equal(statSync(path).mode & 0o777, 0o600)
})

test('a full file is rotated, no span is lost to that, and not more files stay than asked for', async (t) => {
  const folder = temporaryFolder(t)
  const options = { kind: 'file', path: join(folder, 'spans'), maxBytes: 20_000 } as const
  const namesOf = (files: readonly string[]) =>
    files.flatMap((file) =>
      readFileSync(join(folder, file), 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).name as string),
    )
  const run = async (config: FurtherExporter, from: number, to: number) => {
    const tracing = open([config])
    for (let i = from; i < to; i++) tracing.tracer.startSpan(`s${i}`, {}, ROOT_CONTEXT).end()
    await tracing.shutdown(2_000)
  }
  await run({ ...options, maxFiles: 50 }, 0, 200)
  await run({ ...options, maxFiles: 50 }, 200, 400)
  const files = readdirSync(folder)
  assert.ok(files.length > 3)
  assert.ok(files.every((file) => statSync(join(folder, file)).size <= 20_000))
  const number = (file: string) => Number(file.split('.')[1] ?? 0)
  const inOrder = [...files].sort((a, b) => number(b) - number(a))
  assert.deepEqual(
    namesOf(inOrder),
    Array.from({ length: 400 }, (_, i) => `s${i}`),
  )

  const few = temporaryFolder(t)
  await run({ ...options, path: join(few, 'spans'), maxFiles: 2 }, 0, 400)
  assert.deepEqual(readdirSync(few).sort(), ['spans', 'spans.1', 'spans.2'])
})
