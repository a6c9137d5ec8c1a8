import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { NodeTraceLog as NodeTraceLogRecord } from '../model/node-trace-log.ts'
import { NodeTraceLog } from './node-trace-log.ts'
import { NodeTraceLogPublisher } from './node-trace-log-publisher.ts'
import { recordSpans } from './recorded-spans.testing.ts'
import { Span } from './span.ts'

const spans = recordSpans()
after(() => spans.close())

function open() {
  const records: NodeTraceLogRecord[] = []
  const counts = { accepted: 0, dropped: 0 }
  let sids = 0
  const publisher = new NodeTraceLogPublisher({
    encoder: { addLog: (record) => void records.push(record) },
    queue: {
      accept: (_kind, items) => {
        counts.accepted += items
      },
      drop: (_kind, items) => {
        counts.dropped += items
      },
    },
    newSid: () => `new-${++sids}`,
  })
  return { publisher, records, counts }
}

test('a log that says no SID, or one that no record may have, goes under that of its request, and each revision under the same', () => {
  const { publisher, records, counts } = open()
  const tooLong = 'x'.repeat(257)
  const sid = new Span({ appId: 'app', uid: 'user' }).start('request', (span) => {
    publisher.publish(new NodeTraceLog())
    publisher.publish(new NodeTraceLog({ sid: tooLong, appId: 'x'.repeat(1_025) }))
    return span.sid
  })
  const outside = new NodeTraceLog({ sid: tooLong })
  publisher.publish(outside)
  publisher.publish(outside)
  publisher.publish(new NodeTraceLog({ sid: 'of a header', uid: 'own' }))
  assert.deepEqual(
    records.map(({ sid, appId, uid, revision }) => [sid, appId, uid, revision]),
    [
      [sid, 'app', 'user', 0],
      [sid, 'app', 'user', 0],
      ['new-1', '', '', 0],
      ['new-1', '', '', 1],
      ['of a header', '', 'own', 0],
    ],
  )
  assert.deepEqual(counts, { accepted: 5, dropped: 0 })
})

test('the identity of another request fills nothing into a log', () => {
  const { publisher, records } = open()
  const log = new NodeTraceLog({ sid: 'its own' })
  new Span({ appId: 'another' }).start('request', () => publisher.publish(log))
  assert.deepEqual([records[0]?.sid, records[0]?.appId], ['its own', ''])
})

test('what is no log is counted, and throws at nobody', () => {
  const { publisher, counts } = open()
  for (const thing of [null, undefined, 'log', 5]) publisher.publish(thing as never)
  assert.deepEqual(counts, { accepted: 4, dropped: 4 })
})

test('a log that was made before its request was told whose it is goes under the same SID as the spans, and keeps it from its first revision on', () => {
  const { publisher, records } = open()
  new Span().start('request', (span) => {
    const left = new NodeTraceLog()
    const given = new NodeTraceLog({ sid: 'its own' })
    const set = new NodeTraceLog()
    set.uid = 'set by hand'
    span.setIdentity({ sid: 'of the body', appId: 'app', uid: 'user' })
    for (const log of [left, given, set]) publisher.publish(log)
    span.setIdentity({ sid: 'too late' })
    publisher.publish(left)
  })
  assert.deepEqual(
    records.map(({ sid, appId, uid, revision }) => [sid, appId, uid, revision]),
    [
      ['of the body', 'app', 'user', 0],
      ['its own', '', '', 0],
      ['of the body', 'app', 'set by hand', 0],
      ['of the body', 'app', 'user', 1],
    ],
  )
})
