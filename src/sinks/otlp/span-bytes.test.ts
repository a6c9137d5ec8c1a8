import assert from 'node:assert/strict'
import { isUtf8 } from 'node:buffer'
import { test } from 'node:test'
import fc from 'fast-check'
import protobuf from 'protobufjs'
import { OtlpTraceMessages } from '../../codec/otlp-trace-messages.ts'
import { isSiderealError } from '../../model/errors.ts'
import type { Fragment, FragmentRecord } from '../../model/fragment.ts'
import { NO_DAY } from '../../model/time.ts'
import { TEST_START_NS, testBatch, testSpan } from '../fragments.testing.ts'
import {
  anyDamaged,
  anyPlainBatch,
  anyRecords,
  anyTestWriter,
  plainRecord,
  TEST_WRITERS,
} from '../span-records.testing.ts'
import { exportRequests } from './export-requests.ts'
import { ProtoWriter } from './proto-writer.ts'
import { RequestMemory } from './request-memory.ts'
import { SpanBytes } from './span-bytes.ts'

const messages = new OtlpTraceMessages()
const encoder = new SpanBytes((id) => TEST_WRITERS[id]?.type)
const writer = new ProtoWriter()
const LIMITS = { maxBytes: 3_500_000, maxSpans: 1_000 }

/** What a receiver reads of each request. */
function received(
  records: readonly FragmentRecord[],
  bytes: SpanBytes | undefined,
  limits = LIMITS,
): unknown[] {
  const fragment: Fragment = {
    sid: 'sid',
    reason: 'complete',
    records,
    facts: [],
    byteLength: 0,
    rowCount: 0,
  }
  return [...exportRequests([fragment], { bytes, writer, memory: new RequestMemory() }, limits)].map(
    (request) => ({
      spanCount: request.spanCount,
      read: messages.decodeRequest(request.bytes),
    }),
  )
}

test('what a receiver reads of a record is the same from its bytes and from objects, for every writer schema', () => {
  let fedByBytes = 0
  fc.assert(
    fc.property(anyRecords, (parts) => {
      const records = parts.map(({ writer: place, batch }, offset) =>
        plainRecord(TEST_WRITERS[place]!, TEST_WRITERS[place]!.encode(batch), offset),
      )
      fedByBytes += records.filter((record) => encoder.encode(record) !== undefined).length
      assert.deepEqual(received(records, encoder), received(records, undefined))
    }),
    { numRuns: 200 },
  )
  assert.ok(fedByBytes > 60, `only ${fedByBytes} records went by bytes`)
})

test('whatever fields a writer lacks, adds and orders, a receiver reads the same from its bytes and from objects', () => {
  let fedByBytes = 0
  fc.assert(
    fc.property(anyTestWriter, anyPlainBatch, (testWriter, batch) => {
      const own = new SpanBytes(() => testWriter.type)
      const record = plainRecord(testWriter, testWriter.encode(batch), 0)
      if (own.encode(record) !== undefined) fedByBytes += 1
      assert.deepEqual(received([record], own), received([record], undefined))
    }),
    { numRuns: 40 },
  )
  // A writer whose spans stand before their identity goes by objects.
  assert.ok(fedByBytes > 4, `only ${fedByBytes} records went by bytes`)
})

test('a damaged record is refused at intake, or a receiver reads the same from its bytes and from objects', () => {
  let refused = 0
  let fedByBytes = 0
  fc.assert(
    fc.property(anyDamaged, ({ writer: testWriter, bytes }) => {
      let damaged: FragmentRecord
      try {
        damaged = plainRecord(testWriter, bytes, 1)
      } catch (error) {
        assert.ok(isSiderealError(error, 'SIDEREAL_RECORD_INVALID'), String(error))
        refused += 1
        return
      }
      if (encoder.encode(damaged) !== undefined) fedByBytes += 1
      assert.deepEqual(received([damaged], encoder), received([damaged], undefined))
    }),
    { numRuns: 150 },
  )
  assert.ok(refused > 10 && fedByBytes > 10, `${refused} refused, ${fedByBytes} by bytes`)
})

