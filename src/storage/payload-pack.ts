import type { Clock } from '../model/clock.ts'
import { SiderealError } from '../model/errors.ts'
import { giveBack } from '../model/give-back.ts'
import type { PayloadReference } from '../model/payload-reference.ts'
import type { ObjectStore } from './object-store.ts'
import { sha256Of } from './payload-hash.ts'
import { decodePayload, encodePayload, type PayloadOwner } from './payload-pack-format.ts'
import { Pack } from './payload-pack-open.ts'
import { PREVIEW_BYTES } from './payload-preview.ts'
import { Slots } from './payload-slots.ts'
import { createWaiter, gone, type Waiter } from './payload-waiter.ts'
import { ZstdFrames } from './zstd-frames.ts'

/** What a packer tells about its work; each call is cheap and must not throw. */
export interface PayloadPackerObserver {
  /** A pack is durable. `bytes` are those of the object, `durationMs` from its first attempt. */
  stored?(pack: { bytes: number; payloads: number; attempts: number; durationMs: number }): void
  /** An attempt to store a pack failed. It is repeated, also when the error is not retryable: somebody may mend the cause. */
  uploadFailed?(error: unknown, attempt: number): void
}

export interface PayloadPackerOptions {
  store: ObjectStore
  clock: Clock
  /** Between 0 and 1, for the jitter of retries. Default `Math.random`. */
  random?: () => number
  observer?: PayloadPackerObserver
  /** A pack is closed at this many stored bytes (default 8 MiB) or this long after its first payload (default 1 s). */
  packBytes?: number
  lingerMs?: number
  previewBytes?: number
  /** Packs that are uploaded at a time. Default 4. */
  uploads?: number
  /** Values that are compressed at a time, each on a thread of the pool. Default 2. */
  compressions?: number
  /** Longest pause between two attempts. Default 15 s. */
  maxBackoffMs?: number
}

const FIRST_BACKOFF_MS = 250
/** Index and footer grow with each payload; this many are enough for any pack of values over 5 KB that compress well. */
const MAX_PAYLOADS = 10_000
/** A pack takes no more values once those that still wait for compression could make it this many times too large. */
const OVERSHOOT = 4

/** A record is at most 8 MiB; what claims much more is no payload of ours, and must not take our memory. */
const MAX_PAYLOAD_BYTES = 256 * 1024 * 1024

/**
 * Puts payloads of many fragments into few objects, so that a thousand payloads cost one PUT.
 *
 * The packer owns the bytes from `add` on: it stores them however long that takes (backoff with jitter), or until everybody who waits
 * for them has aborted. Memory is the caller's to bound, by `heldBytes`: stop calling `add` while that is too much.
 */
export class PayloadPacker {
  readonly #options: Required<Omit<PayloadPackerOptions, 'observer'>>
  readonly #observer: PayloadPackerObserver
  readonly #packs = new Set<Pack>()
  readonly #compressions: Slots
  /** Compressors that nobody uses now. */
  readonly #compressors: ZstdFrames[] = []
  readonly #uploads: Slots
  #open: Pack | undefined
  readonly #hashing = new Set<Promise<unknown>>()
  #hashingBytes = 0
  #isClosed = false
  #isAborted = false

