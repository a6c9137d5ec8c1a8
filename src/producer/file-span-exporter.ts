import { appendFile, mkdir, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type HrTime, SpanStatusCode } from '@opentelemetry/api'
import { type ExportResult, ExportResultCode, hrTimeToNanoseconds } from '@opentelemetry/core'
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace'
import { boxOfSpan, identityOfAttributes } from './identity.ts'
import { wholeTime } from './model-span.ts'
import type { SpanLevel } from './span-level.ts'

const LEVELS = ['DEBUG', 'INFO', 'WARN', 'ERROR'] as const

export interface FileSpanExporterOptions {
  /** Its folder is made if it is not there. */
  readonly path: string
  /** Spans below it are left out. Default `DEBUG`: all. */
  readonly level?: SpanLevel
  /** Size at which the file becomes `path.1`, that one `path.2`, and so on. Default 64 MiB. */
  readonly maxBytes?: number
  /** Files that are kept beside the current one. Default 5. */
  readonly maxFiles?: number
}

/**
 * Writes each span as one line of JSON to a file, with its level: `ERROR` for a span that failed, else the highest level among its events, else
 * `INFO`. One process a file. To be used behind a batch processor, as any exporter of OpenTelemetry.
 */
export class FileSpanExporter implements SpanExporter {
  readonly #options: Required<FileSpanExporterOptions>
  #writing: Promise<void> = Promise.resolve()
  #bytes: number | undefined
  #isShutDown = false

  constructor(options: FileSpanExporterOptions) {
    this.#options = { level: 'DEBUG', maxBytes: 64 * 1024 * 1024, maxFiles: 5, ...options }
  }

  export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void {
    if (this.#isShutDown) {
      resultCallback({ code: ExportResultCode.FAILED, error: new Error('the file exporter is shut down') })
      return
    }
    const wanted = LEVELS.indexOf(this.#options.level)
    const lines = spans.filter((span) => LEVELS.indexOf(levelOf(span)) >= wanted).map(lineOf)
    this.#writing = this.#writing
      .then(() => this.#write(lines))
      .then(
        () => resultCallback({ code: ExportResultCode.SUCCESS }),
        (error: Error) => {
          // Whether its size is as we think is not known after a failure.
          this.#bytes = undefined
          resultCallback({ code: ExportResultCode.FAILED, error })
        },
      )
  }

  async forceFlush(): Promise<void> {
    await this.#writing
  }

  async shutdown(): Promise<void> {
    this.#isShutDown = true
    await this.#writing
  }

  async #write(lines: readonly string[]): Promise<void> {
    const { path, maxBytes } = this.#options
    this.#bytes ??= await sizeOrMake(path)
    let text: string[] = []
    let bytes = 0
    for (const line of lines) {
      const length = Buffer.byteLength(line)
      if (this.#bytes + bytes + length > maxBytes && this.#bytes + bytes > 0) {
        await this.#append(text, bytes)
        text = []
        bytes = 0
        await this.#rotate()
      }
      text.push(line)
      bytes += length
    }
    await this.#append(text, bytes)
  }

  async #append(lines: readonly string[], bytes: number): Promise<void> {
    if (lines.length === 0) return
    await appendFile(this.#options.path, lines.join(''), { mode: 0o600 })
    this.#bytes = (this.#bytes ?? 0) + bytes
  }

  async #rotate(): Promise<void> {
    const { path, maxFiles } = this.#options
    await rm(maxFiles === 0 ? path : `${path}.${maxFiles}`, { force: true })
    for (let number = maxFiles - 1; number >= 0; number--) {
      const from = number === 0 ? path : `${path}.${number}`
      try {
        await rename(from, `${path}.${number + 1}`)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      }
    }
    this.#bytes = 0
  }
}

async function sizeOrMake(path: string): Promise<number> {
  await mkdir(dirname(path), { recursive: true })
  try {
    return (await stat(path)).size
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return 0
  }
}

function levelOf(span: ReadableSpan): SpanLevel {
  const names = new Set(span.events.map(({ name }) => name))
  const { attributes, status } = span
  if (status.code === SpanStatusCode.ERROR || attributes['error'] === true || names.has('exception'))
    return 'ERROR'
  return LEVELS.findLast((level) => names.has(level)) ?? 'INFO'
}

function lineOf(span: ReadableSpan): string {
  const { traceId, spanId } = span.spanContext()
  const { sid, appId, uid, chatId } =
    boxOfSpan(span)?.identity ?? identityOfAttributes(span.attributes, traceId)
  const line = {
    time: isoTime(span.endTime),
    level: levelOf(span),
    sid,
    app_id: appId,
    uid,
    chat_id: chatId,
    trace_id: traceId,
    span_id: spanId,
    parent_span_id: span.parentSpanContext?.spanId ?? '',
    service: span.resource.attributes['service.name'] ?? '',
    name: span.name,
    start_time: isoTime(span.startTime),
    duration_ms: hrTimeToNanoseconds(span.duration) / 1e6,
    status: SpanStatusCode[span.status.code],
    ...(span.status.message === undefined ? {} : { status_message: span.status.message }),
    attributes: span.attributes,
    events: span.events.map(({ name, time, attributes }) => ({ time: isoTime(time), name, attributes })),
  }
  return `${JSON.stringify(line)}\n`
}

/** To the nanosecond. */
function isoTime([seconds, nanoseconds]: HrTime): string {
  const whole = new Date(seconds * 1000)
  const text = Number.isNaN(whole.getTime()) ? '1970-01-01T00:00:00' : whole.toISOString().slice(0, 19)
  return `${text}.${String(wholeTime(nanoseconds)).padStart(9, '0')}Z`
}
