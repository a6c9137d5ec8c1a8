import assert from 'node:assert/strict'
import { test } from 'node:test'
import { trace } from '@opentelemetry/api'
import { SidPropagator } from './trace-context.ts'
import type { TracingConfig } from './tracing-config.ts'
import { initTracing } from './tracing-service.ts'

test('what would fail with each request or each send is refused at the start, by its name, and nothing is set in the process', () => {
  const wrong: Record<string, object> = {
    'kafka.brokers': { kafka: { brokers: 'kafka:9092' } },
    compression: { compression: 'lzma' },
    exporters: { exporters: [{ kind: 'zipkin' }] },
    'spool.folder': { spool: { maxBytes: 1_000_000 } },
    'spool.maxBytes': { spool: { folder: '/tmp', maxBytes: Number.NaN } },
    'spool.afterMs': { spool: { folder: '/tmp', afterMs: -1 } },
    lingerMs: { lingerMs: Number.NaN },
    maxQueueBytes: { maxQueueBytes: Number.NaN },
    maxQueueItems: { maxQueueItems: '1e3x' },
    'baggageHosts.allow': { baggageHosts: { allow: '.example.com' } },
    'baggageHosts.deny': { baggageHosts: { deny: ['10.0.0.0/'] } },
    'baggageHosts.entries': { baggageHosts: { entries: { 'partner.example': 'sid' } } },
    'identityPeers.allow': { identityPeers: { allow: [/10\..*/] } },
    'identityPeers.deny': { identityPeers: { deny: ['10.0.0.0/33'] } },
  }
  const cases = [
    ...Object.entries(wrong),
    ['serviceName', { serviceName: undefined }] as const,
    ['exporters', { exporters: [{ kind: 'file' }] }] as const,
    ['exporters', { exporters: [{ kind: 'otlp', protocol: 'grpc' }] }] as const,
    ['exporters', { exporters: [{ kind: 'otlp', protocol: 'http', url: 'http://x:1' }] }] as const,
  ]
  for (const [name, part] of cases) {
    assert.throws(() => initTracing({ serviceName: 'x', ...part } as TracingConfig), {
      code: 'SIDEREAL_CONFIG_INVALID',
      message: new RegExp(`^${name.replace('.', '\\.')}\\b`),
    })
  }
  assert.equal(trace.getTracer('x').startSpan('y').isRecording(), false)
  assert.throws(() => new SidPropagator({}, { deny: ['10.0.0.0/'] }), { code: 'SIDEREAL_CONFIG_INVALID' })
})
