import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { registerByObjects } from './by-objects-metric.ts'
import type { WorkerCounters } from './counters.ts'
import { PAUSE_REASONS, type PartitionFigures, type WorkerFigures } from './figures.ts'

export interface WorkerMetricsOptions {
  readonly counters: WorkerCounters
  readonly figures: () => WorkerFigures
  /** Names of all sinks, so that each has its series from the start. */
  readonly sinks: readonly string[]
  /** Process metrics (CPU, RSS, event loop) beside ours. Default true. */
  readonly processMetrics?: boolean
}

/** What delivery reports as it happens. */
export interface DeliveryMetrics {
  observeWrite(sink: string, seconds: number, rows: number): void
  countError(sink: string, code: string): void
  countLost(sink: string, records: number): void
  countRefused(sink: string, records: number): void
}

/** `sidereal_*` metrics of a worker in Prometheus form. Every series that has a closed set of labels is there from the start, at zero. */
export class WorkerMetrics implements DeliveryMetrics {
  readonly registry = new Registry()
  readonly #writeSeconds: Histogram<'sink'>
  readonly #rows: Counter<'sink'>
  readonly #errors: Counter<'sink' | 'code'>
  readonly #lost: Counter<'sink'>
  readonly #refused: Counter<'sink'>

  constructor(options: WorkerMetricsOptions) {
    const { counters, sinks } = options
    if (options.processMetrics ?? true) collectDefaultMetrics({ register: this.registry })

    this.#count(
      'sidereal_records_consumed_total',
      'Records taken from the input topic.',
      () => counters.recordsConsumed,
    )
    this.#count(
      'sidereal_record_bytes_consumed_total',
      'Bytes of those records.',
      () => counters.recordBytesConsumed,
    )
    this.#count(
      'sidereal_records_skipped_total',
      'Records that were settled before.',
      () => counters.recordsSkipped,
    )
    this.#count(
      'sidereal_records_out_of_order_total',
      'Records whose append time was behind the stream time.',
      () => counters.recordsOutOfOrder,
    )
    this.#count(
      'sidereal_records_replayed_total',
      'Records that were sent through again, with the time of their first arrival.',
      () => counters.recordsReplayed,
    )
    this.#count(
      'sidereal_replay_headers_ignored_total',
      'Records whose replay headers were not valid: they count as new records.',
      () => counters.replayHeadersIgnored,
    )
    this.#countBy('sidereal_rows_consumed_total', 'Spans and node logs in those records.', 'kind', () => ({
      spans: counters.spansConsumed,
      log: counters.logsConsumed,
    }))
    this.#countBy(
      'sidereal_fragments_closed_total',
      'Fragments by reason.',
      'reason',
      () => counters.fragmentsClosed,
    )
    this.#countBy(
      'sidereal_fragments_settled_total',
      'Fragments stored, by reason.',
      'reason',
      () => counters.fragmentsSettled,
    )
    this.#count(
      'sidereal_fragments_dropped_total',
      'Fragments given up because their partition went to another worker.',
      () => counters.fragmentsDropped,
    )
    this.#count(
      'sidereal_records_settled_total',
      'Records stored or dead-lettered.',
      () => counters.recordsSettled,
    )
    this.#count('sidereal_rows_settled_total', 'Spans and node logs stored.', () => counters.rowsSettled)
    this.#count('sidereal_batches_total', 'Batches delivered to all required sinks.', () => counters.batches)
    this.#countBy(
      'sidereal_dead_letters_total',
      'Dead letters by reason.',
      'reason',
      () => counters.deadLetters,
    )
    this.#count(
      'sidereal_dead_letter_values_omitted_total',
      'Dead letters whose value was over the limit of the dead-letter topic and was left out.',
      () => counters.deadLetterValuesOmitted,
    )
    this.#count(
      'sidereal_schema_waits_total',
      'Times a partition waited for a schema.',
      () => counters.schemaWaits,
    )

    this.#count(
      'sidereal_otlp_rejected_spans_total',
      'Spans that an OTLP receiver rejected in a request that it took.',
      () => counters.otlpRejectedSpans,
    )
    registerByObjects(this.registry, counters, sinks)
    this.#count('sidereal_payloads_total', 'Values moved to the object store.', () => counters.payloadsStored)
    this.#count('sidereal_payload_packs_total', 'Objects that hold them.', () => counters.payloadPacksStored)
    this.#count('sidereal_payload_bytes_total', 'Bytes of those objects.', () => counters.payloadPackBytes)
    this.#count(
      'sidereal_payload_upload_failures_total',
      'Failed attempts to store an object.',
      () => counters.payloadUploadsFailed,
    )

    const figures = options.figures
    this.#countBy('sidereal_commits_total', 'Commits of offsets and ledger.', 'result', () => ({
      ok: figures().source.commitsOk,
      failed: figures().source.commitsFailed,
    }))
    this.#count('sidereal_rebalances_total', 'Rebalances seen.', () => figures().source.rebalances)
    this.#count(
      'sidereal_position_jumps_total',
      'Batches that began elsewhere than the last one ended.',
      () => figures().source.jumps,
    )
    this.#count(
      'sidereal_records_lost_by_retention_total',
      'Records that were deleted in Kafka before they were read.',
      () => figures().source.lostByRetention,
    )
    this.#count(
      'sidereal_partition_blocks_total',
      'Times that a partition waited for a schema or for the dead-letter topic.',
      () => figures().source.blocked,
    )
    this.#count(
      'sidereal_batches_refused_total',
      'Batches that came while reading was paused, and are read again.',
      () => figures().source.refusedBatches,
    )
    this.#count(
      'sidereal_fetches_cut_total',
      'Fetches that brought more than may be unpacked at once; the rest is read again.',
      () => figures().source.cutFetches,
    )
    const gauge = (name: string, help: string, read: (now: WorkerFigures) => number): void => {
      const metric: Gauge = new Gauge({
        name,
        help,
        registers: [this.registry],
        collect: () => metric.set(read(figures())),
      })
    }
    gauge('sidereal_assigned_partitions', 'Partitions of this worker.', (now) => now.partitions.length)
    gauge('sidereal_open_traces', 'Traces that are being assembled.', (now) => now.openTraces)
    gauge('sidereal_open_bytes', 'Bytes that open traces hold.', (now) => now.openBytes)
    gauge('sidereal_slab_bytes', 'Memory allocated for record bytes.', (now) => now.slabBytes)
    gauge('sidereal_memory_scale', 'Part of the memory shares in use; 1 = all.', (now) => now.memoryScale)
    gauge(
      'sidereal_undelivered_bytes',
      'Bytes of closed fragments not yet settled.',
      (now) => now.undeliveredBytes,
    )
    gauge('sidereal_batches_in_flight', 'Batches on their way to the sinks.', (now) => now.batchesInFlight)
    gauge(
      'sidereal_dead_letter_queue_records',
      'Dead letters not yet acknowledged.',
      (now) => now.deadLetterQueueRecords,
    )
    gauge('sidereal_dead_letter_queue_bytes', 'Bytes of those.', (now) => now.deadLetterQueueBytes)
    gauge('sidereal_ready', '1 = the worker is ready.', (now) => (now.isReady ? 1 : 0))
    gauge('sidereal_lag_seconds_max', 'Highest lag of the assigned partitions.', (now) =>
      now.partitions.reduce((most, p) => Math.max(most, p.lagSeconds), 0),
    )
    gauge('sidereal_watermark_age_seconds_max', 'Age of the oldest record that is not settled.', (now) =>
      now.partitions.reduce((most, p) => Math.max(most, p.watermarkAgeSeconds), 0),
    )
    this.#perPartition(
      'sidereal_lag_seconds',
      'Age of the newest record read, while more waits.',
      figures,
      (p) => p.lagSeconds,
    )
    this.#perPartition('sidereal_lag_records', 'Records not yet settled.', figures, (p) => p.lagRecords)
    this.#perPartition(
      'sidereal_watermark_age_seconds',
      'Age of the oldest record that is not settled.',
      figures,
      (p) => p.watermarkAgeSeconds,
    )
    this.#perPartition(
      'sidereal_partition_stopped',
      '1 = the partition stands still: too many of its records would become dead letters.',
      figures,
      (p) => (p.isStopped ? 1 : 0),
    )
    const paused: Gauge<'reason'> = new Gauge({
      name: 'sidereal_paused',
      help: '1 = reading is paused for this reason.',
      labelNames: ['reason'],
      registers: [this.registry],
      collect: () => {
        paused.reset()
        for (const reason of PAUSE_REASONS) paused.set({ reason }, 0)
        for (const reason of figures().pausedReasons) paused.set({ reason }, 1)
      },
    })
    const queues: Gauge<'sink'> = new Gauge({
      name: 'sidereal_sink_queue_bytes',
      help: 'Bytes in the queue of a best-effort sink.',
      labelNames: ['sink'],
      registers: [this.registry],
      collect: () => {
        queues.reset()
        for (const sink of sinks) queues.set({ sink }, figures().sinkQueueBytes[sink] ?? 0)
      },
    })

    const registers = [this.registry]
    this.#writeSeconds = new Histogram({
      name: 'sidereal_sink_write_seconds',
      help: 'Duration of one acknowledged write.',
      labelNames: ['sink'],
      buckets: [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30],
      registers,
    })
    const bySink = (name: string, help: string): Counter<'sink'> => {
      const metric = new Counter({ name, help, labelNames: ['sink'] as const, registers })
      for (const sink of sinks) metric.inc({ sink }, 0)
      return metric
    }
    this.#rows = bySink('sidereal_sink_rows_total', 'Spans and node logs acknowledged by a sink.')
    this.#lost = bySink('sidereal_sink_lost_records_total', 'Records that a best-effort sink did not get.')
    this.#refused = bySink(
      'sidereal_sink_refused_records_total',
      'Records refused by a sink for their content.',
    )
    this.#errors = new Counter({
      name: 'sidereal_sink_errors_total',
      help: 'Failed attempts by error code.',
      labelNames: ['sink', 'code'],
      registers,
    })
    for (const sink of sinks) {
      this.#writeSeconds.zero({ sink })
      this.#errors.inc({ sink, code: 'none' }, 0)
    }
  }

  observeWrite(sink: string, seconds: number, rows: number): void {
    this.#writeSeconds.observe({ sink }, seconds)
    this.#rows.inc({ sink }, rows)
  }

  countError(sink: string, code: string): void {
    this.#errors.inc({ sink, code })
  }

  countLost(sink: string, records: number): void {
    this.#lost.inc({ sink }, records)
  }

  countRefused(sink: string, records: number): void {
    this.#refused.inc({ sink }, records)
  }

  #count(name: string, help: string, read: () => number): void {
    const metric: Counter = new Counter({
      name,
      help,
      registers: [this.registry],
      collect: () => {
        metric.reset()
        metric.inc(read())
      },
    })
  }

  #countBy(name: string, help: string, label: string, read: () => Readonly<Record<string, number>>): void {
    const metric: Counter = new Counter({
      name,
      help,
      labelNames: [label],
      registers: [this.registry],
      collect: () => {
        metric.reset()
        for (const [key, value] of Object.entries(read())) metric.inc({ [label]: key }, value)
      },
    })
  }

  #perPartition(
    name: string,
    help: string,
    figures: () => WorkerFigures,
    read: (partition: PartitionFigures) => number,
  ): void {
    const metric: Gauge<'partition'> = new Gauge({
      name,
      help,
      labelNames: ['partition'],
      registers: [this.registry],
      collect: () => {
        metric.reset()
        for (const p of figures().partitions) metric.set({ partition: p.partition }, read(p))
      },
    })
  }
}
