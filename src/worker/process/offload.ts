import { isUtf8 } from 'node:buffer'
import {
  type Cut,
  compileLargeValueWalk,
  isValueCut,
  LargeValues,
  type LargeValueWalk,
} from '../../codec/large-values.ts'
import type { RecordType } from '../../codec/record-type.ts'
import { SchemaWalks } from '../../codec/schema-walks.ts'
import { isSiderealError } from '../../model/errors.ts'
import type { Fragment, FragmentRecord } from '../../model/fragment.ts'
import type { PayloadReference } from '../../model/payload-reference.ts'
import type { Logger } from '../../telemetry/logger.ts'
import { ChangedContent, ChangedRecord } from './changed-record.ts'

/** 5 KB of UTF-8: a value of this size stays, one byte more is a payload. */
export const PAYLOAD_LIMIT_BYTES = 5 * 1024

/** What offload needs of the packer (`src/storage/payload-pack.ts`). */
export interface PayloadStorage {
  add(value: Buffer, owner: { sid: string; appId: string }, signal?: AbortSignal): Promise<PayloadReference>
  flush(): Promise<void>
}

export interface OffloadOptions {
  /** Where payloads go; `undefined`: no object store is configured, and values stay where they are. */
  packer: PayloadStorage | undefined
  /** The compiled schema of a record that was consumed. */
  recordTypes: (schemaId: number) => RecordType | undefined
  logger: Logger
  /** Default {@link PAYLOAD_LIMIT_BYTES}. The record types mark records (`hasLargeValue`) by the same limit. */
  limitBytes?: number
}

/** Copying values out of records holds up the event loop; after this many bytes others get their turn. */
const TURN_BYTES = 1024 * 1024

/**
 * Moves large values to object storage, before anything of a fragment is written anywhere else. Values are found in a record's bytes, and the record is
 * written anew with references in their place, so that all that comes after goes by bytes as if nothing had been large.
 */
export class Offload {
  readonly #packer: PayloadStorage | undefined
  readonly #logger: Logger
  readonly #limitBytes: number
  readonly #walks: SchemaWalks<LargeValueWalk>
  readonly #found = new LargeValues()
  readonly #content = new ChangedContent()
  #hasWarned = false

  constructor(options: OffloadOptions) {
    const { packer, recordTypes, logger, limitBytes = PAYLOAD_LIMIT_BYTES } = options
    this.#packer = packer
    this.#logger = logger
    this.#limitBytes = limitBytes
    this.#walks = new SchemaWalks(recordTypes, compileLargeValueWalk, {
      noWalk: (schemaId, record, reason) => {
        logger.warn(
          { schemaId, record, reason },
          'a reference has no place in records of this writer schema: their values stay inline, however large',
        )
      },
    })
  }

  /**
   * Resolves when every payload of the fragments is stored. Gives one fragment for each, in order; those without large values are the same
   * objects. Waits as long as the store is away; rejects only when `signal` aborts, or the packer does.
   */
  async process(fragments: readonly Fragment[], signal?: AbortSignal): Promise<readonly Fragment[]> {
    if (!fragments.some(hasLargeValue)) return fragments
    const packer = this.#packer
    if (packer === undefined) {
      this.#warnOnce()
      return fragments
    }
    const pending: Pending[] = []
    let turnBytes = 0
    for (const fragment of fragments.filter(hasLargeValue)) {
      for (const record of fragment.records.filter((each) => each.hasLargeValue)) {
        const walk = this.#walks.get(record.schemaId)
        if (walk === undefined) continue
        pending.push(this.#store(record, walk, packer, signal))
        turnBytes += record.byteLength
        if (turnBytes < TURN_BYTES) continue
        turnBytes = 0
        await new Promise(setImmediate)
      }
    }
    // The batch is as large as it gets, and waits: so its pack need not wait for more.
    void packer.flush()
    const references = await Promise.all(pending.map(({ stored }) => stored))
    const changes = new Map<FragmentRecord, FragmentRecord>()
    pending.forEach((one, place) => {
      const changed = this.#change(one, references[place]!)
      if (changed !== undefined) changes.set(one.record, changed)
    })
    return fragments.map((fragment) =>
      fragment.records.some((record) => changes.has(record))
        ? { ...fragment, records: fragment.records.map((record) => changes.get(record) ?? record) }
        : fragment,
    )
  }

  /** Gives the large values of a record to the packer, each in memory of its own. */
  #store(
    record: FragmentRecord,
    walk: LargeValueWalk,
    packer: PayloadStorage,
    signal: AbortSignal | undefined,
  ): Pending {
    const { memory, contentStart } = record
    const found = this.#found
    walk.find(memory, contentStart, record.contentEnd, this.#limitBytes, found)
    const text = (at: number, length: number): string =>
      memory.toString('utf8', contentStart + at, contentStart + at + length)
    const owner = { sid: text(found.sidAt, found.sidLength), appId: text(found.appAt, found.appLength) }
    const { cuts } = found
    const values = cuts
      .filter(isValueCut)
      .map(({ textStart, end }) => textOf(memory, contentStart + textStart, contentStart + end))
    const stored = Promise.all(values.map((value) => packer.add(value, owner, signal)))
    // Others get their turn before somebody waits for it; who does is told.
    stored.catch(() => undefined)
    return { record, walk, cuts, stored }
  }

  /** Undefined when its values stay inline after all. */
  #change(
    { record, cuts, walk }: Pending,
    references: readonly PayloadReference[],
  ): FragmentRecord | undefined {
    if (references.length === 0) return undefined
    try {
      return new ChangedRecord(record, cuts, references, walk, this.#content)
    } catch (error) {
      // It would be so at each attempt, and hold all that is behind it.
      if (!isSiderealError(error, 'SIDEREAL_RECORD_INVALID')) throw error
      const { topic, partition, offset, schemaId } = record
      this.#logger.warn(
        { topic, partition, offset, schemaId, reason: error.message },
        'a record takes no payload references: its values stay inline, however large',
      )
      return undefined
    }
  }

  #warnOnce(): void {
    if (this.#hasWarned) return
    this.#hasWarned = true
    this.#logger.warn(
      { limitBytes: this.#limitBytes },
      'values over the payload limit stay inline: set SIDEREAL_OBJECT_STORE to move them to object storage',
    )
  }
}

/** A record whose payloads are being stored. */
interface Pending {
  readonly record: FragmentRecord
  readonly walk: LargeValueWalk
  readonly cuts: readonly Cut[]
  readonly stored: Promise<PayloadReference[]>
}

/** A copy in memory of its own. Bytes that are not UTF-8 become U+FFFD, as wherever a value is read. */
function textOf(memory: Buffer, start: number, end: number): Buffer {
  const bytes = memory.subarray(start, end)
  if (!isUtf8(bytes)) return Buffer.from(bytes.toString('utf8'))
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(copy)
  return copy
}

function hasLargeValue(fragment: Fragment): boolean {
  return fragment.records.some((record) => record.hasLargeValue)
}
