import type { Meter } from '@opentelemetry/api'
import { RECORD_KINDS, type RecordKind } from './delivery-counts.ts'
import type { RecordQueue } from './record-queue.ts'

const UNITS: Record<RecordKind, string> = { spans: 'span', log: 'node_trace_log' }

/**
 * Makes the counts of the queue readable as OpenTelemetry metrics, so that they go where the service's other metrics go:
 * `sidereal.producer.accepted`, `.sent`, `.dropped` (by `reason`), `.held` (by `place`: `memory`, `disk`), each by `kind`, and `.spool.size`.
 * Returns what ends that.
 */
export function observeDelivery(meter: Meter, queue: Pick<RecordQueue, 'stats' | 'spoolBytes'>): () => void {
  const counter = (name: string, description: string) =>
    meter.createObservableCounter(`sidereal.producer.${name}`, { description })
  const accepted = counter('accepted', 'Spans and logs taken over from the service.')
  const sent = counter('sent', 'Spans and logs that Kafka has acknowledged.')
  const dropped = counter('dropped', 'Spans and logs that were given up, by reason.')
  const held = meter.createObservableUpDownCounter('sidereal.producer.held', {
    description: 'Spans and logs that wait for Kafka.',
  })
  const size = meter.createObservableGauge('sidereal.producer.spool.size', {
    description: 'Bytes of the spool on disk.',
    unit: 'By',
  })
  const observables = [accepted, sent, dropped, held, size]
  const observe: Parameters<Meter['addBatchObservableCallback']>[0] = (result) => {
    for (const one of RECORD_KINDS) {
      const kind = UNITS[one]
      const stats = queue.stats(one)
      result.observe(accepted, stats.accepted, { kind })
      result.observe(sent, stats.sent, { kind })
      for (const [reason, items] of Object.entries(stats.dropped))
        result.observe(dropped, items, { kind, reason })
      result.observe(held, stats.waiting, { kind, place: 'memory' })
      result.observe(held, stats.spooled, { kind, place: 'disk' })
    }
    result.observe(size, queue.spoolBytes)
  }
  meter.addBatchObservableCallback(observe, observables)
  return () => meter.removeBatchObservableCallback(observe, observables)
}
