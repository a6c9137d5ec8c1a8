import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OtlpTraceMessages } from '../../codec/otlp-trace-messages.ts'
import {
  testBatch,
  testFragment,
  testLog,
  testNode,
  testRecord,
  testRecordType,
  testSpan,
  testSpanId,
} from '../fragments.testing.ts'
import { exportRequests } from './export-requests.ts'
import { ProtoWriter } from './proto-writer.ts'
import { RequestMemory } from './request-memory.ts'
import { SpanBytes } from './span-bytes.ts'

class WatchedWriter extends ProtoWriter {
  largest = 0

  override take(): Buffer {
    this.largest = Math.max(this.largest, this.size)
    return super.take()
  }
}

class WatchedBytes extends SpanBytes {
  largest = 0

  override encode(...parameters: Parameters<SpanBytes['encode']>): number | undefined {
    const length = super.encode(...parameters)
    this.largest = Math.max(this.largest, length ?? 0)
    return length
  }
}

test('a chat id of many kilobytes, which each span says again, never fills more memory than a few requests have', () => {
  const chatId = 'c'.repeat(20 * 1024)
  const limits = { maxBytes: 256 * 1024, maxSpans: 1_000 }
  const spans = Array.from({ length: 500 }, (_, place) => testSpan({ spanId: testSpanId(place) }))
  const trace = Array.from({ length: 500 }, () => testNode())
  const fragment = testFragment([
    testRecord(testBatch({ chatId, spans })),
    testRecord(testLog({ chatId, trace }), { offset: 1 }),
    testRecord(testBatch(), { offset: 2 }),
  ])
  const writer = new WatchedWriter()
  const bytes = new WatchedBytes(testRecordType)
  let spanCount = 0
  const memory = new RequestMemory()
  for (const request of exportRequests([fragment], { writer, bytes, memory }, limits)) {
    const { length } = request.bytes
    assert.ok(length <= limits.maxBytes, `${length} bytes in a request`)
    spanCount += request.spanCount
    memory.give(request.bytes)
  }
  // A log is a span of its own beside those of its nodes.
  assert.equal(spanCount, 500 + 501 + 1)
  const largest = Math.max(writer.largest, bytes.largest)
  assert.ok(largest > 0 && largest < 6 * limits.maxBytes, `${largest} bytes at a time`)
})

test('requests of two writes that are made by turns hold what each has, in memory that is used again', () => {
  const limits = { maxBytes: 1024 * 1024, maxSpans: 10 }
  const memory = new RequestMemory()
  const encoders = { bytes: new SpanBytes(testRecordType), writer: new ProtoWriter(), memory }
  const fragmentOf = (write: number) =>
    testFragment(
      Array.from({ length: 40 }, (_, offset) => {
        const spans = Array.from({ length: 3 }, (_unused, place) =>
          testSpan({ spanId: testSpanId(write * 1_000 + offset * 3 + place), name: `of write ${write}` }),
        )
        return testRecord(testBatch({ spans }), { offset })
      }),
    )
  const messages = new OtlpTraceMessages()
  const found = [0, 1].map(() => new Set<string>())
  const writes = [0, 1].map((write) => exportRequests([fragmentOf(write)], encoders, limits))
  for (let isOver = false; !isOver; ) {
    isOver = true
    for (const [write, requests] of writes.entries()) {
      const { value } = requests.next()
      if (value === undefined) continue
      isOver = false
      const spans = messages
        .decodeRequest(value.bytes)
        .resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans))
      assert.equal(spans.length, value.spanCount)
      for (const { spanId, name } of spans) {
        assert.equal(name, `of write ${write}`)
        found[write]!.add(Buffer.from(spanId).toString('hex'))
      }
      memory.give(value.bytes)
    }
  }
  assert.deepEqual(
    found.map((ids) => ids.size),
    [120, 120],
  )
})
