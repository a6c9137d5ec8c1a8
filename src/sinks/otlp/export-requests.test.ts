import assert from 'node:assert/strict'
import { test } from 'node:test'
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

  override encode(...parameters: Parameters<SpanBytes['encode']>): Buffer | undefined {
    const bytes = super.encode(...parameters)
    this.largest = Math.max(this.largest, bytes?.length ?? 0)
    return bytes
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
  for (const request of exportRequests([fragment], { writer, bytes }, limits)) {
    assert.ok(request.byteLength <= limits.maxBytes, `${request.byteLength} bytes in a request`)
    spanCount += request.spanCount
  }
  // A log is a span of its own beside those of its nodes.
  assert.equal(spanCount, 500 + 501 + 1)
  const largest = Math.max(writer.largest, bytes.largest)
  assert.ok(largest > 0 && largest < 6 * limits.maxBytes, `${largest} bytes at a time`)
})
