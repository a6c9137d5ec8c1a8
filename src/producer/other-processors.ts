import type { SpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import type { Logger } from '../telemetry/logger.ts'
import { waitAtMost } from './wait-time.ts'

/**
 * The span processors of a service beside the one for Kafka: its exporters to elsewhere, and those that it brought itself. They are waited for, but
 * only so long, and their failures are theirs.
 */
export class OtherProcessors {
  readonly #provider: TracerProvider
  readonly #processors: readonly SpanProcessor[]
  readonly #logger: Logger

  /** @param provider has them, and is shut down with them */
  constructor(provider: TracerProvider, processors: readonly SpanProcessor[], logger: Logger) {
    this.#provider = provider
    this.#processors = processors
    this.#logger = logger
  }

  async flush(timeoutMs: number): Promise<void> {
    if (this.#processors.length === 0) return
    // Not by the provider, which would wait for Kafka, too, by a time of its own.
    const flush = async (processor: SpanProcessor) => await processor.forceFlush()
    const flushed = Promise.allSettled(this.#processors.map(flush))
    await this.#within(timeoutMs, flushed.then(throwFirst), 'flush')
  }

  /** A batch that they hold would be lost with the process. */
  async shutdown(timeoutMs: number): Promise<void> {
    await this.#within(timeoutMs, this.#provider.shutdown(), 'shut down')
  }

  async #within(timeoutMs: number, work: Promise<void>, what: string): Promise<void> {
    const done = work.catch((error: unknown) =>
      this.#logger.warn({ cause: String(error) }, `a span processor of the service failed to ${what}`),
    )
    await waitAtMost(timeoutMs, done)
  }
}

function throwFirst(results: readonly PromiseSettledResult<void>[]): void {
  for (const result of results) if (result.status === 'rejected') throw result.reason
}
