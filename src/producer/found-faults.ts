import { join } from 'node:path'
import type { Logger } from '../telemetry/logger.ts'
import type { FoundFaults } from './spool-folder.ts'

/** Says what is wrong with what other processes have left; once of what is met again and again. */
export class FoundFaultsReport {
  readonly #logger: Logger
  readonly #told = new Set<string>()

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
        if (!this.#isNew(join(folder, segment))) return
        this.#logger.warn(
          { folder, segment, cause: String(error) },
          'a segment of the spool cannot be read, and is left where it is: the others are sent',
        )
      },
      onLockMissing: () => {
        if (!this.#isNew(folder)) return
        this.#logger.warn(
          { folder },
          'somebody has removed the file "lock" of this spool folder, which its process may still be using: it is left as it is. When that process is gone, make an empty file "lock" there, and its records are sent.',
        )
      },
    }
  }

  #isNew(path: string): boolean {
    if (this.#told.has(path)) return false
    this.#told.add(path)
    return true
  }
}
