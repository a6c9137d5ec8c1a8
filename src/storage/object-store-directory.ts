import { randomUUID } from 'node:crypto'
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { SiderealError } from '../model/errors.ts'
import type { ObjectStore, PutOptions } from './object-store.ts'
import { checkKey } from './object-store-key.ts'

const PROBE_KEY = '.sidereal-probe'
const PROBE_BODY = Buffer.from('sidereal\n')

/** Faults that somebody has to mend; all others (disk full, I/O error, too many files) may pass by themselves. */
const REFUSED = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG', 'ELOOP'])

/** Objects as files below a directory. Each is written beside its place, synced, and renamed. */
export class DirectoryStore implements ObjectStore {
  readonly url: string
  readonly #root: string

  constructor(root: string) {
    this.#root = resolve(root)
    this.url = pathToFileURL(this.#root).href
  }

  async ensureBucket(): Promise<void> {
    await this.#run(undefined, () => mkdir(this.#root, { recursive: true }))
  }

  async probe(signal?: AbortSignal): Promise<void> {
    await this.put(PROBE_KEY, PROBE_BODY, { signal })
    await this.getRange(PROBE_KEY, 0, PROBE_BODY.length, signal)
  }

  async put(key: string, body: Buffer, options: PutOptions = {}): Promise<void> {
    const path = this.#path(key)
    await this.#run(options.signal, async () => {
      await this.#requireRoot()
      if (await exists(path)) return
      const folder = dirname(path)
      const firstNew = await mkdir(folder, { recursive: true })
      const temporary = join(folder, `.${randomUUID()}.tmp`)
      try {
        await withFile(temporary, 'wx', async (file) => {
          await file.writeFile(body, { signal: options.signal })
          await file.sync()
        })
        await rename(temporary, path)
      } catch (error) {
        await rm(temporary, { force: true })
        throw error
      }
      // The name is durable only when its folder is, and so on up to the first folder that was there before.
      for (let at = folder; ; at = dirname(at)) {
        await withFile(at, 'r', (directory) => directory.sync())
        if (firstNew === undefined || at.length < firstNew.length || at === this.#root) break
      }
    })
  }

  async getRange(key: string, offset: number, length: number, signal?: AbortSignal): Promise<Buffer> {
    const path = this.#path(key)
    return await this.#run(signal, () =>
      withFile(path, 'r', async (file) => {
        // Checked first, so that a reference that lies cannot ask for more memory than the object has bytes.
        if (offset + length > (await file.stat()).size) throw shorter(key, this.url)
        const buffer = Buffer.allocUnsafe(length)
        let at = 0
        while (at < length) {
          const { bytesRead } = await file.read(buffer, at, length - at, offset + at)
          if (bytesRead === 0) throw shorter(key, this.url)
          at += bytesRead
        }
        return buffer
      }),
    )
  }

  async size(key: string, signal?: AbortSignal): Promise<number> {
    const path = this.#path(key)
    return (await this.#run(signal, () => stat(path))).size
  }

  async presign(): Promise<string | undefined> {
    return undefined
  }

  async lifecycleDays(): Promise<number | undefined> {
    return undefined
  }

  async close(): Promise<void> {
    // Nothing is held open.
  }

  #path(key: string): string {
    checkKey(key)
    return join(this.#root, key)
  }

  async #requireRoot(): Promise<void> {
    if (await exists(this.#root)) return
    throw new SiderealError(
      'SIDEREAL_OBJECT_STORE_REFUSED',
      `The directory of the object store is not there: ${this.url}. Run "sidereal setup", or create or mount it.`,
    )
  }

  async #run<T>(signal: AbortSignal | undefined, action: () => Promise<T>): Promise<T> {
    try {
      signal?.throwIfAborted()
      return await action()
    } catch (error) {
      if (error instanceof SiderealError) throw error
      const code = errorCode(error)
      if (code === 'ENOENT') {
        await this.#requireRoot()
        throw new SiderealError('SIDEREAL_PAYLOAD_NOT_FOUND', `No such object in ${this.url}.`, {
          cause: error,
        })
      }
      if (code !== undefined && REFUSED.has(code)) {
        throw new SiderealError(
          'SIDEREAL_OBJECT_STORE_REFUSED',
          `${this.url}: ${code}. Give this user the right to read and write that directory.`,
          { cause: error },
        )
      }
      throw new SiderealError(
        'SIDEREAL_OBJECT_STORE_UNAVAILABLE',
        `${this.url}: ${code ?? 'the call was aborted'}.`,
        {
          cause: error,
          retryable: true,
        },
      )
    }
  }
}

function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

function shorter(key: string, url: string): SiderealError {
  return new SiderealError(
    'SIDEREAL_PAYLOAD_CORRUPT',
    `${key} in ${url} ends before the range that was asked for.`,
  )
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false
    throw error
  }
}

async function withFile<T>(path: string, flags: string, use: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(path, flags)
  try {
    return await use(file)
  } finally {
    await file.close()
  }
}
