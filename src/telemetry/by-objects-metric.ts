import { Counter, type Registry } from 'prom-client'
import { byObjectsZeros, type WorkerCounters } from './counters.ts'

/** Registers `sidereal_records_by_objects_total`: each sink has all its reasons from the start. */
export function registerByObjects(
  registry: Registry,
  counters: WorkerCounters,
  sinks: readonly string[],
): void {
  const metric: Counter<'sink' | 'reason'> = new Counter({
    name: 'sidereal_records_by_objects_total',
    help: 'Records that became rows or OTLP by way of objects instead of from their bytes.',
    labelNames: ['sink', 'reason'],
    registers: [registry],
    collect: () => {
      metric.reset()
      for (const sink of sinks) {
        const counts = counters.recordsByObjects[sink] ?? byObjectsZeros()
        for (const [reason, count] of Object.entries(counts)) metric.inc({ sink, reason }, count)
      }
    },
  })
}
