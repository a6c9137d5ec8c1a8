import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { ROOT_CONTEXT } from '@opentelemetry/api'
import { type ExportResult, ExportResultCode } from '@opentelemetry/core'
import { InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace'
import { silentLogger } from '../telemetry/logger.ts'
import { LazySpanExporter } from './further-exporters.ts'
import { boxOfSpan } from './identity.ts'
import { withIdentityAttributes } from './identity-attributes.ts'
import { TracingService } from './tracing-service.ts'

test('an exporter that could not be loaded is loaded with a later batch', async () => {
  const memory = new InMemorySpanExporter()
  let attempts = 0
  const lazy = new LazySpanExporter(async () => {
    if (++attempts < 3) throw new Error(`attempt ${attempts}`)
    return memory
  })
  const exportAll = () => new Promise<number>((resolve) => lazy.export([], ({ code }) => resolve(code)))
  assert.equal(await exportAll(), ExportResultCode.FAILED)
  await lazy.forceFlush()
  assert.equal(await exportAll(), ExportResultCode.FAILED)
  assert.equal(await exportAll(), ExportResultCode.SUCCESS)
  assert.equal(attempts, 3)
  await lazy.shutdown()
})

test('a span that the exporter cannot write costs its batch, and not the process', async () => {
  const failing = {
    export(): void {
      throw new TypeError('no such field')
    },
    shutdown: async () => undefined,
  }
  const lazy = new LazySpanExporter(async () => failing)
  const result = await new Promise<ExportResult>((resolve) => lazy.export([], resolve))
  assert.deepEqual([result.code, String(result.error)], [ExportResultCode.FAILED, 'TypeError: no such field'])
})

test('an exporter beside Kafka that fails says so in the log, once, without what its URL holds of secrets', async () => {
  const warnings: { exporter?: unknown; spans?: unknown; cause?: unknown }[] = []
  const folder = mkdtempSync(join(tmpdir(), 'sidereal-telling-'))
  const service = new TracingService({
    serviceName: 'failing',
    kafka: { brokers: ['127.0.0.1:1'] },
    exporters: [
      // A folder is no file.
      { kind: 'file', path: folder },
      { kind: 'otlp', protocol: 'grpc', url: 'http://user:secret@127.0.0.1:1', timeoutMs: 200 },
    ],
    logger: { ...silentLogger, warn: (fields: object) => warnings.push(fields) },
  })
  try {
    for (let batch = 0; batch < 2; batch++) {
      service.tracer.startSpan('x', {}, ROOT_CONTEXT).end()
      await service.flush(5_000)
    }
    const told = warnings.filter(({ exporter }) => exporter !== undefined)
    assert.deepEqual(told.map(({ exporter }) => exporter).sort(), [`file ${folder}`, 'otlp grpc 127.0.0.1:1'])
    for (const { spans, cause } of told) assert.deepEqual([spans, cause === ''], [1, false])
    assert.ok(!JSON.stringify(warnings).includes('secret'))
  } finally {
    await service.shutdown(0)
    rmSync(folder, { recursive: true, force: true })
  }
})

test('a processor of one’s own has the identity as attributes, also one that became known after the span had ended', async () => {
  const memory = new InMemorySpanExporter()
  const service = new TracingService({
    serviceName: 'identified',
    kafka: { brokers: ['127.0.0.1:1'] },
    spanProcessors: [withIdentityAttributes(new SimpleSpanProcessor({ exporter: memory }))],
    logger: silentLogger,
  })
  const span = service.tracer.startSpan('x', { attributes: { own: 1, uid: 'own' } }, ROOT_CONTEXT)
  span.end()
  await service.flush(0)
  boxOfSpan(span)!.override({ sid: 'late', appId: 'app', uid: 'user' })
  const [exported] = memory.getFinishedSpans()
  assert.deepEqual(
    { ...exported!.attributes },
    { sid: 'late', app_id: 'app', uid: 'own', chat_id: '', own: 1 },
  )
  assert.deepEqual([exported!.name, exported!.spanContext()], ['x', span.spanContext()])
  await service.shutdown(0)
})

test('OTEL_TRACES_EXPORTER=console writes each span to standard output, with the identity of its request', async () => {
  const script = `
    import { initTracing } from ${JSON.stringify(new URL('./index.ts', import.meta.url).href)}
    const tracing = initTracing()
    const span = tracing.tracer.startSpan('shown')
    span.end()
    await tracing.flush(0)
    await tracing.shutdown(500)`
  const env = {
    OTEL_TRACES_EXPORTER: 'console',
    OTEL_SERVICE_NAME: 'printer',
    SIDEREAL_KAFKA_BROKERS: '127.0.0.1:1',
  }
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [printed, errors] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  assert.equal(child.exitCode, 0, errors)
  assert.match(printed, /name: 'shown'/)
  assert.match(printed, /'service.name': 'printer'/)
  assert.match(printed, /sid: '[^']+'/)
})
