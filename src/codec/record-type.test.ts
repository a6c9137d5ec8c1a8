import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type AnyValue, KeyValueList } from '../model/any-value.ts'
import { SiderealError } from '../model/errors.ts'
import type { NodeTraceLog } from '../model/node-trace-log.ts'
import type { SpanBatch } from '../model/span.ts'
import { anyNodeTraceLog, anySpanBatch } from './arbitraries.testing.ts'
import { avscType, batchToAvsc, logToAvsc } from './avsc-oracle.testing.ts'
import { type BundledSchemaName, bundledSchema } from './bundled-schemas.ts'
import { FactsCollector } from './facts.ts'
import { RecordHeader } from './record-header.ts'
import { compileRecordType, type RecordType } from './record-type.ts'
import { RecordWriter } from './record-writer.ts'
import { BODY_START, readFrame } from './wire.ts'

const LIMIT = 64
const RUNS = { numRuns: 200 }

const compile = (name: BundledSchemaName) =>
  compileRecordType(bundledSchema(name).json, 7, { payloadLimitBytes: LIMIT })

interface Subject<T> {
  name: BundledSchemaName
  any: fc.Arbitrary<T>
  encode: (writer: RecordWriter, record: T) => Buffer
  toAvsc: (record: T) => object
  type: RecordType
  avsc: ReturnType<typeof avscType>
  idOf: (record: T) => string
  rowsOf: (record: T) => number
}

const batches: Subject<SpanBatch> = {
  name: 'sidereal.SpanBatch',
  any: anySpanBatch,
  encode: (writer, record) => writer.encodeSpanBatch(record, 7),
  toAvsc: batchToAvsc,
  type: compile('sidereal.SpanBatch'),
  avsc: avscType(bundledSchema('sidereal.SpanBatch').json),
  idOf: (batch) => batch.batchId,
  rowsOf: (batch) => batch.spans.length,
}

const logs: Subject<NodeTraceLog> = {
  name: 'sidereal.NodeTraceLog',
  any: anyNodeTraceLog,
  encode: (writer, record) => writer.encodeNodeTraceLog(record, 7),
  toAvsc: logToAvsc,
  type: compile('sidereal.NodeTraceLog'),
  avsc: avscType(bundledSchema('sidereal.NodeTraceLog').json),
  idOf: (log) => log.logId,
  rowsOf: (log) => log.trace.length,
}

const writer = new RecordWriter()
const header = new RecordHeader()
const facts = new FactsCollector()

function promises<T extends { sid: string }>(subject: Subject<T>): void {
  const { type, name } = subject
  const encode = (record: T) => subject.encode(writer, record)
  const inspect = (bytes: Buffer, start = BODY_START, end = bytes.length) =>
    type.inspect(bytes, start, end, header)

  test(`any ${name} goes model → Avro → model unchanged`, () => {
    fc.assert(
      fc.property(subject.any, (record) => {
        const framed = encode(record)
        assert.equal(readFrame(framed), 7)
        assert.deepStrictEqual(type.decode(framed, BODY_START, framed.length), record)
      }),
      RUNS,
    )
  })

  test(`avsc writes the same bytes for any ${name}, and reads ours`, () => {
    fc.assert(
      fc.property(subject.any, (record) => {
        const expected = subject.avsc.toBuffer(subject.toAvsc(record))
        const body = encode(record).subarray(BODY_START)
        assert.ok(body.equals(expected))
        assert.ok(subject.avsc.toBuffer(subject.avsc.fromBuffer(body)).equals(expected))
      }),
      RUNS,
    )
  })

  test(`inspection takes any ${name}, wherever it lies, and reads its header`, () => {
    fc.assert(
      fc.property(subject.any, fc.nat(20), (record, offset) => {
        const body = encode(record).subarray(BODY_START)
        const shifted = Buffer.concat([Buffer.alloc(offset, 0x55), body, Buffer.alloc(9, 0x02)])
        inspect(shifted, offset, offset + body.length)
        assert.equal(header.sid, record.sid)
        assert.equal(header.recordId, subject.idOf(record))
        assert.equal(header.rowCount, subject.rowsOf(record))
        assert.deepStrictEqual(type.decode(shifted, offset, offset + body.length), record)
      }),
      RUNS,
    )
  })

  test(`every truncation of a ${name} is refused`, () => {
    fc.assert(
      fc.property(subject.any, (record) => {
        const framed = encode(record)
        const step = Math.max(1, Math.floor(framed.length / 700))
        for (let end = BODY_START; end < framed.length; end += step) {
          // With bytes behind the end, as in a fetch response, and without.
          refused(() => inspect(framed, BODY_START, end))
          refused(() => inspect(Buffer.from(framed.subarray(0, end))))
          refused(() => type.decode(framed, BODY_START, end))
        }
        refused(() => inspect(Buffer.concat([framed, Buffer.alloc(1)])))
      }),
      { numRuns: 12 },
    )
  })

  test(`flipped bits of a ${name} are refused or read, and never anything else`, () => {
    const flips = fc.array(fc.tuple(fc.nat(), fc.nat(7)), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(subject.any, fc.array(flips, { minLength: 10, maxLength: 20 }), (record, attempts) => {
        const framed = encode(record)
        for (const attempt of attempts) {
          const damaged = Buffer.from(framed)
          for (const [at, bit] of attempt) {
            const index = BODY_START + (at % (framed.length - BODY_START))
            damaged[index] = damaged[index]! ^ (1 << bit)
          }
          const isValid = isTaken(() => inspect(damaged))
          const isDecoded = isTaken(() => type.decode(damaged, BODY_START, damaged.length))
          facts.reset()
          const isCollected = isTaken(() => type.collect(damaged, BODY_START, damaged.length, 1, facts))
          if (isValid) assert.ok(isDecoded && isCollected, 'what inspection takes, the others take as well')
        }
      }),
      RUNS,
    )
  })
}