test('whatever bytes lie where text should, a receiver that is strict about UTF-8 reads all of it', (t) => {
  // protobufjs itself replaces what is not UTF-8, and would not notice.
  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  t.mock.method(protobuf.BufferReader.prototype, 'string', function (this: protobuf.Reader) {
    return strict.decode(this.bytes())
  })
  const notText = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0x80, max: 0xff })), {
    minLength: 1,
    maxLength: 3,
  })
  let damagedTexts = 0
  fc.assert(
    fc.property(anyPlainBatch, notText, (batch, places) => {
      const testWriter = TEST_WRITERS[0]!
      const bytes = testWriter.encode(batch)
      for (const [at, byte] of places) bytes[at % bytes.length] = byte
      let record: FragmentRecord
      try {
        record = plainRecord(testWriter, bytes, 0)
      } catch (error) {
        assert.ok(isSiderealError(error, 'SIDEREAL_RECORD_INVALID'), String(error))
        return
      }
      if (!isUtf8(bytes)) damagedTexts += 1
      assert.deepEqual(received([record], encoder), received([record], undefined))
    }),
    { numRuns: 150 },
  )
  assert.ok(damagedTexts > 15, `only ${damagedTexts} records had bytes that are no text`)
})

test('text that is not UTF-8 never reaches a receiver', () => {
  const testWriter = TEST_WRITERS[0]!
  for (const filler of ['', 'x'.repeat(30), 'y'.repeat(90), '日'.repeat(30)]) {
    const text = `${filler}#${filler}`
    const attributes = [
      { key: text, value: text },
      { key: 'list', value: [text] },
    ]
    const batch = testBatch({
      appId: text,
      uid: text,
      chatId: text,
      resource: { attributes, droppedAttributesCount: 0, schemaUrl: text, entityRefs: [] },
      scope: { name: text, version: text, attributes, droppedAttributesCount: 0, schemaUrl: text },
      spans: [
        testSpan({
          name: text,
          statusMessage: text,
          traceState: text,
          attributes,
          events: [{ timeNs: TEST_START_NS, name: text, attributes, droppedAttributesCount: 0 }],
        }),
      ],
    })
    const bytes = testWriter.encode(batch)
    for (let at = bytes.indexOf('#'); at >= 0; at = bytes.indexOf('#', at)) bytes[at] = 0xc3
    const record = plainRecord(testWriter, bytes, 0)
    assert.notEqual(record.day, NO_DAY)
    const length = encoder.encode(record)
    assert.ok(length !== undefined)
    const sent = Buffer.alloc(length)
    encoder.copyTo(sent, 0)
    // protobufjs reads strings with a replacement character where they are not UTF-8, so the bytes themselves are looked at.
    assert.equal(sent.includes(Buffer.from([0xc3, 0x23])), false)
    assert.deepEqual(received([record], encoder), received([record], undefined))
    const strict = new TextDecoder('utf-8', { fatal: true })
    const replaced = Buffer.from(text.replace('#', '�'), 'utf8')
    const at = sent.indexOf(replaced)
    assert.ok(at >= 0)
    assert.doesNotThrow(() => strict.decode(sent.subarray(at, at + replaced.length)))
  }
})

test('a record over the limits of a request is split by spans', () => {
  const testWriter = TEST_WRITERS[0]!
  const spans = Array.from({ length: 9 }, (_, place) =>
    testSpan({ name: `span ${place}`, attributes: [{ key: 'a', value: 'x'.repeat(400) }] }),
  )
  const record = plainRecord(testWriter, testWriter.encode(testBatch({ spans })), 0)
  for (const limits of [
    { maxBytes: 3_500_000, maxSpans: 4 },
    { maxBytes: 1_500, maxSpans: 1_000 },
  ]) {
    const requests = received([record], encoder, limits)
    assert.ok(requests.length > 1)
    assert.deepEqual(requests, received([record], undefined, limits))
  }
})
