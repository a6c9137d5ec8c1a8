import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { describe, test } from 'node:test'
import { type ErrorCode, isSiderealError } from '../model/errors.ts'
import type { ObjectStore } from './object-store.ts'

export interface ObjectStoreFixture {
  /** A store whose bucket is there and empty. Called once. */
  open(): Promise<ObjectStore>
  /** A store whose bucket (or directory) does not exist. */
  openWithoutBucket(): Promise<ObjectStore>
}

/** The promises that every object store keeps. Call it at the top level of a test file. */
export function testObjectStoreContract(name: string, fixture: ObjectStoreFixture): void {
  let opened: Promise<ObjectStore> | undefined
  const open = (): Promise<ObjectStore> => {
    opened ??= fixture.open()
    return opened
  }

  describe(`object store contract: ${name}`, () => {
    test('any range of what was put comes back', async () => {
      const store = await open()
      const body = randomBytes(10_000)
      await store.put('ranges/a', body)
      assert.equal(await store.size('ranges/a'), body.length)
      for (const [offset, length] of [
        [0, 10_000],
        [0, 1],
        [9_999, 1],
        [1_234, 4_321],
        [5, 0],
      ] as const) {
        assert.deepEqual(
          await store.getRange('ranges/a', offset, length),
          body.subarray(offset, offset + length),
        )
      }
    })

    test('an object of 9 MB comes back whole', async () => {
      const store = await open()
      const body = randomBytes(9 * 1024 * 1024)
      await store.put('large', body)
      assert.ok(body.equals(await store.getRange('large', 0, body.length)))
    })

    test('a key may hold blanks, signs and any script', async () => {
      const store = await open()
      for (const key of ['dt=2026-01-02/hour=03/x', 'a b+c%20&d=#?e', '请求/答案', 'q\'"(1)!*~']) {
        await store.put(key, Buffer.from(key))
        assert.equal((await store.getRange(key, 0, Buffer.byteLength(key))).toString(), key)
      }
    })

    test('an object that is there is never overwritten', async () => {
      const store = await open()
      const key = `once/${randomUUID()}`
      await store.put(key, Buffer.from('first'))
      await store.put(key, Buffer.from('later'))
      assert.equal((await store.getRange(key, 0, 5)).toString(), 'first')
    })

    test('writers of the same key at once all succeed, and one whole object is there', async () => {
      const store = await open()
      const key = `race/${randomUUID()}`
      const body = randomBytes(100_000)
      await Promise.all(Array.from({ length: 12 }, () => store.put(key, body)))
      assert.ok(body.equals(await store.getRange(key, 0, body.length)))
    })

    test('an object that is not there: SIDEREAL_PAYLOAD_NOT_FOUND', async () => {
      const store = await open()
      await assert.rejects(store.getRange('absent/a', 0, 1), hasCode('SIDEREAL_PAYLOAD_NOT_FOUND', false))
      await assert.rejects(store.size('absent/a'), hasCode('SIDEREAL_PAYLOAD_NOT_FOUND', false))
    })

    test('a range that ends behind the object: SIDEREAL_PAYLOAD_CORRUPT', async () => {
      const store = await open()
      await store.put('short', Buffer.from('0123456789'))
      await assert.rejects(store.getRange('short', 5, 6), hasCode('SIDEREAL_PAYLOAD_CORRUPT', false))
      await assert.rejects(store.getRange('short', 10, 1), hasCode('SIDEREAL_PAYLOAD_CORRUPT', false))
      await assert.rejects(store.getRange('short', 1e12, 1e12), hasCode('SIDEREAL_PAYLOAD_CORRUPT', false))
    })

    test('a key that leaves the prefix is refused', async () => {
      const store = await open()
      for (const key of [
        '',
        '/',
        '/a',
        'a/',
        'a//b',
        '..',
        '../a',
        'a/../../b',
        './a',
        'a\0b',
        '..\\a',
        'x'.repeat(901),
      ]) {
        await assert.rejects(
          store.put(key, Buffer.from('x')),
          hasCode('SIDEREAL_OBJECT_STORE_REFUSED', false),
          key,
        )
        await assert.rejects(store.getRange(key, 0, 1), hasCode('SIDEREAL_OBJECT_STORE_REFUSED', false), key)
      }
    })

    test('without its bucket it refuses and names the next step; ensureBucket makes it, and may be repeated', async () => {
      const store = await fixture.openWithoutBucket()
      const says = (error: unknown): boolean =>
        isSiderealError(error, 'SIDEREAL_OBJECT_STORE_REFUSED') && /sidereal setup/.test(error.message)
      await assert.rejects(store.probe(), says)
      await store.ensureBucket()
      await store.ensureBucket()
      await store.probe()
      await store.put('a', Buffer.from('a'))
      assert.equal((await store.getRange('a', 0, 1)).toString(), 'a')
      await store.close()
    })

    test('a probe of a good store succeeds, again and again', async () => {
      const store = await open()
      await store.probe()
      await store.probe()
    })

    test('a call whose signal is aborted rejects, retryable', async () => {
      const store = await open()
      const signal = AbortSignal.abort(new Error('partition lost'))
      await assert.rejects(
        store.put('aborted', Buffer.from('x'), { signal }),
        hasCode('SIDEREAL_OBJECT_STORE_UNAVAILABLE', true),
      )
      await assert.rejects(store.size('aborted'), hasCode('SIDEREAL_PAYLOAD_NOT_FOUND', false))
    })

    test('closes', async () => {
      await (await open()).close()
    })
  })
}

/** For `assert.rejects`: the code and whether a later attempt may succeed. */
export function hasCode(code: ErrorCode, isRetryable: boolean): (error: unknown) => true {
  return (error) => {
    assert.ok(isSiderealError(error), String(error))
    assert.deepEqual([error.code, error.retryable], [code, isRetryable], error.message)
    return true
  }
}
