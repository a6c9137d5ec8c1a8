import { readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Logger } from '../telemetry/logger.ts'
import { type ItemsByKind, RECORD_KINDS, type RecordKind } from './delivery-counts.ts'
import type { EncodedRecord } from './encoded-record.ts'
import { FoundFaultsReport } from './found-faults.ts'
import { type Segment, SpoolFolder } from './spool-folder.ts'
import type { NumberedRecord } from './spool-format.ts'

export interface SpoolOptions {
  /** Shared by any number of processes: each has a folder of its own in it. */
  readonly root: string
  /** What may lie in the folders of this process. Over it the oldest segment goes. Default 256 MiB. */
  readonly maxBytes?: number
  /** Size at which a segment is ended. Default 1 MiB. */
  readonly segmentBytes?: number
  readonly logger: Logger
  /** Spans and logs of a process that is gone have been found. */
  readonly onRecovered: (kind: RecordKind, items: number) => void
  /** Spans and logs that were on disk only are lost. */
  readonly onLost: (kind: RecordKind, items: number, reason: 'spool_full' | 'spool_damaged') => void
}

export interface SpooledRecord extends NumberedRecord {
  readonly segment: Segment
}

/** Folders are named by UUIDs of version 7; anything else in the root is somebody else's. */
const FOLDER_NAME = /^[0-9a-f]{32}$/
/** Records of other processes come before all of this one, whose numbers begin with 0. */
const FIRST_RECOVERED = -(2 ** 52)

/**
 * Holds records on disk while Kafka cannot be reached: segment files, each with checksums, in a folder that is locked by this process. What a
 * process leaves when it is killed is taken over by the next one, or by any other that runs. Nothing is synced: a record survives the
 * end of the process, however it comes, and not the loss of power.
 *
 * Calls of `append` must not overlap, nor those of `read`.
 */
export class Spool {
  readonly #options: Required<SpoolOptions>
  readonly #held: ItemsByKind = { spans: 0, log: 0 }
  readonly #orphans: ItemsByKind = { spans: 0, log: 0 }
  /** In the order in which they are read. */
  #segments: Segment[] = []
  #adopted: SpoolFolder[] = []
  #folder: SpoolFolder | undefined
  #bytes = 0
  #appending: Segment | 'new' | undefined
  #recoveredNumber = FIRST_RECOVERED
  #isClosed = false
  #isAdopting = false
  readonly #removals = new Set<Promise<void>>()
  readonly #faults: FoundFaultsReport

