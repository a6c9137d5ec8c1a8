import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { type Clock, systemClock } from '../model/clock.ts'
import { SiderealError } from '../model/errors.ts'
import { PayloadReference } from '../model/payload-reference.ts'
import { type ObjectStore, openObjectStore, type PutOptions } from './object-store.ts'
import { hasCode } from './object-store-contract.testing.ts'
import { PayloadPacker, type PayloadPackerOptions, readPayload } from './payload-pack.ts'
import { readPackIndex } from './payload-pack-format.ts'

let root = ''
let stores = 0
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'sidereal-pack-'))
})
after(() => rm(root, { recursive: true, force: true }))

const NOW_MS = Date.UTC(2026, 10, 23, 4, 59)
const ALICE = { sid: 'spf00bc0000@hf1', appId: 'alice' }
const BOB = { sid: '会话 2', appId: '' }

/** A clock whose timers fire only when the test says so. */
class StillClock implements Clock {
  #timers = new Set<() => void>()
  nowMs(): number {
    return NOW_MS
  }
  monotonicMs(): number {
    return 0
  }
  setTimer(callback: () => void): { cancel(): void } {
    this.#timers.add(callback)
    return { cancel: () => this.#timers.delete(callback) }
  }
  fire(): void {
    const timers = [...this.#timers]
    this.#timers.clear()
    for (const callback of timers) callback()
  }
}

async function openStore(): Promise<{ store: ObjectStore; folder: string }> {
  stores += 1
  const folder = join(root, String(stores))
  const store = openObjectStore(pathToFileURL(folder).href)
  await store.ensureBucket()
  return { store, folder }
}

function createPacker(store: ObjectStore, changes: Partial<PayloadPackerOptions> = {}): PayloadPacker {
  return new PayloadPacker({ store, clock: new StillClock(), ...changes })
}

const text = (length: number, seed = 'x'): Buffer => Buffer.from(`${seed} `.repeat(length).slice(0, length))

/** A store that fails its next writes, and remembers the keys that it was asked for. */
function failing(store: ObjectStore, failures: SiderealError[]): ObjectStore & { keys: string[] } {
  const keys: string[] = []
  return {
    url: store.url,
    keys,
    ensureBucket: () => store.ensureBucket(),
    probe: () => store.probe(),
    async put(key: string, body: Buffer, options?: PutOptions) {
      keys.push(key)
      const failure = failures.shift()
      if (failure !== undefined) throw failure
      await store.put(key, body, options)
    },
    getRange: (...args) => store.getRange(...args),
    size: (...args) => store.size(...args),
    presign: (...args) => store.presign(...args),
    lifecycleDays: (...args) => store.lifecycleDays(...args),
    close: () => store.close(),
  }
}

test('a thousand payloads of many requests take one object, and each comes back', async () => {
  const { store, folder } = await openStore()
  const packer = createPacker(store)
  const values = Array.from({ length: 1_000 }, (_, index) => text(6_000, `值 ${index}`))
  const added = values.map((value, index) =>
    packer.add(Buffer.from(value), { sid: `sid-${index % 40}`, appId: 'app' }),
  )
  await Promise.all([Promise.all(added), packer.flush()])
  const references = await Promise.all(added)
  assert.deepEqual(await readdir(join(folder, 'payloads/dt=2026-11-23/hour=04')), [
    references[0]?.key?.slice(-64) ?? '',
  ])
  for (const [index, reference] of references.entries()) {
    assert.ok((await readPayload(store, reference)).equals(values[index]!))
  }
})

test('a reference says size, hash and beginning of the value, and where its bytes are', async () => {
  const { store } = await openStore()
  const packer = createPacker(store)
  const value = text(5_121, 'prompt')
  const [reference] = await Promise.all([packer.add(Buffer.from(value), ALICE), packer.flush()])
  const { key, offset, length, ...rest } = reference
  assert.deepEqual(rest, {
    size: 5_121,
    sha256: createHash('sha256').update(value).digest('hex'),
    encoding: 'zstd',
    preview: value.toString('utf8', 0, 256),
  })
  assert.match(key ?? '', /^payloads\/dt=2026-11-23\/hour=04\/[0-9a-f]{64}$/)
  assert.ok(offset === 0 && length > 0 && length < 5_121)
})

test('the key of a pack is the hash of its bytes', async () => {
  const { store, folder } = await openStore()
  const packer = createPacker(store)
  const [reference] = await Promise.all([packer.add(text(9_000), ALICE), packer.flush()])
  const bytes = await readFile(join(folder, reference.key ?? ''))
  assert.equal(createHash('sha256').update(bytes).digest('hex'), reference.key?.slice(-64))
})

test('what cannot be compressed is stored as it is', async () => {
  const { store } = await openStore()
  const packer = createPacker(store)
  const value = randomBytes(7_000)
  const [reference] = await Promise.all([packer.add(Buffer.from(value), ALICE), packer.flush()])
  assert.deepEqual([reference.encoding, reference.length], ['identity', 7_000])
  assert.ok((await readPayload(store, reference)).equals(value))
})

test('equal payloads are stored once a pack, and the index names everybody they belong to', async () => {
  const { store } = await openStore()
  const packer = createPacker(store)
  const value = text(8_000)
  const [first, second, third, other] = await Promise.all([
    packer.add(Buffer.from(value), ALICE),
    packer.add(Buffer.from(value), BOB),
    packer.add(Buffer.from(value), ALICE),
    packer.add(text(8_001), BOB),
    packer.flush(),
  ])
  assert.deepEqual(second, first)
  assert.deepEqual(third, first)
  const index = await readPackIndex(store, first.key ?? '')
  assert.deepEqual(
    index.map(({ size, owners }) => ({ size, owners })).sort((a, b) => a.size - b.size),
    [
      { size: 8_000, owners: [ALICE, BOB] },
      { size: 8_001, owners: [BOB] },
    ],
  )
  assert.notEqual(other.offset, first.offset)
})

test('a pack is closed by its size, without waiting', async () => {
  const { store, folder } = await openStore()
  const packer = createPacker(store, { packBytes: 100_000 })
  await Promise.all(Array.from({ length: 6 }, () => packer.add(randomBytes(100_000), ALICE)))
  assert.ok((await readdir(join(folder, 'payloads/dt=2026-11-23/hour=04'))).length >= 2)
})

test('a pack is closed by its age', async () => {
  const { store } = await openStore()
  const clock = new StillClock()
  const packer = createPacker(store, { clock })
  const added = packer.add(text(6_000), ALICE)
  const isSettled = await Promise.race([added.then(() => true), new Promise((r) => setTimeout(r, 50, false))])
  assert.equal(isSettled, false)
  clock.fire()
  assert.equal((await readPayload(store, await added)).length, 6_000)
})

test('a store that is away, or refuses, is asked again until it takes the pack, under one key', async () => {
  const { store } = await openStore()
  const away = new SiderealError('SIDEREAL_OBJECT_STORE_UNAVAILABLE', 'away', { retryable: true })
  const refused = new SiderealError('SIDEREAL_OBJECT_STORE_REFUSED', 'no right')
  const flaky = failing(store, [away, away, refused])
  const failures: unknown[] = []
  const stored: number[] = []
  const packer = new PayloadPacker({
    store: flaky,
    clock: systemClock,
    random: () => 0,
    maxBackoffMs: 5,
    observer: {
      uploadFailed: (error) => failures.push(error),
      stored: ({ attempts }) => stored.push(attempts),
    },
  })
  const value = text(6_000)
  const [reference] = await Promise.all([packer.add(Buffer.from(value), ALICE), packer.flush()])
  assert.ok((await readPayload(store, reference)).equals(value))
  assert.deepEqual([failures, stored, new Set(flaky.keys).size], [[away, away, refused], [4], 1])
  assert.equal(packer.heldBytes, 0)
})

test('a caller who aborts is released, and bytes for which nobody waits are freed', async () => {
  const { store, folder } = await openStore()
  const packer = createPacker(store)
  const one = new AbortController()
  const two = new AbortController()
  const value = text(50_000)
  const first = packer.add(Buffer.from(value), ALICE, one.signal)
  const second = packer.add(Buffer.from(value), BOB, two.signal)
  assert.ok(packer.heldBytes > 0)
  one.abort(new Error('partition lost'))
  await assert.rejects(first, hasCode('SIDEREAL_OBJECT_STORE_UNAVAILABLE', true))
  assert.ok(packer.heldBytes > 0)
  two.abort()
  await assert.rejects(second, hasCode('SIDEREAL_OBJECT_STORE_UNAVAILABLE', true))
  assert.equal(packer.heldBytes, 0)
  await packer.flush()
  assert.deepEqual(await readdir(folder), [])
})

test('a caller who aborts while its value is being hashed is released', async () => {
  const { store } = await openStore()
  const packer = createPacker(store)
  const controller = new AbortController()
  const added = packer.add(randomBytes(3_000_000), ALICE, controller.signal)
  controller.abort()
  await assert.rejects(added, hasCode('SIDEREAL_OBJECT_STORE_UNAVAILABLE', true))
  assert.equal(packer.heldBytes, 0)
})

test('one caller who aborts takes nothing from the others', async () => {
  const { store } = await openStore()
  const packer = createPacker(store)
  const one = new AbortController()
  const value = text(50_000)
  const first = packer.add(Buffer.from(value), ALICE, one.signal)
  const second = packer.add(Buffer.from(value), BOB)
  one.abort()
  await assert.rejects(first)
  await packer.flush()
  assert.ok((await readPayload(store, await second)).equals(value))
})

test('abort ends a close that waits for a store which does not come back', async () => {
  const { store } = await openStore()
  const away = new SiderealError('SIDEREAL_OBJECT_STORE_UNAVAILABLE', 'away', { retryable: true })
  const packer = createPacker({ ...failing(store, []), put: () => Promise.reject(away) })
  const added = assert.rejects(
    packer.add(text(6_000), ALICE),
    hasCode('SIDEREAL_OBJECT_STORE_UNAVAILABLE', true),
  )
  const closed = packer.close()
  packer.abort(new Error('deadline'))
  await Promise.all([added, closed])
  assert.equal(packer.heldBytes, 0)
  await assert.rejects(packer.add(text(6_000), ALICE), hasCode('SIDEREAL_OBJECT_STORE_UNAVAILABLE', true))
})

test('any changed byte of a stored payload: SIDEREAL_PAYLOAD_CORRUPT', async () => {
  const { store, folder } = await openStore()
  const packer = createPacker(store)
  const [reference] = await Promise.all([packer.add(text(5_500), ALICE), packer.flush()])
  const path = join(folder, reference.key ?? '')
  const good = await readFile(path)
  for (let at = reference.offset; at < reference.offset + reference.length; at += 1) {
    const bad = Buffer.from(good)
    bad[at] = (bad[at] ?? 0) ^ 0x10
    await writeFile(path, bad)
    // A few bits of a zstd frame mean nothing: then the value is intact.
    const read = await readPayload(store, reference).catch((error: unknown) => error)
    if (Buffer.isBuffer(read)) assert.ok(read.equals(text(5_500)), `byte ${at}`)
    else hasCode('SIDEREAL_PAYLOAD_CORRUPT', false)(read)
  }
  await writeFile(path, good)
  assert.equal((await readPayload(store, reference)).length, 5_500)
})

test('a reference that does not fit its payload: SIDEREAL_PAYLOAD_CORRUPT', async () => {
  const { store } = await openStore()
  const packer = createPacker(store)
  const [reference] = await Promise.all([packer.add(text(5_500), ALICE), packer.flush()])
  for (const change of [
    { size: 5_499 },
    { size: 5_501 },
    { size: 2 ** 40 },
    { offset: 1 },
    { length: reference.length - 1 },
    { length: 2 ** 40 },
    { encoding: 'identity' as const },
    { sha256: '0'.repeat(64) },
  ]) {
    const wrong = new PayloadReference({ ...reference, ...change })
    await assert.rejects(
      readPayload(store, wrong),
      hasCode('SIDEREAL_PAYLOAD_CORRUPT', false),
      JSON.stringify(change),
    )
  }
})

test('a value that was cut, or whose pack is gone: SIDEREAL_PAYLOAD_NOT_FOUND', async () => {
  const { store, folder } = await openStore()
  const packer = createPacker(store)
  const [reference] = await Promise.all([packer.add(text(5_500), ALICE), packer.flush()])
  const cut = new PayloadReference({ ...reference, key: null })
  await assert.rejects(readPayload(store, cut), hasCode('SIDEREAL_PAYLOAD_NOT_FOUND', false))
  await rm(join(folder, reference.key ?? ''))
  await assert.rejects(readPayload(store, reference), hasCode('SIDEREAL_PAYLOAD_NOT_FOUND', false))
})

test('an object that is no whole pack has no index: SIDEREAL_PAYLOAD_CORRUPT', async () => {
  const { store, folder } = await openStore()
  const packer = createPacker(store)
  const [reference] = await Promise.all([packer.add(text(5_500), ALICE), packer.flush()])
  const path = join(folder, reference.key ?? '')
  const good = await readFile(path)
  const changed = Buffer.from(good)
  const inIndex = reference.length + 3
  changed[inIndex] = (changed[inIndex] ?? 0) ^ 1
  for (const bad of [
    Buffer.from('short'),
    good.subarray(0, -1),
    good.subarray(1),
    changed,
    Buffer.alloc(100),
  ]) {
    await writeFile(path, bad)
    await assert.rejects(
      readPackIndex(store, reference.key ?? ''),
      hasCode('SIDEREAL_PAYLOAD_CORRUPT', false),
    )
  }
})
