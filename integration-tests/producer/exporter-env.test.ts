import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { ServerCredentials } from '@grpc/grpc-js'
import { ROOT_CONTEXT } from '@opentelemetry/api'
import { OtlpTraceMessages, type ReceivedRequest } from '../../src/codec/otlp-trace-messages.ts'
import { OtlpReceiver } from '../../src/local/otlp-receiver.ts'
import { tracingConfigFromEnv } from '../../src/producer/tracing-config.ts'
import { TracingService } from '../../src/producer/tracing-service.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { Authority } from '../security/certificates.ts'

const SPANS = 5
const skip = spawnSync('openssl', ['version']).status === 0 ? false : 'needs openssl to make certificates'

/** What a service of this environment says of other things than Kafka, which is away, while it ends a few spans. */
async function run(env: Record<string, string>): Promise<string[]> {
  const warnings: string[] = []
  const logger = {
    ...silentLogger,
    warn: (fields: object, message: string) => void warnings.push(`${message} ${JSON.stringify(fields)}`),
  }
  const config = tracingConfigFromEnv(
    { SERVICE_NAME: 'a', KAFKA_SERVERS: '127.0.0.1:1', SIDEREAL_REGISTRY_URL: 'http://127.0.0.1:1', ...env },
    logger,
  )
  // Nothing is to wait for Kafka, nor the test.
  const tracing = new TracingService({ ...config, maxQueueItems: 0, logger })
  for (let i = 0; i < SPANS; i++) tracing.tracer.startSpan(`s${i}`, {}, ROOT_CONTEXT).end()
  await tracing.shutdown(60_000)
  return warnings.filter((warning) => !warning.includes('"accepted"'))
}

interface Received {
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly request: ReceivedRequest
}

async function httpReceiver(
  t: TestContext,
  tls?: { cert: Buffer; key: Buffer },
): Promise<{ port: number; received: Received[] }> {
  const received: Received[] = []
  const take: Parameters<typeof createServer>[1] = (incoming, response) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => {
      const body = Buffer.concat(chunks)
      const isPacked = incoming.headers['content-encoding'] === 'gzip'
      const request = new OtlpTraceMessages().decodeRequest(isPacked ? gunzipSync(body) : body)
      received.push({ path: incoming.url ?? '', headers: incoming.headers, request })
      response.end()
    })
  }
  const server = tls === undefined ? createServer(take) : createTlsServer(tls, take)
  server.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  t.after(() => server.close())
  return { port: (server.address() as AddressInfo).port, received }
}

const sidsOf = (received: readonly Received[]) =>
  received.flatMap(({ request }) =>
    request.resourceSpans.flatMap(({ scopeSpans }) =>
      scopeSpans.flatMap(({ spans }) =>
        spans.map(({ attributes }) => attributes.find(({ key }) => key === 'sid')?.value?.stringValue),
      ),
    ),
  )

test('the source’s variables send spans by gRPC, beside Kafka, with OpenTelemetry’s headers', async (t) => {
  const tokens = new Set<unknown>()
  const receiver = new OtlpReceiver({
    onRequest: (_request, metadata) => {
      tokens.add(metadata['authorization'])
      return undefined
    },
  })
  await receiver.start()
  t.after(() => receiver.close())
  const warnings = await run({
    OTLP_ENABLE: 'Yes',
    OTLP_ENDPOINT: `127.0.0.1:${receiver.port}`,
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20secret',
  })
  assert.deepEqual([receiver.spanCount, [...tokens], warnings], [SPANS, ['Bearer secret'], []])
  assert.deepEqual(await run({ OTLP_ENABLE: '0', OTLP_ENDPOINT: `127.0.0.1:${receiver.port}` }), [])
  assert.equal(receiver.spanCount, SPANS)
})

test('OpenTelemetry’s variables send spans by HTTP: path, headers and compression as they say', async (t) => {
  const { port, received } = await httpReceiver(t)
  const warnings = await run({
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}/base`,
    OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
    OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'x-tenant=a%2Cb',
  })
  assert.deepEqual(warnings, [])
  assert.ok(received.length > 0)
  for (const { path, headers } of received)
    assert.deepEqual(
      [path, headers['content-encoding'], headers['x-tenant']],
      ['/base/v1/traces', 'gzip', 'a,b'],
    )
  const sids = sidsOf(received)
  assert.equal(new Set(sids).size, SPANS)
  assert.match(String(sids[0]), /^svc/)
})

test('over TLS a receiver is believed by the authority that the variables name, by both protocols, and shown the client’s certificate', {
  skip,
}, async (t) => {
  const authority = new Authority()
  const server = authority.issue('receiver')
  const client = authority.issue('client')
  const [cert, key, ca] = [server.certPath, server.keyPath, authority.caPath].map((path) =>
    readFileSync(path),
  ) as [Buffer, Buffer, Buffer]
  const { port, received } = await httpReceiver(t, { cert, key })
  const pair = { private_key: key, cert_chain: cert }
  const grpc = new OtlpReceiver({ credentials: ServerCredentials.createSsl(ca, [pair], true) })
  await grpc.start()
  t.after(() => grpc.close())
  const certificate = { OTEL_EXPORTER_OTLP_CERTIFICATE: authority.caPath }
  const http = { OTEL_EXPORTER_OTLP_ENDPOINT: `https://127.0.0.1:${port}` }
  await run(http)
  assert.equal(received.length, 0)
  assert.deepEqual(await run({ ...http, ...certificate }), [])
  assert.equal(sidsOf(received).length, SPANS)
  const overGrpc = {
    OTEL_EXPORTER_OTLP_ENDPOINT: `127.0.0.1:${grpc.port}`,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    ...certificate,
  }
  const pems = {
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: client.certPath,
    OTEL_EXPORTER_OTLP_CLIENT_KEY: client.keyPath,
  }
  assert.deepEqual(await run({ ...overGrpc, ...pems }), [])
  assert.equal(grpc.spanCount, SPANS)

  // Once, however many batches there are; that the last batch was lost is told at the end.
  const [first, last, ...others] = await run({
    ...http,
    OTEL_EXPORTER_OTLP_CERTIFICATE: join(authority.folder, 'none.pem'),
  })
  assert.match(String(first), /^an exporter beside Kafka failed.*none\.pem/)
  assert.match(String(last), /failed to shut down/)
  assert.deepEqual(others, [])
})
