import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ROOT_CONTEXT } from '@opentelemetry/api'
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics'
import { silentLogger } from '../telemetry/logger.ts'
import { TracingService } from './tracing-service.ts'

class TestReader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {
    // Nothing is kept.
  }

  protected override async onShutdown(): Promise<void> {
    // As above.
  }
}

test('what was accepted, sent, dropped and is held can be read as OpenTelemetry metrics, and adds up', async () => {
  const reader = new TestReader()
  const meterProvider = new MeterProvider({ readers: [reader] })
  const tracing = new TracingService({
    serviceName: 'metrics',
    kafka: { brokers: ['127.0.0.1:1'] },
    registry: { url: 'http://127.0.0.1:1' },
    maxQueueItems: 20,
    lingerMs: 1,
    logger: silentLogger,
    meterProvider,
  })
  for (let i = 0; i < 50; i++) tracing.tracer.startSpan(`s${i}`, {}, ROOT_CONTEXT).end()
  await tracing.flush(20)
  const { resourceMetrics } = await reader.collect()
  const values: Record<string, number> = {}
  for (const { metrics } of resourceMetrics.scopeMetrics)
    for (const { descriptor, dataPoints } of metrics)
      for (const { attributes, value } of dataPoints) {
        const { kind = '', reason = '', place = '' } = attributes
        values[`${descriptor.name} ${kind}${reason}${place}`] = value as number
      }
  assert.deepEqual(
    [
      values['sidereal.producer.accepted span'],
      values['sidereal.producer.sent span'],
      values['sidereal.producer.dropped spanqueue_full'],
      values['sidereal.producer.held spanmemory'],
      values['sidereal.producer.held spandisk'],
      values['sidereal.producer.spool.size '],
    ],
    [50, 0, 30, 20, 0, 0],
  )
  assert.equal(values['sidereal.producer.dropped node_trace_logshutdown'], 0)
  await tracing.shutdown(20)
})
