import { statSync } from 'node:fs'
import { unlink } from 'node:fs/promises'
import { join } from 'node:path'

/** SQLite's result code for a lock that somebody else has. */
const SQLITE_BUSY = 5
export const LOCK_NAME = 'lock'

/**
 * A lock that only one process, and only one holder in it, has, and that the operating system releases when the process ends, by
 * kill -9 too. Node has no file locks of its own; an exclusive transaction of its SQLite on an empty file is one, on every system. A file with a
 * process id in it would not do: ids repeat, and containers that share a volume have their own.
 */
export class SpoolLock {
  readonly #path: string
  readonly #close: () => void

  private constructor(path: string, close: () => void) {
    this.#path = path
    this.#close = close
  }

  /** Undefined when somebody else holds the lock of the folder, or has just removed it. */
  static async tryTake(folder: string): Promise<SpoolLock | undefined> {
    const path = join(folder, LOCK_NAME)
    // Loaded by those who have a spool only.
    const { DatabaseSync } = await import('node:sqlite')
    // Nobody else in this process may open and close this file: closing it would release the lock of whoever holds it here.
    const database = new DatabaseSync(path, { timeout: 0 })
    try {
      database.exec('BEGIN EXCLUSIVE')
    } catch (error) {
      database.close()
      if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return undefined
      throw error
    }
    // Its last holder may have removed it between our opening and our locking.
    if (statSync(path, { throwIfNoEntry: false }) === undefined) {
      database.close()
      return undefined
    }
    return new SpoolLock(path, () => database.close())
  }

  /** For the next one to take. */
  release(): void {
    this.#close()
  }

  /** Removes the lock with its file, when the folder is empty but for it. */
  async remove(): Promise<void> {
    // Windows does not remove an open file: there the order is the other one, and a lost race leaves an empty folder.
    if (process.platform === 'win32') this.#close()
    await unlink(this.#path)
    if (process.platform !== 'win32') this.#close()
  }
}
