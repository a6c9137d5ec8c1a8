import { join } from 'node:path'
import type { Logger } from '../telemetry/logger.ts'
import type { FoundFaults } from './spool-folder.ts'

/** Says what is wrong with segments that other processes have left; of one that cannot be read once, since it is met again and again. */
export class FoundFaultsReport {
  readonly #logger: Logger
  readonly #unreadable = new Set<string>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  of(folder: string): FoundFaults {
    return {
      onDamage: (segment, damages) =>
        this.#logger.warn(
          { folder, segment, damages },
          'a segment of the spool is torn or damaged: the rest of it is sent',
        ),
      onUnreadable: (segment, error) => {
        const path = join(folder, segment)
        if (this.#unreadable.has(path)) return
        this.#unreadable.add(path)
        this.#logger.warn(
          { folder, segment, cause: String(error) },
          'a segment of the spool cannot be read, and is left where it is: the others are sent',
        )
      },
    }
  }
}