function refused(action: () => void): void {
  assert.throws(action, { code: 'SIDEREAL_RECORD_INVALID' })
}

/** False when refused as a SiderealError; any other error goes on. */
function isTaken(action: () => void): boolean {
  try {
    action()
    return true
  } catch (error) {
    assert.ok(error instanceof SiderealError && error.code === 'SIDEREAL_RECORD_INVALID', String(error))
    return false
  }
}

promises(batches)
promises(logs)

function batchWith(value: AnyValue, change: Partial<SpanBatch['spans'][number]> = {}): SpanBatch {
  return {
    sid: 's',
    appId: '',
    uid: '',
    chatId: '',
    batchId: '00'.repeat(16),
    resource: { attributes: [], droppedAttributesCount: 0, schemaUrl: '', entityRefs: [] },
    scope: { name: '', version: '', attributes: [], droppedAttributesCount: 0, schemaUrl: '' },
    spans: [
      {
        traceId: '01'.repeat(16),
        spanId: '02'.repeat(8),
        parentSpanId: null,
        flags: 0,
        name: '',
        kind: 0,
        startTimeNs: 0n,
        endTimeNs: 0n,
        statusCode: 0,
        statusMessage: '',
        traceState: '',
        attributes: [{ key: 'key', value }],
        droppedAttributesCount: 0,
        events: [],
        droppedEventsCount: 0,
        links: [],
        droppedLinksCount: 0,
        ...change,
      },
    ],
  }
}

function isLarge(batch: SpanBatch): boolean {
  const framed = writer.encodeSpanBatch(batch, 7)
  batches.type.inspect(framed, BODY_START, framed.length, header)
  return header.hasLargeValue
}

test('a string over the payload limit is noticed wherever it may be offloaded, and only there', () => {
  const at = 'x'.repeat(LIMIT)
  const over = `${'é'.repeat(LIMIT / 2)}x`
  assert.equal(isLarge(batchWith(at)), false)
  assert.equal(isLarge(batchWith(over)), true)
  assert.equal(isLarge(batchWith([1n, [over]])), true)
  assert.equal(isLarge(batchWith(new KeyValueList([{ key: 'k', value: over }]))), true)
  assert.equal(isLarge(batchWith(1n, { statusMessage: over })), true)
  assert.equal(isLarge(batchWith(1n, { name: over, traceState: over })), false)
  assert.equal(isLarge(batchWith(Buffer.alloc(LIMIT + 1))), false)
  assert.equal(isLarge({ ...batchWith(at), chatId: over }), false)
})

test('what each row of a record says again is counted: resource, scope, uid and chat id, and nothing else', () => {
  const repeatedOf = (batch: SpanBatch): number => {
    const framed = writer.encodeSpanBatch(batch, 7)
    batches.type.inspect(framed, BODY_START, framed.length, header)
    return header.repeatedBytes
  }
  const plain = batchWith('short')
  const before = repeatedOf(plain)
  const long = 'x'.repeat(1_000)
  const attributes = [...plain.resource.attributes, { key: 'args', value: long }]
  assert.equal(repeatedOf({ ...plain, uid: plain.uid + long, chatId: plain.chatId + long }), before + 2_000)
  // With the key, both lengths and the tag of the union.
  assert.equal(repeatedOf({ ...plain, resource: { ...plain.resource, attributes } }) - before >= 1_008, true)
  assert.equal(repeatedOf({ ...plain, scope: { ...plain.scope, version: long } }) - before >= 1_001, true)
  assert.equal(repeatedOf({ ...plain, spans: [...plain.spans, ...plain.spans] }), before)
  assert.equal(repeatedOf({ ...plain, appId: long }), before, 'a dictionary holds it once')
})

