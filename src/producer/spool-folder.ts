import { type FileHandle, mkdir, open, readdir, readFile, rm, rmdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { uuidV7 } from '../model/uuid-v7.ts'
import type { ItemsByKind } from './delivery-counts.ts'
import {
  encodeSpoolRecord,
  isOfOtherVersion,
  type NumberedRecord,
  parseSegment,
  SEGMENT_MAGIC,
} from './spool-format.ts'
import { LOCK_NAME, SpoolLock } from './spool-lock.ts'

/** A file of records. What has been read is in memory, too, until it is settled; the file goes when its last record is. */
export interface Segment {
  readonly folder: SpoolFolder
  readonly name: string
  bytes: number
  records: number
  /** Records at its start that never left memory: they are not read. */
  pinned: number
  /** Spans and logs that are here only. */
  readonly items: ItemsByKind
  /** Spans and logs that are neither sent nor dropped. */
  readonly held: ItemsByKind
  /** Records that are neither sent nor dropped. */
  unsettled: number
  isRead: boolean
  /** Given up for want of space; those of its records that are in memory have nothing on disk any more. */
  isDropped: boolean
}

/** What is told of segments that are found. */
export interface FoundFaults {
  onDamage(name: string, damages: number): void
  /** It is left where it is. */
  onUnreadable(name: string, error: unknown): void
  /** The folder is left as it is. */
  onLockMissing(): void
}

/** Folders that others may tidy away in the moment in which they are made. Some network file systems say of every lock that it is taken. */
const MAX_FOLDERS = 10
const SEGMENT_NAME = /^\d{10}\.spool$/

/** A folder of segments that is locked by this process: its own, or one that a process which is gone has left. */
export class SpoolFolder {
  readonly path: string
  readonly #lock: SpoolLock
  #nextNumber = 1
  #file: FileHandle | undefined
  #writing: Segment | undefined

  private constructor(path: string, lock: SpoolLock) {
    this.path = path
    this.#lock = lock
  }

  /** Makes a folder of its own for this process. @throws when none can be made, or locked; then none is left */
  static async create(root: string): Promise<SpoolFolder> {
    const made: string[] = []
    try {
      while (made.length < MAX_FOLDERS) {
        // Names sort by time, so that what others left is sent in the order of their starts.
        const path = join(root, uuidV7(Date.now()))
        await mkdir(path, { recursive: true, mode: 0o700 })
        made.push(path)
        const lock = await SpoolLock.tryTake(path)
        // Undefined: another process took the empty folder for one to tidy away.
        if (lock !== undefined) return new SpoolFolder(path, lock)
      }
      throw new Error(`${MAX_FOLDERS} new folders could not be locked: has the file system no locks?`)
    } catch (error) {
      for (const path of made) await rm(path, { recursive: true, force: true })
      throw error
    }
  }

  /** Takes over a folder; undefined when it is in use, or may be: whoever holds a lock whose file is removed cannot be seen. */
  static async adopt(path: string, faults: FoundFaults): Promise<SpoolFolder | undefined> {
    const names = await readdir(path)
    if (names.some((name) => SEGMENT_NAME.test(name)) && !names.includes(LOCK_NAME)) {
      faults.onLockMissing()
      return undefined
    }
    const lock = await SpoolLock.tryTake(path)
    return lock === undefined ? undefined : new SpoolFolder(path, lock)
  }

  /** Bytes of the segments that are here, without a look into them. */
  async size(): Promise<number> {
    let bytes = 0
    for (const name of await this.#names()) bytes += (await stat(join(this.path, name))).size
    return bytes
  }

  /** Finds the segments that are here, and counts what is in them, one after the other. One that cannot be read keeps none of the others. */
  async *segments(faults: FoundFaults): AsyncGenerator<Segment> {
    for (const name of await this.#names()) {
      let bytes: Buffer
      try {
        bytes = await readFile(join(this.path, name))
        if (isOfOtherVersion(bytes)) throw new Error('it was written by another version of this package')
      } catch (error) {
        faults.onUnreadable(name, error)
        continue
      }
      const { records, damages } = parseSegment(bytes)
      if (damages > 0) faults.onDamage(name, damages)
      const segment = this.#segment(name)
      segment.bytes = bytes.length
      for (const { kind, items } of records) {
        segment.items[kind] += items
        segment.held[kind] += items
      }
      segment.records = records.length
      segment.unsettled = records.length
      yield segment
    }
  }

  /** The segment that records are appended to now, if any. */
  get writing(): Segment | undefined {
    return this.#writing
  }

  /**
   * Appends records to the open segment, or to a new one. When it rejects, none of them counts as written.
   * The first `pinned` of them stay in memory.
   */
  async append(records: readonly NumberedRecord[], pinned: number): Promise<Segment> {
    const parts = records.flatMap(encodeSpoolRecord)
    let segment = this.#writing
    if (segment === undefined) {
      segment = this.#segment(`${String(this.#nextNumber++).padStart(10, '0')}.spool`)
      this.#file = await open(join(this.path, segment.name), 'wx', 0o600)
      this.#writing = segment
      parts.unshift(SEGMENT_MAGIC)
    }
    try {
      await writeAll(this.#file!, parts)
    } catch (error) {
      // What was written of them must not be read: the segment ends where it was, and takes nothing more.
      await this.#cut(segment)
      throw error
    }
    for (const part of parts) segment.bytes += part.length
    segment.pinned += pinned
    segment.records += records.length
    segment.unsettled += records.length
    records.forEach(({ kind, items }, i) => {
      segment.held[kind] += items
      if (i >= pinned) segment.items[kind] += items
    })
    return segment
  }

  /** Ends the open segment; the next record begins a new one. */
  async seal(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    this.#writing = undefined
    await file?.close()
  }

  async read(segment: Segment): Promise<readonly NumberedRecord[]> {
    const { records } = parseSegment(await readFile(join(this.path, segment.name)))
    // A write that failed, and could not be undone, may have left more.
    return records.slice(segment.pinned, segment.records)
  }

  async remove(segment: Segment): Promise<void> {
    if (segment === this.#writing) await this.seal()
    await rm(join(this.path, segment.name), { force: true })
  }

  /** Gives the folder back; `isDone`: and removes it, but for segments that could not be read. */
  async close(isDone: boolean): Promise<void> {
    await this.seal()
    if (!isDone || (await this.#names()).length > 0) {
      this.#lock.release()
      return
    }
    await this.#lock.remove()
    try {
      await rmdir(this.path)
    } catch (error) {
      // Somebody has put a file here: it is his.
      if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw error
    }
  }

  async #names(): Promise<string[]> {
    return (await readdir(this.path)).filter((name) => SEGMENT_NAME.test(name)).sort()
  }

  async #cut(segment: Segment): Promise<void> {
    try {
      await this.#file?.truncate(segment.bytes)
    } finally {
      await this.seal()
      if (segment.bytes === 0) await rm(join(this.path, segment.name), { force: true })
    }
  }

  #segment(name: string): Segment {
    return {
      folder: this,
      name,
      bytes: 0,
      records: 0,
      pinned: 0,
      items: { spans: 0, log: 0 },
      held: { spans: 0, log: 0 },
      unsettled: 0,
      isRead: false,
      isDropped: false,
    }
  }
}

/** `writev` may write less than it was given, as on a disk that is just full. */
async function writeAll(file: FileHandle, parts: readonly Buffer[]): Promise<void> {
  let rest = parts
  while (rest.length > 0) {
    let { bytesWritten } = await file.writev([...rest])
    let whole = 0
    while (whole < rest.length && bytesWritten >= rest[whole]!.length) bytesWritten -= rest[whole++]!.length
    rest =
      bytesWritten === 0 ? rest.slice(whole) : [rest[whole]!.subarray(bytesWritten), ...rest.slice(whole + 1)]
  }
}