  constructor(options: SpoolOptions) {
    const root = resolve(options.root)
    this.#options = { maxBytes: 256 * 1024 * 1024, segmentBytes: 1024 * 1024, ...options, root }
    this.#faults = new FoundFaultsReport(options.logger)
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Spans or logs that are on disk, whether or not in memory, too. */
  items(kind: RecordKind): number {
    return this.#held[kind]
  }

  /** Spans or logs that are in memory, and whose segment was given up before they were settled. */
  orphans(kind: RecordKind): number {
    return this.#orphans[kind]
  }

  /** True while something is on disk only. */
  get hasUnread(): boolean {
    return this.#firstUnread !== undefined
  }

  /** False while the oldest segment is being written to. */
  get canRead(): boolean {
    return this.hasUnread && this.#firstUnread !== this.#appending
  }

  /** Takes over what other processes have left. To be called now and then: a process beside this one may be killed at any time. */
  async adopt(): Promise<void> {
    if (this.#isAdopting || this.#isClosed) return
    this.#isAdopting = true
    try {
      for (const name of (await this.#names()).filter((name) => FOLDER_NAME.test(name)).sort()) {
        const path = join(this.#options.root, name)
        if (path === this.#folder?.path || this.#adopted.some((folder) => folder.path === path)) continue
        try {
          await this.#adoptFolder(path)
        } catch (error) {
          // Another user's, or one that went in this moment: the others can still be taken.
          this.#options.logger.debug({ folder: path, cause: String(error) }, 'a spool cannot be taken over')
        }
      }
    } finally {
      this.#isAdopting = false
    }
  }

  /**
   * Writes records behind all others; the first `pinned` stay in memory, too. `onWritten` is called in the moment from which they count as held here.
   * @throws when the disk does not take them: then none counts
   */
  async append(
    records: readonly NumberedRecord[],
    pinned: number,
    onWritten?: (segment: Segment) => void,
  ): Promise<void> {
    const bytes = records.reduce((sum, { framed, sid }) => sum + framed.length + sid.length + 32, 0)
    await this.#makeRoom(bytes)
    this.#folder ??= await SpoolFolder.create(this.#options.root)
    const folder = this.#folder
    const open = folder.writing
    const isFull = open !== undefined && open.bytes >= this.#options.segmentBytes
    // The pinned ones of a segment are its first.
    if (isFull || (open !== undefined && pinned > 0 && open.records > open.pinned)) await folder.seal()
    this.#appending = folder.writing ?? 'new'
    try {
      const before = folder.writing?.bytes ?? 0
      const segment = await folder.append(records, pinned)
      if (before === 0) this.#segments.push(segment)
      this.#bytes += segment.bytes - before
      for (const { kind, items } of records) this.#held[kind] += items
      onWritten?.(segment)
    } catch (error) {
      // Somebody has tidied the folder away (a cleaner of old files): the next record makes a new one.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
        this.#folder = undefined
        await folder.close(false)
      }
      throw error
    } finally {
      const appended = this.#appending
      this.#appending = undefined
      if (typeof appended === 'object' && appended.unsettled === 0) this.#retire(appended)
    }
  }

  /** The records of the oldest segment that are on disk only: from now on they are in memory, too. Empty when there is none. */
  async read(): Promise<SpooledRecord[]> {
    const segment = this.#firstUnread
    if (segment === undefined || segment === this.#appending) return []
    segment.isRead = true
    const isRecovered = segment.folder !== this.#folder
    let records: readonly NumberedRecord[] = []
    try {
      if (segment === segment.folder.writing) await segment.folder.seal()
      records = await segment.folder.read(segment)
    } catch (error) {
      this.#warn('a segment of the spool cannot be read', segment, error)
    }
    if (segment.isDropped) return []
    const lost = { ...segment.items }
    for (const { kind, items } of records) lost[kind] -= items
    segment.unsettled -= segment.records - segment.pinned - records.length
    for (const kind of RECORD_KINDS) {
      segment.items[kind] = 0
      if (lost[kind] > 0) {
        segment.held[kind] -= lost[kind]
        this.#lose(kind, lost[kind], 'spool_damaged')
      }
    }
    if (segment.unsettled === 0) this.#retire(segment)
    return records.map((record) => ({
      ...record,
      number: isRecovered ? this.#recoveredNumber++ : record.number,
      segment,
    }))
  }

  /** A record is sent or dropped. The last one of a segment takes the file with it. */
  settle(segment: Segment, { kind, items }: EncodedRecord): void {
    if (segment.isDropped) {
      this.#orphans[kind] -= items
      return
    }
    segment.held[kind] -= items
    this.#held[kind] -= items
    segment.unsettled -= 1
    // While it is being appended to, its end is not known. Once closed, the folder may have another owner: let him send it again.
    if (segment.unsettled === 0 && segment !== this.#appending && !this.#isClosed) this.#retire(segment)
  }

  /** Gives the folders back; what is in them stays for the next process. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all(this.#removals)
    const folders = [...this.#adopted, ...(this.#folder === undefined ? [] : [this.#folder])]
    this.#adopted = []
    this.#folder = undefined
    for (const folder of folders) {
      await folder.close(
        !this.#segments.some((segment) => segment.folder === folder && segment.unsettled > 0),
      )
    }
  }

  get #firstUnread(): Segment | undefined {
    return this.#segments.find((segment) => !segment.isRead && segment.records > segment.pinned)
  }

  async #names(): Promise<string[]> {
    try {
      return await readdir(this.#options.root)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw error
    }
  }

  async #adoptFolder(path: string): Promise<void> {
    const folder = await SpoolFolder.adopt(path, this.#faults.of(path))
    if (folder === undefined) return
    const { logger, onRecovered } = this.#options
    let found: Segment[]
    try {
      // It would push out what is here: it is left for a process with room for it, or until there is.
      const hasRoom =
        this.#segments.length === 0 || this.#bytes + (await folder.size()) <= this.#options.maxBytes
      if (!hasRoom) {
        await folder.close(false)
        return
      }
      found = await this.#segmentsOf(folder)
    } catch (error) {
      // Locked by nobody who does nothing with it.
      await folder.close(false)
      throw error
    }
    if (found.length === 0 || this.#isClosed) {
      await folder.close(found.length === 0)
      return
    }
    this.#adopted.push(folder)
    const firstOwn = this.#segments.findIndex((segment) => segment.folder === this.#folder)
    this.#segments.splice(firstOwn === -1 ? this.#segments.length : firstOwn, 0, ...found)
    for (const segment of found) {
      this.#bytes += segment.bytes
      for (const kind of RECORD_KINDS) {
        this.#held[kind] += segment.items[kind]
        onRecovered(kind, segment.items[kind])
      }
    }
    logger.info({ folder: path, segments: found.length }, 'taking over the spool of a process that is gone')
  }

  async #segmentsOf(folder: SpoolFolder): Promise<Segment[]> {
    const found: Segment[] = []
    for await (const segment of folder.segments(this.#faults.of(folder.path))) {
      if (segment.records > 0) found.push(segment)
      else await folder.remove(segment)
    }
    return found
  }

  async #makeRoom(bytes: number): Promise<void> {
    while (this.#bytes + bytes > this.#options.maxBytes && this.#segments.length > 0) {
      const oldest = this.#segments[0]!
      oldest.isDropped = true
      for (const kind of RECORD_KINDS) {
        // What is in memory, too, is dropped from there, unless Kafka has it by then.
        const inMemory = oldest.held[kind] - oldest.items[kind]
        this.#held[kind] -= inMemory
        this.#orphans[kind] += inMemory
        if (oldest.items[kind] > 0) this.#lose(kind, oldest.items[kind], 'spool_full')
      }
      await this.#remove(oldest)
    }
  }

  #lose(kind: RecordKind, items: number, reason: 'spool_full' | 'spool_damaged'): void {
    this.#held[kind] -= items
    this.#options.onLost(kind, items, reason)
  }

  #retire(segment: Segment): void {
    const removal = this.#remove(segment).finally(() => this.#removals.delete(removal))
    this.#removals.add(removal)
  }

  async #remove(segment: Segment): Promise<void> {
    this.#segments = this.#segments.filter((one) => one !== segment)
    this.#bytes -= segment.bytes
    const { folder } = segment
    try {
      await folder.remove(segment)
      if (!this.#adopted.includes(folder) || this.#segments.some((one) => one.folder === folder)) return
      this.#adopted = this.#adopted.filter((one) => one !== folder)
      await folder.close(true)
    } catch (error) {
      this.#warn('a segment of the spool cannot be removed: it may be sent again', segment, error)
    }
  }

  #warn(message: string, segment: Segment, error: unknown): void {
    this.#options.logger.warn(
      { folder: segment.folder.path, segment: segment.name, cause: String(error) },
      message,
    )
  }
}
