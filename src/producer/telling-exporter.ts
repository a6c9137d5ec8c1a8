import { type ExportResult, ExportResultCode } from '@opentelemetry/core'
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace'
import type { RepeatedWarnings } from '../telemetry/logger.ts'
import { plainText } from './foreign-values.ts'

/** An exporter whose failures are told: at first, and then once a minute with their number. OpenTelemetry's own word of them is silent by default. */
export class TellingExporter implements SpanExporter {
  readonly #inner: SpanExporter
  readonly #warnings: RepeatedWarnings
  readonly #name: string

  constructor(inner: SpanExporter, warnings: RepeatedWarnings, name: string) {
    this.#inner = inner
    this.#warnings = warnings
    this.#name = name
  }

  export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void {
    this.#inner.export(spans, (result) => {
      if (result.code !== ExportResultCode.SUCCESS) {
        this.#warnings.warn(
          this.#name,
          {
            exporter: this.#name,
            spans: spans.length,
            cause: plainText(result.error ?? 'no reason was given'),
          },
          'an exporter beside Kafka failed: these spans of it are lost, those for Kafka are not',
        )
      }
      resultCallback(result)
    })
  }

  async forceFlush(): Promise<void> {
    await this.#inner.forceFlush?.()
  }

  async shutdown(): Promise<void> {
    await this.#inner.shutdown()
  }
}
