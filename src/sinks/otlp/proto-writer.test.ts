import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import protobuf from 'protobufjs'
import { ProtoWriter } from './proto-writer.ts'

test('each kind of field is written as protobufjs writes it', () => {
  const int64 = fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n)
  const writer = new ProtoWriter(1)
  fc.assert(
    fc.property(
      fc.record({
        text: fc.oneof(fc.string({ unit: 'binary', maxLength: 200 }), fc.string({ maxLength: 40 })),
        bytes: fc.uint8Array({ maxLength: 300 }),
        uint32: fc.nat(0xffffffff),
        int32: fc.integer(),
        int64: fc.oneof(int64, fc.constantFrom(0n, -1n, 2n ** 32n, 2n ** 63n - 1n, -(2n ** 63n))),
        double: fc.double(),
        fixed32: fc.nat(0xffffffff),
        bool: fc.boolean(),
      }),
      (value) => {
        const expected = protobuf.Writer.create()
        expected.uint32(10).string(value.text)
        expected.uint32((600 << 3) | 2).bytes(value.bytes)
        expected.uint32(24).uint32(value.uint32)
        expected.uint32(32).int32(value.int32)
        expected.uint32(40).int64(String(value.int64))
        expected.uint32(49).double(value.double)
        expected.uint32(61).fixed32(value.fixed32)
        expected.uint32(64).bool(value.bool)
        expected.uint32(74).fork().uint32(10).string(value.text).ldelim()

        const mark = writer.size
        writer.string(1, value.text)
        writer.endMessage(9, mark)
        writer.bool(8, value.bool)
        writer.fixed32(7, value.fixed32)
        writer.double(6, value.double)
        writer.int64(5, value.int64)
        writer.int32(4, value.int32)
        writer.uint32(3, value.uint32)
        writer.bytes(600, value.bytes)
        writer.string(1, value.text)
        assert.deepEqual(writer.take(), Buffer.from(expected.finish()))
      },
    ),
    { numRuns: 1_000 },
  )
})
