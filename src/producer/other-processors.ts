import type { TracerProvider } from '@opentelemetry/sdk-trace'
import type { Logger } from '../telemetry/logger.ts'

/**
 * The span processors of a service beside the one for Kafka: its exporters to elsewhere, and those that it brought itself. They are waited for, but
 * only so long, and their failures are theirs.
 */
export class OtherProcessors {
  readonly #provider: TracerProvider
  readonly #count: number
  readonly #logger: Logger

  constructor(provider: TracerProvider, count: number, logger: Logger) {
    this.#provider = provider
    this.#count = count
    this.#logger = logger
  }

  async flush(timeoutMs: number): Promise<void> {
    if (this.#count > 0) await this.#within(timeoutMs, this.#provider.forceFlush(), 'flush')
  }

  /** A batch that they hold would be lost with the process. */
  async shutdown(timeoutMs: number): Promise<void> {
    await this.#within(timeoutMs, this.#provider.shutdown(), 'shut down')
  }

  async #within(timeoutMs: number, work: Promise<void>, what: string): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const timeUp = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs)
    })
    const done = work.catch((error: unknown) =>
      this.#logger.warn({ cause: String(error) }, `a span processor of the service failed to ${what}`),
    )
    await Promise.race([done, timeUp])
    clearTimeout(timer)
  }
}
