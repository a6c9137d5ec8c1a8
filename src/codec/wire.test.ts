import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BODY_START, frame, readFrame } from './wire.ts'

test('a framed value carries its schema id and its bytes', () => {
  for (const id of [0, 1, 0x01020304, 0xffffffff]) {
    const framed = frame(id, Buffer.from('body'))
    assert.equal(readFrame(framed), id)
    assert.equal(framed.subarray(BODY_START).toString(), 'body')
  }
  assert.deepEqual([...frame(258, new Uint8Array())], [0, 0, 0, 1, 2])
})

test('bytes that are not framed are refused with the record code', () => {
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(4), Buffer.from([1, 0, 0, 0, 1, 2])]) {
    assert.throws(() => readFrame(bytes), { code: 'SIDEREAL_RECORD_INVALID' })
  }
  for (const id of [-1, 1.5, 2 ** 32]) {
    assert.throws(() => frame(id, new Uint8Array()), { code: 'SIDEREAL_RECORD_INVALID' })
  }
})
