import { SilentServer } from '../integration-tests/support/silent-server.ts'
import type { Compression } from '../src/kafka/codecs.ts'
import type { BenchGround } from './bench-ground.ts'
import { calibrate } from './calibration.ts'
import { type DataName, dataSet } from './data-sets.ts'
import { avroEncoder } from './encoders.ts'
import type { Job } from './jobs.ts'
import { medianFigures } from './median.ts'
import { type Produced, produceBench } from './produce.ts'
import { ReceiverProcess } from './receiver-process.ts'
import { measureWorkers, type WorkerFigures } from './worker-run.ts'

const MIN_QUIET_MS = 50

export interface JobOptions {
  readonly units: number
  readonly openTraces: number
  readonly runs: number
  readonly workers: number
  /** Options of Node for the workers. */
  readonly nodeArgs: readonly string[]
  readonly onProgress: (line: string) => void
}

export interface JobResult {
  readonly unit: 'span' | 'log'
  readonly units: number
  readonly recordsPerTrace: number
  readonly valueBytesPerUnit: number
  readonly topicBytesPerUnit: number
  /** CPU of the broker to take a unit. */
  readonly brokerTakeMicros: number
  readonly workers: number
  readonly quietMs: number
  /** Median of all runs, figure by figure. */
  readonly figures: WorkerFigures
  /** `cpuMicros` of each run. */
  readonly cpuMicrosOfRuns: readonly number[]
  /** See `calibrate`: the better of before and after. */
  readonly calibrationMicros: number
  /** What the job is compared with, by turns. */
  readonly compared?: WorkerFigures
  /** CPU above the comparison's for each KB of payloads. */
  readonly payloadMicrosPerKb?: number
}

interface FilledTopic {
  readonly topic: string
  readonly produced: Produced
}

interface Settings {
  readonly env: Job['env'] | undefined
  readonly receiver: Job['receiver'] | undefined
}

/** One way to run a job. */
interface Way extends Settings {
  readonly filled: FilledTopic
  readonly quietMs: number
}

/** Produces data once for each kind and measures jobs on them. */
export class JobRunner {
  readonly #ground: BenchGround
  readonly #compression: Compression
  readonly #topics = new Map<string, FilledTopic>()

  /** @param compression of the records that are produced; default none, so that what is measured is the pipeline */
  constructor(ground: BenchGround, compression: Compression = 'none') {
    this.#ground = ground
    this.#compression = compression
  }

  async measure(job: Job, options: JobOptions): Promise<JobResult> {
    const { onProgress } = options
    const data = dataSet(job.data)
    const wayOf = async (name: DataName, openTraces: number, settings: Settings): Promise<Way> => {
      const filled = await this.fill(name, options.units, onProgress)
      return { ...settings, filled, quietMs: quietMs(filled.produced, openTraces) }
    }
    const settings = { env: job.env, receiver: job.receiver }
    const way = await wayOf(job.data, options.openTraces, settings)
    const other = job.comparedWith
    const otherWay =
      other === undefined
        ? undefined
        : await wayOf(
            other.data,
            other.openTraces,
            other.env === undefined ? settings : { env: other.env, receiver: undefined },
          )
    const { produced } = way.filled
    const before = calibrate()
    const runs: WorkerFigures[] = []
    const comparedRuns: WorkerFigures[] = []
    for (let number = 1; number <= options.runs; number++) {
      if (otherWay !== undefined) {
        comparedRuns.push(await this.#measureOnce(otherWay, options))
        onProgress(`run ${number}, compared with: ${comparedRuns.at(-1)?.cpuMicros.toFixed(1)} µs`)
      }
      runs.push(await this.#measureOnce(way, options))
      onProgress(`run ${number}: ${runs.at(-1)?.cpuMicros.toFixed(1)} µs of CPU a ${data.unit}`)
    }
    const figures = medianFigures(runs)
    const compared = comparedRuns.length === 0 ? undefined : medianFigures(comparedRuns)
    const payloadKb = (produced.rows.payloads * (data.payloadBytes ?? 0)) / 1024
    return {
      unit: data.unit,
      units: produced.units,
      recordsPerTrace: data.recordsPerTrace,
      valueBytesPerUnit: produced.valueBytes / produced.units,
      topicBytesPerUnit: produced.topicBytes / produced.units,
      brokerTakeMicros: produced.brokerCpuMicros,
      workers: options.workers,
      quietMs: way.quietMs,
      figures,
      cpuMicrosOfRuns: runs.map((run) => run.cpuMicros),
      calibrationMicros: Math.min(before, calibrate()),
      ...(compared === undefined ? {} : { compared }),
      ...(compared === undefined || payloadKb === 0
        ? {}
        : {
            payloadMicrosPerKb: ((figures.cpuMicros - compared.cpuMicros) * produced.units) / payloadKb,
          }),
    }
  }

  /** A topic with at least that much of the data; the same one when it was asked for before. */
  async fill(name: DataName, units: number, onProgress: (line: string) => void): Promise<FilledTopic> {
    const data = dataSet(name)
    const traces = Math.ceil(units / data.unitsPerTrace)
    const topic = this.#ground.topicName(`${name}-${traces}`)
    const known = this.#topics.get(topic)
    if (known !== undefined) return known
    // The topic comes with the tables of a run; these are not used.
    const { database } = await this.#ground.newRun(topic)
    await this.#ground.dropDatabase(database)
    onProgress(`producing ${traces} traces of ${data.unitsPerTrace} ${data.unit}s (${name})`)
    const encoder = await avroEncoder(this.#ground.registryUrl, topic)
    const produced = await produceBench({
      ...{ ground: this.#ground, compression: this.#compression, topic, data, encoder, traces, onProgress },
    })
    const bytes = (produced.valueBytes / produced.units).toFixed(0)
    onProgress(
      `${produced.records} records, ${bytes} B of Avro a ${data.unit}, in ${produced.seconds.toFixed(1)} s`,
    )
    const filled = { topic, produced }
    this.#topics.set(topic, filled)
    return filled
  }

  async #measureOnce(
    { filled, quietMs, env, receiver: kind }: Way,
    options: JobOptions,
  ): Promise<WorkerFigures> {
    const { topic, produced } = filled
    using receiver = kind === 'answers' ? await ReceiverProcess.start() : undefined
    using silent = kind === 'hangs' ? await SilentServer.start() : undefined
    const url = receiver?.url ?? silent?.url
    const figures = await measureWorkers(this.#ground, {
      run: await this.#ground.newRun(topic),
      produced,
      env: {
        ...env,
        SIDEREAL_QUIET_MS: String(quietMs),
        ...(url === undefined ? {} : { SIDEREAL_OTLP_ENDPOINT: url }),
      },
      workers: options.workers,
      nodeArgs: options.nodeArgs,
    })
    const received = await receiver?.spanCount()
    if (received !== undefined && received !== produced.rows.spans)
      throw new Error(`the OTLP receiver got ${received} spans instead of ${produced.rows.spans}`)
    return figures
  }
}

/** Stream time is the append time: traces a second of it, times the quiet time, is what is open at once. */
function quietMs(produced: Produced, openTraces: number): number {
  return Math.max(MIN_QUIET_MS, Math.round((openTraces / produced.traces) * produced.seconds * 1000))
}