  constructor(options: PayloadPackerOptions) {
    this.#options = {
      random: Math.random,
      packBytes: 8 * 1024 * 1024,
      lingerMs: 1_000,
      previewBytes: PREVIEW_BYTES,
      uploads: 4,
      compressions: 2,
      maxBackoffMs: 15_000,
      ...options,
    }
    this.#observer = options.observer ?? {}
    this.#compressions = new Slots(this.#options.compressions)
    this.#uploads = new Slots(this.#options.uploads)
  }

  /** Bytes of values and packs that are not stored yet. */
  get heldBytes(): number {
    let sum = this.#hashingBytes
    for (const pack of this.#packs) sum += pack.heldBytes
    return sum
  }

  /** Packs that are not stored yet. */
  get packCount(): number {
    return this.#packs.size
  }

  /**
   * Takes a value over (UTF-8): its memory is given back once it is compressed, so nobody else may use it. Resolves when the pack that holds it
   * is durable. Equal values are stored once a pack. Rejects only when `signal` aborts or the packer is aborted: with a retryable `SIDEREAL_OBJECT_STORE_UNAVAILABLE`.
   */
  add(value: Buffer, owner: PayloadOwner, signal?: AbortSignal): Promise<PayloadReference> {
    if (this.#isClosed) return Promise.reject(gone('the packer is closed'))
    const hashed = sha256Of(value)
    this.#hashing.add(hashed)
    this.#hashingBytes += value.length
    // No async function, whose frame would hold the value for as long as the store is away.
    return hashed.then((sha256) => {
      this.#hashing.delete(hashed)
      this.#hashingBytes -= value.length
      return this.#enter(value, sha256, owner, signal)
    })
  }

  /** Stores what was added so far, without waiting for the time to run out. Resolves when it is stored (or dropped). */
  async flush(): Promise<void> {
    while (this.#hashing.size > 0) await Promise.all(this.#hashing)
    if (this.#open !== undefined) this.#seal(this.#open)
    await Promise.all([...this.#packs].map((pack) => pack.settled))
  }

  /** Takes nothing more and stores the rest, however long that takes: `abort` ends the wait. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.flush()
  }

  /** Gives up all that is not stored: every open `add` rejects, every byte is freed. */
  abort(reason: unknown): void {
    this.#isClosed = true
    this.#isAborted = true
    for (const pack of this.#packs) this.#drop(pack, gone('the packer was aborted', reason))
  }

  #enter(
    value: Buffer,
    sha256: string,
    owner: PayloadOwner,
    signal?: AbortSignal,
  ): Promise<PayloadReference> {
    if (this.#isAborted || signal?.aborted === true) throw gone('aborted', signal?.reason)
    const { promise, waiter } = createWaiter(signal)
    const pack = this.#openPack()
    waiter.abandoned = () => this.#abandon(pack, waiter)
    const isNew = pack.add(value, sha256, owner, waiter)
    if (pack.payloadCount >= MAX_PAYLOADS || pack.maxBytes >= OVERSHOOT * this.#options.packBytes)
      this.#seal(pack)
    if (isNew) void this.#compress(pack, value, sha256)
    else giveBackWhole(value)
    return promise
  }

  #openPack(): Pack {
    if (this.#open !== undefined) return this.#open
    const pack = new Pack(this.#options.previewBytes)
    pack.lingerTimer = this.#options.clock.setTimer(() => this.#seal(pack), this.#options.lingerMs)
    this.#packs.add(pack)
    this.#open = pack
    return pack
  }

  async #compress(pack: Pack, value: Buffer, sha256: string): Promise<void> {
    await this.#compressions.run(async () => {
      if (pack.isDropped) return
      const compressor = this.#compressors.pop() ?? new ZstdFrames()
      try {
        const { bytes, encoding } = await encodePayload(value, compressor)
        pack.append(sha256, bytes, encoding)
        if (bytes !== value) giveBackWhole(value)
      } catch (error) {
        // Out of memory for a compressor: the value is as good uncompressed.
        this.#observer.uploadFailed?.(error, 0)
        pack.append(sha256, value, 'identity')
      } finally {
        this.#compressors.push(compressor)
      }
    })
    if (pack.storedBytes >= this.#options.packBytes) this.#seal(pack)
    this.#uploadIfReady(pack)
  }

  #seal(pack: Pack): void {
    if (this.#open !== pack) return
    this.#open = undefined
    pack.lingerTimer?.cancel()
    this.#uploadIfReady(pack)
  }

  #uploadIfReady(pack: Pack): void {
    if (this.#open === pack || pack.isDropped || pack.isUploading || !pack.isWhole) return
    pack.isUploading = true
    void this.#uploads.run(() => this.#upload(pack))
  }

  async #upload(pack: Pack): Promise<void> {
    const { clock, store } = this.#options
    const signal = pack.aborted
    for (let attempt = 1, startMs = clock.monotonicMs(); !pack.isDropped; attempt += 1) {
      try {
        const { key, body, sha256 } = await pack.finish(clock.nowMs())
        await store.put(key, body, { sha256, signal })
        const durationMs = clock.monotonicMs() - startMs
        this.#packs.delete(pack)
        this.#observer.stored?.({
          bytes: body.length,
          payloads: pack.payloadCount,
          attempts: attempt,
          durationMs,
        })
        pack.resolve(key)
      } catch (error) {
        if (pack.isDropped) return
        this.#observer.uploadFailed?.(error, attempt)
        await this.#pause(attempt, signal)
        continue
      }
      return
    }
  }

  async #pause(attempt: number, signal: AbortSignal): Promise<void> {
    const { clock, random, maxBackoffMs } = this.#options
    const limit = Math.min(maxBackoffMs, FIRST_BACKOFF_MS * 2 ** Math.min(attempt - 1, 20))
    await new Promise<void>((resolve) => {
      const timer = clock.setTimer(resolve, limit * (0.5 + random() / 2))
      const onAbort = (): void => {
        timer.cancel()
        resolve()
      }
      if (signal.aborted) onAbort()
      else signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  #abandon(pack: Pack, waiter: Waiter): void {
    if (pack.abandon(waiter) === 0) this.#drop(pack, gone('nobody waits for it'))
  }

  #drop(pack: Pack, error: SiderealError): void {
    if (this.#open === pack) this.#open = undefined
    this.#packs.delete(pack)
    pack.drop(error)
  }
}

/** Thousands of values would be left to the garbage collector, which comes the more often for memory off its heap. A small one lies in Node's own pool. */
function giveBackWhole(value: Buffer): void {
  if (value.buffer.byteLength === value.length) giveBack(value)
}

/**
 * The value that a reference stands for, in UTF-8, by one range GET. Its sha256 is verified.
 *
 * Rejects with `SIDEREAL_PAYLOAD_NOT_FOUND` (the pack is gone, or the value was cut and never stored), `SIDEREAL_PAYLOAD_CORRUPT`
 * (the bytes are not what the reference says), or an error of the store (`SIDEREAL_OBJECT_STORE_*`).
 */
export async function readPayload(
  store: ObjectStore,
  reference: PayloadReference,
  signal?: AbortSignal,
): Promise<Buffer> {
  const { key, offset, length, size, encoding } = reference
  if (key === null) {
    throw new SiderealError(
      'SIDEREAL_PAYLOAD_NOT_FOUND',
      'This value was cut by its producer and is stored nowhere: only its size, hash and beginning are left. Give producers an object store.',
    )
  }
  const corrupt = (what: string, cause?: unknown): SiderealError =>
    new SiderealError(
      'SIDEREAL_PAYLOAD_CORRUPT',
      `The payload at ${key} in ${store.url} is not what its reference says: ${what}. Copy the reference whole; if it is, the object has changed.`,
      { cause },
    )
  if (Math.max(length, size) > MAX_PAYLOAD_BYTES) throw corrupt('its size is impossible')
  const stored = await store.getRange(key, offset, length, signal)
  let value: Buffer
  try {
    value = await decodePayload(stored, encoding, size)
  } catch (error) {
    throw corrupt('it cannot be decompressed', error)
  }
  if (value.length !== size) throw corrupt(`it has ${value.length} bytes instead of ${size}`)
  if ((await sha256Of(value)) !== reference.sha256) throw corrupt('its sha256 differs')
  return value
}
