import type { Fragment, FragmentRecord } from '../../model/fragment.ts'
import type { NodeTraceLog } from '../../model/node-trace-log.ts'
import type { PayloadReference } from '../../model/payload-reference.ts'
import type { SpanBatch } from '../../model/span.ts'
import type { Logger } from '../../telemetry/logger.ts'
import { ChangedRecord } from './changed-record.ts'
import { isOver } from './is-over.ts'
import { mapStrings } from './map-strings.ts'

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
  logger: Logger
  /** Default {@link PAYLOAD_LIMIT_BYTES}. The record types mark records (`hasLargeValue`) by the same limit. */
  limitBytes?: number
}

/** Copying values out of records holds up the event loop; after this many bytes others get their turn. */
const TURN_BYTES = 1024 * 1024

/** Moves large values to object storage, before anything of a fragment is written anywhere else. */
export class Offload {
  readonly #packer: PayloadStorage | undefined
  readonly #logger: Logger
  readonly #limitBytes: number
  #hasWarned = false

  constructor(options: OffloadOptions) {
    this.#packer = options.packer
    this.#logger = options.logger
    this.#limitBytes = options.limitBytes ?? PAYLOAD_LIMIT_BYTES
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
    const found: Found[] = []
    let turnBytes = 0
    for (const fragment of fragments.filter(hasLargeValue)) {
      for (const record of fragment.records.filter((each) => each.hasLargeValue)) {
        const payloads = this.#findPayloads(record)
        if (payloads.values.length > 0) found.push(payloads)
        turnBytes += record.byteLength
        if (turnBytes < TURN_BYTES) continue
        turnBytes = 0
        await new Promise(setImmediate)
      }
    }
    const pending = found.map(({ record, values, owner, repeatedBytes }) => ({
      record,
      repeatedBytes,
      stored: Promise.all(values.map((value) => packer.add(value, owner, signal))),
    }))
    // The packer has the values now, and lets go of each once it is compressed.
    found.length = 0
    // The batch is as large as it gets, and waits: so its pack need not wait for more.
    void packer.flush()
    const changes = new Map<FragmentRecord, FragmentRecord>()
    await Promise.all(
      pending.map(async ({ record, repeatedBytes, stored }) => {
        changes.set(record, new ChangedRecord(record, await stored, this.#limitBytes, repeatedBytes))
      }),
    )
    return fragments.map((fragment) =>
      fragment.records.some((record) => changes.has(record))
        ? { ...fragment, records: fragment.records.map((record) => changes.get(record) ?? record) }
        : fragment,
    )
  }

  #findPayloads(record: FragmentRecord): Found {
    const values: Buffer[] = []
    const model = record.decode()
    mapStrings(model, (text) => {
      if (isOver(text, this.#limitBytes)) values.push(Buffer.from(text))
      return text
    })
    // What was not UTF-8 has become longer.
    const repeatedBytes = Math.max(0, record.repeatedBytes - this.#movedRepeatedBytes(model))
    return { record, values, owner: { sid: model.sid, appId: model.appId }, repeatedBytes }
  }

  /** What the rows of the record need not say again when its large values are references. */
  #movedRepeatedBytes(model: SpanBatch | NodeTraceLog): number {
    let bytes = 0
    if (!('spans' in model)) return bytes
    mapStrings({ ...model, spans: [] }, (text) => {
      if (isOver(text, this.#limitBytes)) bytes += Math.max(0, Buffer.byteLength(text) - REFERENCE_BYTES)
      return text
    })
    return bytes
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

/** Preview and reference, about. */
const REFERENCE_BYTES = 512

interface Found {
  readonly record: FragmentRecord
  readonly values: readonly Buffer[]
  readonly owner: { sid: string; appId: string }
  readonly repeatedBytes: number
}

function hasLargeValue(fragment: Fragment): boolean {
  return fragment.records.some((record) => record.hasLargeValue)
}
