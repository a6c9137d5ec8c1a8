import { readFileSync } from 'node:fs'
import type { RecordType } from '../codec/record-type.ts'
import type { ByObjectsObserver } from '../model/by-objects.ts'
import type { Clock } from '../model/clock.ts'
import { SiderealError } from '../model/errors.ts'
import type { Sink } from '../model/sink.ts'
import { ClickHouseSink } from '../sinks/clickhouse/sink.ts'
import type { OtlpSink } from '../sinks/otlp/otlp-sink.ts'
import { ClickHouse, type ClickHouseOptions } from '../storage/clickhouse/client.ts'
import { byObjectsZeros, type WorkerCounters } from '../telemetry/counters.ts'
import { type Logger, RepeatedWarnings } from '../telemetry/logger.ts'

export interface SinkChoice {
  readonly name: 'clickhouse' | 'otlp'
  readonly mode: 'required' | 'best-effort'
}

export interface SinkSettings {
  readonly clickHouse: ClickHouseOptions
  /** Bytes of rows that one write to ClickHouse holds at a time. */
  readonly maxRowBytes: number
  /** `bytes`: records become rows and OTLP from their bytes, where that can be. */
  readonly feeder: 'bytes' | 'objects'
  readonly otlp: {
    readonly endpoint?: string | undefined
    readonly headers?: Readonly<Record<string, string>> | undefined
    readonly tlsCaFile?: string | undefined
    readonly compression: 'none' | 'gzip'
    readonly timeoutMs: number
  }
  /** Compiled schema of a record that was consumed. */
  readonly recordTypes: (schemaId: number) => RecordType | undefined
  readonly counters: WorkerCounters
  readonly clock: Clock
  readonly logger: Logger
}

export interface Sinks {
  readonly required: readonly Sink[]
  readonly bestEffort: readonly Sink[]
  readonly all: readonly Sink[]
}

/** Makes one sink; nothing is connected yet. */
type SinkOpener = (settings: SinkSettings) => Sink

/**
 * Loads the code of the chosen sinks and of no other, since gRPC and OTLP take 20 MB and 0.1 s of CPU.
 *
 * @returns makes the sinks; nothing is connected yet
 */
export async function loadSinks(choices: readonly SinkChoice[]): Promise<(settings: SinkSettings) => Sinks> {
  const loaded = await Promise.all(
    choices.map(async ({ name, mode }) => ({ mode, open: await loadSink(name) })),
  )
  return (settings) => {
    const opened = loaded.map(({ mode, open }) => ({ mode, sink: open(settings) }))
    const required = opened.filter(({ mode }) => mode === 'required').map(({ sink }) => sink)
    const bestEffort = opened.filter(({ mode }) => mode === 'best-effort').map(({ sink }) => sink)
    return { required, bestEffort, all: [...required, ...bestEffort] }
  }
}

async function loadSink(name: SinkChoice['name']): Promise<SinkOpener> {
  switch (name) {
    case 'clickhouse':
      return openClickHouse
    case 'otlp': {
      const { OtlpSink } = await import('../sinks/otlp/otlp-sink.ts')
      return (settings) => openOtlp(OtlpSink, settings)
    }
  }
}

function openClickHouse(settings: SinkSettings): Sink {
  return new ClickHouseSink({
    client: new ClickHouse(settings.clickHouse),
    recordTypes: settings.recordTypes,
    feeder: settings.feeder,
    maxRowBytes: settings.maxRowBytes,
    observer: observeByObjects('clickhouse', settings),
  })
}

function openOtlp(Otlp: typeof OtlpSink, settings: SinkSettings): Sink {
  const { otlp, feeder, recordTypes, counters, clock, logger } = settings
  const { endpoint, headers, tlsCaFile, compression, timeoutMs } = otlp
  if (endpoint === undefined) {
    throw new SiderealError('SIDEREAL_CONFIG_INVALID', 'the sink otlp needs SIDEREAL_OTLP_ENDPOINT')
  }
  const warnings = new RepeatedWarnings(logger, clock)
  return new Otlp({
    url: endpoint,
    headers,
    compression,
    timeoutMs,
    recordTypes: feeder === 'bytes' ? recordTypes : undefined,
    ...(tlsCaFile === undefined ? {} : { tls: { ca: readCa(tlsCaFile) } }),
    observer: {
      ...observeByObjects('otlp', settings),
      rejected: (spans) => {
        counters.otlpRejectedSpans += spans
        warnings.warn(
          'rejected',
          { sink: 'otlp', spans },
          'the OTLP receiver took a request but rejected spans of it: see its log',
        )
      },
      unreadableAnswer: () => {
        warnings.warn(
          'answer',
          { sink: 'otlp' },
          'the OTLP receiver took a request, and its answer is none of OTLP: whether it rejected spans is unknown',
        )
      },
    },
  })
}

function observeByObjects(sink: string, { counters, logger }: SinkSettings): ByObjectsObserver {
  const counts = byObjectsZeros()
  counters.recordsByObjects[sink] = counts
  return {
    byObjects: (reason) => {
      counts[reason] += 1
    },
    noWalk: (schemaId, record, reason) => {
      logger.warn(
        { sink, schemaId, record, reason },
        'no walk over bytes can be made for this writer schema: its records go by objects, which costs about twice the CPU',
      )
    },
  }
}

function readCa(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw new SiderealError(
      'SIDEREAL_CONFIG_INVALID',
      `SIDEREAL_OTLP_TLS_CA: the file ${path} cannot be read`,
      { cause },
    )
  }
}
