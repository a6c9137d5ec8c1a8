import { createHash } from 'node:crypto'
import type { Timer } from '../model/clock.ts'
import { PayloadReference } from '../model/payload-reference.ts'
import { encodePackTail, type PackedPayload, type PayloadOwner } from './payload-pack-format.ts'
import { previewOf } from './payload-preview.ts'
import type { Waiter } from './payload-waiter.ts'

interface Entry {
  readonly size: number
  readonly sha256: string
  readonly preview: string
  readonly owners: Map<string, PayloadOwner>
  readonly waiters: Set<Waiter>
  offset: number
  length: number
  encoding: 'zstd' | 'identity'
}

interface FinishedPack {
  readonly key: string
  readonly body: Buffer
  readonly sha256: string
}

/** A pack in the making: its bytes, and who waits for them. The packer drives it. */
export class Pack {
  readonly #previewBytes: number
  readonly #entries = new Map<string, Entry>()
  readonly #hash = createHash('sha256')
  readonly #abort = new AbortController()
  readonly #settled: Promise<void>
  #settle: () => void = () => undefined
  #chunks: Buffer[] = []
  #storedBytes = 0
  #waitingBytes = 0
  #waitingCount = 0
  #waiterCount = 0
  #finished: Promise<FinishedPack> | undefined
  isUploading = false
  lingerTimer: Timer | undefined

  constructor(previewBytes: number) {
    this.#previewBytes = previewBytes
    this.#settled = new Promise((resolve) => {
      this.#settle = resolve
    })
  }

  /** Resolves when the pack is stored or dropped. */
  get settled(): Promise<void> {
    return this.#settled
  }

  get aborted(): AbortSignal {
    return this.#abort.signal
  }

  get isDropped(): boolean {
    return this.#abort.signal.aborted
  }

  /** True when no value waits for compression. */
  get isWhole(): boolean {
    return this.#waitingCount === 0
  }

  get payloadCount(): number {
    return this.#entries.size
  }

  get storedBytes(): number {
    return this.#storedBytes
  }

  /** What it would hold if nothing could be compressed. */
  get maxBytes(): number {
    return this.#storedBytes + this.#waitingBytes
  }

  get heldBytes(): number {
    return this.isDropped ? 0 : this.#storedBytes + this.#waitingBytes
  }

  /** Says whether the value is new here, so that its stored bytes have to be appended. */
  add(value: Buffer, sha256: string, owner: PayloadOwner, waiter: Waiter): boolean {
    this.#waiterCount += 1
    const ownerKey = JSON.stringify([owner.sid, owner.appId])
    const known = this.#entries.get(sha256)
    if (known !== undefined) {
      known.owners.set(ownerKey, owner)
      known.waiters.add(waiter)
      return false
    }
    this.#entries.set(sha256, {
      size: value.length,
      sha256,
      preview: previewOf(value, this.#previewBytes),
      owners: new Map([[ownerKey, owner]]),
      waiters: new Set([waiter]),
      offset: 0,
      length: 0,
      encoding: 'identity',
    })
    this.#waitingBytes += value.length
    this.#waitingCount += 1
    return true
  }

  append(sha256: string, bytes: Buffer, encoding: 'zstd' | 'identity'): void {
    const entry = this.#entries.get(sha256)
    if (entry === undefined || this.isDropped) return
    entry.offset = this.#storedBytes
    entry.length = bytes.length
    entry.encoding = encoding
    this.#chunks.push(bytes)
    this.#hash.update(bytes)
    this.#storedBytes += bytes.length
    this.#waitingBytes -= entry.size
    this.#waitingCount -= 1
  }

  /** Key and bytes of the object: made once, so that a repeated upload stores the same object under the same key. */
  finish(nowMs: number): Promise<FinishedPack> {
    this.#finished ??= this.#finish(nowMs).catch((error: unknown) => {
      this.#finished = undefined
      throw error
    })
    return this.#finished
  }

  /** Tells everybody where the payloads are. */
  resolve(key: string): void {
    for (const entry of this.#entries.values()) {
      const { offset, length, size, sha256, encoding, preview } = entry
      const reference = new PayloadReference({ key, offset, length, size, sha256, encoding, preview })
      for (const waiter of entry.waiters) waiter.resolve(reference)
    }
    this.#settle()
  }

  /** Returns how many still wait. */
  abandon(waiter: Waiter): number {
    for (const entry of this.#entries.values()) {
      if (entry.waiters.delete(waiter)) this.#waiterCount -= 1
    }
    return this.#waiterCount
  }

  drop(error: unknown): void {
    this.lingerTimer?.cancel()
    this.#abort.abort(error)
    this.#chunks = []
    this.#finished = undefined
    for (const entry of this.#entries.values()) {
      for (const waiter of entry.waiters) waiter.reject(error)
    }
    this.#settle()
  }

  async #finish(nowMs: number): Promise<FinishedPack> {
    const payloads: PackedPayload[] = [...this.#entries.values()].map((entry) => ({
      offset: entry.offset,
      length: entry.length,
      size: entry.size,
      sha256: entry.sha256,
      encoding: entry.encoding,
      owners: [...entry.owners.values()],
    }))
    const tail = await encodePackTail(payloads, this.#storedBytes)
    const body = Buffer.concat([...this.#chunks, tail])
    // The parts would be a second copy of what the object now holds.
    this.#chunks = []
    const sha256 = this.#hash.update(tail).digest('hex')
    return { key: payloadPackKey(nowMs, sha256), body, sha256 }
  }
}

/**
 * Key of a pack: the day and hour of its upload come first, so that a lifecycle rule, a listing or a copy can go by time;
 * the hash of the whole object comes last, so that a key never stands for two contents.
 */
export function payloadPackKey(nowMs: number, sha256: string): string {
  const time = new Date(nowMs).toISOString()
  return `payloads/dt=${time.slice(0, 10)}/hour=${time.slice(11, 13)}/${sha256}`
}