test('a span with 10,000 attributes goes through unchanged', () => {
  const attributes = Array.from({ length: 10_000 }, (_, i) => ({ key: `k${i % 9_000}`, value: BigInt(i) }))
  const batch = batchWith(null, { attributes })
  const framed = writer.encodeSpanBatch(batch, 7)
  batches.type.inspect(framed, BODY_START, framed.length, header)
  assert.deepStrictEqual(batches.type.decode(framed, BODY_START, framed.length), batch)
})

test('values are nested up to 64 levels and no deeper, in writing and in reading', () => {
  const nested = (levels: number, wrap: (value: AnyValue) => AnyValue) => {
    let value: AnyValue = 'x'
    for (let i = 0; i < levels; i++) value = wrap(value)
    return value
  }
  const wraps = [(value: AnyValue) => [value], (value: AnyValue) => new KeyValueList([{ key: 'k', value }])]
  for (const wrap of wraps) {
    const batch = batchWith(nested(64, wrap))
    const framed = writer.encodeSpanBatch(batch, 7)
    batches.type.inspect(framed, BODY_START, framed.length, header)
    assert.deepStrictEqual(batches.type.decode(framed, BODY_START, framed.length), batch)
    for (const levels of [65, 500]) {
      const deep = batchWith(nested(levels, wrap))
      refused(() => writer.encodeSpanBatch(deep, 7))
      const bytes = batches.avsc.toBuffer(batchToAvsc(deep))
      refused(() => batches.type.inspect(bytes, 0, bytes.length, header))
      refused(() => batches.type.decode(bytes, 0, bytes.length))
    }
  }
})

test('lone surrogates are replaced by U+FFFD and counted', () => {
  const own = new RecordWriter()
  const framed = own.encodeSpanBatch(
    batchWith('a\ud800b\udc00\ud83d\ude00', { name: '\udfff'.repeat(100) }),
    7,
  )
  assert.equal(own.replacedSurrogates, 102)
  assert.deepStrictEqual(
    batches.type.decode(framed, BODY_START, framed.length),
    batchWith('a\ufffdb\ufffd😀', { name: '\ufffd'.repeat(100) }),
  )
})

test('the writer refuses what the schema cannot hold, and names the field', () => {
  const refuses = (batch: SpanBatch, message: RegExp) =>
    assert.throws(() => writer.encodeSpanBatch(batch, 7), { code: 'SIDEREAL_RECORD_INVALID', message })
  refuses(batchWith(2n ** 63n), /"key"/)
  refuses(batchWith(-(2n ** 63n) - 1n), /"key"/)
  refuses(batchWith(1n, { startTimeNs: 2n ** 63n }), /startTimeNs/)
  refuses(batchWith(1n, { spanId: 'abc' }), /spanId/)
  refuses(batchWith(1n, { spanId: 'x'.repeat(16) }), /spanId/)
  refuses(batchWith(1n, { traceId: '00'.repeat(17) }), /traceId/)
  refuses(batchWith(1n, { parentSpanId: '' }), /parentSpanId/)
  refuses(batchWith(1n, { flags: 2 ** 53 }), /flags/)
  refuses(batchWith(1n, { kind: 2 ** 31 }), /kind/)
  refuses(batchWith(1n, { droppedEventsCount: 0.5 }), /droppedEventsCount/)
  refuses({ ...batchWith(1n), sid: '' }, /sid/)
  refuses({ ...batchWith(1n), sid: '日'.repeat(86) }, /sid/)
  // A refused record leaves the writer fit for the next one.
  assert.equal(isLarge(batchWith('x')), false)
})

test('a SID of no bytes, of more than 256, or that is not UTF-8 is refused at intake', () => {
  const framed = writer.encodeSpanBatch({ ...batchWith(1n), sid: 'ab' }, 7)
  const body = framed.subarray(BODY_START)
  const rest = body.subarray(3)
  const withSid = (sid: Buffer) => {
    const length =
      sid.length < 64 ? [sid.length * 2] : [((sid.length * 2) & 127) | 128, (sid.length * 2) >> 7]
    return Buffer.concat([Buffer.from(length), sid, rest])
  }
  const inspect = (bytes: Buffer) => batches.type.inspect(bytes, 0, bytes.length, header)
  inspect(withSid(Buffer.alloc(256, 'x')))
  refused(() => inspect(withSid(Buffer.alloc(257, 'x'))))
  refused(() => inspect(withSid(Buffer.alloc(0))))
  refused(() => inspect(withSid(Buffer.from([0xff, 0xfe]))))
})
