import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyWriterSchema } from '../../codec/any-writer.testing.ts'
import { anyNodeTraceLog, anySpanBatch } from '../../codec/arbitraries.testing.ts'
import { avscType, batchToAvsc, logToAvsc } from '../../codec/avsc-oracle.testing.ts'
import { bundledSchema } from '../../codec/bundled-schemas.ts'
import { LargeValues } from '../../codec/large-values.ts'
import { RecordHeader } from '../../codec/record-header.ts'
import { compileRecordType, type RecordType } from '../../codec/record-type.ts'
import { rewriteSchema } from '../../codec/rewrite-schema.testing.ts'
import { type AnyValue, KeyValueList } from '../../model/any-value.ts'
import type { Fragment, FragmentRecord } from '../../model/fragment.ts'
import type { NodeTraceLog } from '../../model/node-trace-log.ts'
import { PayloadReference } from '../../model/payload-reference.ts'
import type { Span, SpanBatch } from '../../model/span.ts'
import { NO_DAY } from '../../model/time.ts'
import { type Logger, silentLogger } from '../../telemetry/logger.ts'
import { Offload, type PayloadStorage } from './offload.ts'

/** Keeps values under their hash, and answers when it is told to flush. */
class MemoryStorage implements PayloadStorage {
  readonly values = new Map<string, Buffer>()
  readonly owners: { sid: string; appId: string }[] = []
  #waiting: (() => void)[] = []

  async add(value: Buffer, owner: { sid: string; appId: string }): Promise<PayloadReference> {
    const sha256 = createHash('sha256').update(value).digest('hex')
    this.values.set(sha256, value)
    this.owners.push(owner)
    await new Promise<void>((resolve) => this.#waiting.push(resolve))
    const preview = value.toString('utf8', 0, 8)
    const size = value.length
    return new PayloadReference({
      key: 'pack',
      offset: 0,
      length: 1,
      size,
      sha256,
      encoding: 'zstd',
      preview,
    })
  }

  async flush(): Promise<void> {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  /** The record with each reference to a value that is stored here replaced by that value. */
  restore<T extends SpanBatch | NodeTraceLog>(record: T): T {
    return structuredRestore(record, (ref) => this.values.get(ref.sha256)?.toString() ?? ref)
  }
}

function structuredRestore<T>(value: T, read: (ref: PayloadReference) => unknown): T {
  const walk = (item: unknown): unknown => {
    if (item instanceof PayloadReference) return read(item)
    if (item instanceof KeyValueList) return new KeyValueList(walk(item.entries) as KeyValueList['entries'])
    if (Array.isArray(item)) return item.map(walk)
    if (item === null || typeof item !== 'object' || item instanceof Uint8Array) return item
    return Object.fromEntries(Object.entries(item).map(([key, inner]) => [key, walk(inner)]))
  }
  return walk(value) as T
}

const SPANS_SCHEMA = bundledSchema('sidereal.SpanBatch').json
const LOG_SCHEMA = bundledSchema('sidereal.NodeTraceLog').json

/** Who writes records of a schema: avsc, with no code of ours. */
interface Writer {
  readonly type: RecordType
  encode(model: SpanBatch | NodeTraceLog): Buffer
}

function writerOf(schemaJson: string, schemaId: number, payloadLimitBytes = 5_120): Writer {
  const avsc = avscType(schemaJson)
  return {
    type: compileRecordType(schemaJson, schemaId, { payloadLimitBytes }),
    encode: (model) => avsc.toBuffer('spans' in model ? batchToAvsc(model) : logToAvsc(model)),
  }
}

const spansWriter = writerOf(SPANS_SCHEMA, 1)
const logWriter = writerOf(LOG_SCHEMA, 2)

/** A consumed record, which lies behind other bytes as in a slab. */
function consumed({ type }: Writer, value: Buffer, offset: number): FragmentRecord {
  const header = new RecordHeader()
  const memory = Buffer.concat([Buffer.alloc(9, 0xff), value, Buffer.alloc(3, 0xff)])
  const [start, end] = [9, 9 + value.length]
  type.inspect(memory, start, end, header)
  return {
    kind: type.kind,
    topic: 'topic',
    partition: 3,
    offset,
    receivedAtMs: 1_700_000_000_000,
    byteLength: value.length,
    rowCount: header.rowCount,
    repeatedBytes: header.repeatedBytes,
    hasLargeValue: header.hasLargeValue,
    bytes: memory.subarray(start, end),
    bodyStart: 0,
    day: header.day,
    memory,
    contentStart: start,
    contentEnd: end,
    schemaId: type.schemaId,
    decode: () => type.decode(memory, start, end),
  }
}

function recordOf(model: SpanBatch | NodeTraceLog, offset = 0, writer?: Writer): FragmentRecord {
  const by = writer ?? ('spans' in model ? spansWriter : logWriter)
  return consumed(by, by.encode(model), offset)
}

function fragmentOf(...records: FragmentRecord[]): Fragment {
  return {
    sid: 's',
    reason: 'complete',
    records,
    facts: [],
    byteLength: 11 * records.length,
    rowCount: records.length,
  }
}

const [EMPTY_BATCH] = fc.sample(anySpanBatch, { numRuns: 1, seed: 1 })
const [EMPTY_LOG] = fc.sample(anyNodeTraceLog, { numRuns: 1, seed: 1 })

const [ANY_SPAN] = fc.sample(anySpanBatch, { seed: 5 }).flatMap((batch) => batch.spans)

function testSpan(fields: Partial<Span>): Span {
  return {
    ...ANY_SPAN!,
    statusMessage: '',
    attributes: [],
    events: [],
    links: [],
    startTimeNs: 1_781_524_800_000_000_000n,
    ...fields,
  }
}

function batchWith(value: string): SpanBatch {
  return {
    ...EMPTY_BATCH!,
    sid: 'sid-1',
    appId: 'app-1',
    resource: { attributes: [{ key: 'r', value }], droppedAttributesCount: 0, schemaUrl: '', entityRefs: [] },
    spans: [],
  }
}

function offloadTo(
  packer: PayloadStorage | undefined,
  limitBytes?: number,
  writers: readonly Writer[] = [spansWriter, logWriter],
  logger: Logger = silentLogger,
): Offload {
  return new Offload({
    packer,
    recordTypes: (id) => writers.find(({ type }) => type.schemaId === id)?.type,
    logger,
    ...(limitBytes === undefined ? {} : { limitBytes }),
  })
}

async function offloaded(model: SpanBatch | NodeTraceLog) {
  const packer = new MemoryStorage()
  const [fragment] = await offloadTo(packer).process([fragmentOf(recordOf(model))])
  return { packer, model: fragment!.records[0]!.decode() }
}

test('5,120 bytes stay, 5,121 go', async () => {
  const stays = await offloaded(batchWith('x'.repeat(5_120)))
  assert.equal(stays.packer.values.size, 0)
  assert.deepEqual(stays.model, batchWith('x'.repeat(5_120)))
  const goes = await offloaded(batchWith('x'.repeat(5_121)))
  assert.ok('resource' in goes.model)
  const value = goes.model.resource.attributes[0]?.value
  assert.ok(value instanceof PayloadReference)
  assert.equal(value.size, 5_121)
})

test('the limit counts bytes of UTF-8, not characters', async () => {
  for (const [unit, bytes] of [
    ['é', 2],
    ['日', 3],
    ['😀', 4],
  ] as const) {
    const fits = unit.repeat(Math.floor(5_120 / bytes))
    assert.equal((await offloaded(batchWith(fits))).packer.values.size, 0, `${unit} at the limit`)
    assert.equal((await offloaded(batchWith(fits + unit))).packer.values.size, 1, `${unit} over the limit`)
  }
})

test('large values of every field that may hold a payload go; the record is otherwise unchanged', async () => {
  const big = (name: string): string => `${name}:${'x'.repeat(6_000)}`
  const nested = (name: string) => [
    {
      key: 'list',
      value: [big(`${name}.list`), 1n, [new KeyValueList([{ key: 'k', value: big(`${name}.deep`) }])]],
    },
    { key: 'plain', value: big(name) },
    { key: 'plain', value: big(`${name}.again`) },
    { key: 'other', value: Number.NaN },
  ]
  const [span] =
    EMPTY_BATCH!.spans.length > 0
      ? EMPTY_BATCH!.spans
      : fc.sample(anySpanBatch, { seed: 5 }).flatMap((b) => b.spans)
  const batch: SpanBatch = {
    ...EMPTY_BATCH!,
    resource: {
      attributes: nested('resource'),
      droppedAttributesCount: 1,
      schemaUrl: big('not a value'),
      entityRefs: [],
    },
    scope: {
      name: big('not a value'),
      version: '',
      attributes: nested('scope'),
      droppedAttributesCount: 0,
      schemaUrl: '',
    },
    spans: [
      {
        ...span!,
        statusMessage: big('status'),
        attributes: nested('span'),
        events: [
          { timeNs: 1n, name: big('not a value'), attributes: nested('event'), droppedAttributesCount: 0 },
        ],
        links: [
          {
            traceId: '0'.repeat(32),
            spanId: '0'.repeat(16),
            traceState: '',
            attributes: nested('link'),
            droppedAttributesCount: 0,
            flags: 0,
          },
        ],
      },
    ],
  }
  const spans = await offloaded(batch)
  assert.equal(spans.packer.values.size, 5 * 4 + 1)
  assert.deepEqual(spans.packer.restore(spans.model), batch)

  const [node] = fc.sample(anyNodeTraceLog, { seed: 3, numRuns: 50 }).flatMap((log) => log.trace)
  const log: NodeTraceLog = {
    ...EMPTY_LOG!,
    question: big('question'),
    answer: big('answer'),
    status: { code: 1, message: big('status') },
    srv: nested('srv'),
    srvTag: nested('srvTag'),
    extra: nested('extra'),
    trace: [
      {
        ...node!,
        llmOutput: big('llm'),
        logs: ['short', big('log entry')],
        extra: nested('node extra'),
        data: { ...node!.data, input: nested('input'), output: nested('output'), config: nested('config') },
      },
    ],
  }
  const logs = await offloaded(log)
  assert.equal(logs.packer.values.size, 3 + 7 * 4 + 2)
  assert.deepEqual(logs.packer.restore(logs.model), log)
  assert.deepEqual(new Set(logs.packer.owners.map((owner) => owner.sid)), new Set([log.sid]))
})

const anyWritten = fc.oneof(
  fc.record({ json: anyWriterSchema(SPANS_SCHEMA), model: anySpanBatch }),
  fc.record({ json: anyWriterSchema(LOG_SCHEMA), model: anyNodeTraceLog }),
)

/** Without one of these fields nobody would find a value again, or could read it. */
const NEEDED = ['key', 'offset', 'length', 'size', 'sha256', 'encoding']

function hasWholeReferences(json: string): boolean {
  let isWhole = false
  rewriteSchema(json, (name, fields) => {
    if (name === 'PayloadReference')
      isWhole = NEEDED.every((needed) => fields.some((field) => field.name === needed))
    return fields
  })
  return isWhole
}

test('any record of any writer: nothing over the limit is left inline, and with the payloads put back it is the same', async () => {
  let changes = 0
  await fc.assert(
    fc.asyncProperty(anyWritten, fc.constantFrom(0, 5, 100), async ({ json, model }, limit) => {
      const writer = writerOf(json, 7, limit)
      const packer = new MemoryStorage()
      const record = recordOf(model, 0, writer)
      const before = record.decode()
      const consumedBytes = Buffer.from(record.bytes)
      const [fragment] = await offloadTo(packer, limit, [writer]).process([fragmentOf(record)])
      const after = fragment!.records[0]!
      const isChanged = record.hasLargeValue && hasWholeReferences(json)
      assert.equal(after !== record, isChanged)
      if (isChanged) changes += 1
      const header = new RecordHeader()
      writer.type.inspect(after.memory, after.contentStart, after.contentEnd, header)
      assert.equal(header.hasLargeValue, record.hasLargeValue && !isChanged)
      assert.deepEqual([after.day, after.repeatedBytes], [header.day, header.repeatedBytes])
      assert.deepEqual(packer.restore(after.decode()), packer.restore(before))
      assert.deepEqual(record.bytes, consumedBytes, 'what was consumed was changed')
    }),
    { numRuns: 200 },
  )
  assert.ok(changes > 15, `only ${changes} records were changed`)
})

test('a later version may give references fields that we do not know, of whatever type', async () => {
  const unknown = [
    { name: 'ratio', type: 'float', default: 0 },
    { name: 'level', type: { type: 'enum', name: 'Level', symbols: ['A', 'B'] }, default: 'A' },
    { name: 'tags', type: { type: 'map', values: 'string' }, default: {} },
    { name: 'hash', type: { type: 'fixed', name: 'Hash', size: 5 }, default: '\u0000'.repeat(5) },
    { name: 'note', type: ['string', 'null'], default: '' },
    { name: 'at', type: ['long', 'int'], default: 0 },
    {
      name: 'place',
      type: { type: 'record', name: 'Place', fields: [{ name: 'x', type: 'double' }] },
      default: { x: 0 },
    },
  ]
  const json = rewriteSchema(SPANS_SCHEMA, (name, fields) =>
    name === 'PayloadReference'
      ? [...unknown.slice(0, 4), ...fields.toReversed(), ...unknown.slice(4)]
      : fields,
  )
  const writer = writerOf(json, 7)
  const packer = new MemoryStorage()
  const model = {
    ...batchWith('short'),
    spans: [
      testSpan({ attributes: [{ key: 'a', value: ['x'.repeat(6_000), 'after'] }], statusMessage: 'end' }),
    ],
  }
  const [fragment] = await offloadTo(packer, undefined, [writer]).process([
    fragmentOf(recordOf(model, 0, writer)),
  ])
  const changed = fragment!.records[0]!.decode()
  assert.equal(packer.values.size, 1)
  assert.deepEqual(packer.restore(changed), model)
})

test('a writer whose records take no whole reference keeps its values inline, and one warning says so', async () => {
  const without = (lost: string) =>
    rewriteSchema(SPANS_SCHEMA, (name, fields) =>
      name === 'PayloadReference' ? fields.filter((field) => field.name !== lost) : fields,
    )
  const other = {
    type: 'record',
    name: 'acme.PayloadReference',
    fields: [{ name: 'url', type: 'string' }],
  }
  const withAnother = rewriteSchema(SPANS_SCHEMA, (name, fields) =>
    name === 'SpanBatch'
      ? [{ name: 'note', type: ['null', 'string', other], default: null }, ...fields]
      : fields,
  )
  for (const json of [...NEEDED.map(without), withAnother]) {
    const warnings: string[] = []
    const logger = { ...silentLogger, warn: (_: unknown, message: string) => warnings.push(message) }
    const writer = writerOf(json, 7)
    const packer = new MemoryStorage()
    const fragment = fragmentOf(recordOf(batchWith('x'.repeat(9_000)), 0, writer))
    const offload = offloadTo(packer, undefined, [writer], logger)
    for (let times = 0; times < 2; times++) {
      assert.deepEqual((await offload.process([fragment]))[0]?.records, fragment.records)
    }
    assert.equal(packer.values.size, 0)
    assert.equal(warnings.length, 1, json)
    assert.match(warnings[0]!, /inline/)
  }
})

test('a record that takes no reference where its value lies keeps it inline, and holds nobody', async () => {
  // References that may hold one another count as nesting; the value lies as deep as anything may.
  const json = rewriteSchema(SPANS_SCHEMA, (name, fields) =>
    name === 'PayloadReference'
      ? [...fields, { name: 'parent', type: ['null', 'PayloadReference'], default: null }]
      : fields,
  )
  const writer = writerOf(json, 7)
  let value: AnyValue = 'x'.repeat(6_000)
  for (let depth = 0; depth < 64; depth++) value = [value]
  const record = recordOf(
    { ...batchWith('s'), spans: [testSpan({ attributes: [{ key: 'a', value }] })] },
    5,
    writer,
  )
  assert.ok(record.hasLargeValue)
  const warnings: unknown[] = []
  const logger = { ...silentLogger, warn: (fields: unknown) => warnings.push(fields) }
  const large = recordOf(batchWith('y'.repeat(6_000)), 6, writer)
  const [fragment] = await offloadTo(new MemoryStorage(), undefined, [writer], logger).process([
    fragmentOf(record, large),
  ])
  assert.equal(fragment?.records[0], record)
  assert.notEqual(fragment?.records[1], large)
  assert.deepEqual(
    warnings.map((fields) => (fields as { offset: number }).offset),
    [5],
  )
})

test('a block without a value to cut keeps its size, so that many blocks leave nothing behind', () => {
  const found = new LargeValues()
  found.addBlock(0, 2, 1, 100)
  found.addBlock(10, 12, 1, 20)
  found.addBlock(30, 32, 1, 60)
  found.addValue(40, 42, 50, 1)
  for (let at = 60; at < 90; at += 3) found.addBlock(at, at + 2, 1, at + 3)
  assert.ok(found.cuts.length <= 4)
  found.end(0, 0, 0, 0)
  assert.deepEqual(
    found.cuts.map(({ start }) => start),
    [0, 30, 40],
  )
})

test('blocks with a size, which other writers may write, are written without one', async () => {
  const [log] = fc.sample(anyNodeTraceLog, { numRuns: 1, seed: 8 })
  const text = 'x'.repeat(6_000)
  const model: NodeTraceLog = { ...log!, extra: [{ key: 'k', value: [text, text] }] }
  const bytes = logWriter.encode(model)
  const string = Buffer.concat([Buffer.from([2, 0xe0, 0x5d]), Buffer.from(text)])
  // Of the list: count 1, key "k", branch of an array; of the array: count 2, two strings, end; end of the list.
  const tail = Buffer.concat([Buffer.from([2, 2, 0x6b, 12, 4]), string, string, Buffer.from([0, 0])])
  assert.ok(bytes.subarray(-tail.length).equals(tail))
  const array = Buffer.concat([sizedHead(-2, string.length * 2), string, string, Buffer.from([0])])
  const entry = Buffer.concat([Buffer.from([2, 0x6b, 12]), array])
  const sized = [bytes.subarray(0, -tail.length), sizedHead(-1, entry.length), entry, Buffer.from([0])]
  const packer = new MemoryStorage()
  const record = consumed(logWriter, Buffer.concat(sized), 0)
  const [fragment] = await offloadTo(packer).process([fragmentOf(record)])
  const changed = fragment!.records[0]!
  assert.ok(changed.contentEnd - changed.contentStart < bytes.length - 11_000)
  assert.deepEqual(packer.restore(changed.decode()), packer.restore(model))
})

function sizedHead(count: number, size: number): Buffer {
  const zigzag = (value: number) => (value < 0 ? -value * 2 - 1 : value * 2)
  const varint = (value: number): number[] =>
    value < 128 ? [value] : [(value & 127) | 128, ...varint(Math.floor(value / 128))]
  return Buffer.from([...varint(zigzag(count)), ...varint(zigzag(size))])
}

test('a value that is not UTF-8 is stored as it is read everywhere: with U+FFFD', async () => {
  const text = `${'x'.repeat(6_000)}#`
  const bytes = spansWriter.encode(batchWith(text))
  bytes[bytes.indexOf('x#') + 1] = 0xc3
  const packer = new MemoryStorage()
  const [fragment] = await offloadTo(packer).process([fragmentOf(consumed(spansWriter, bytes, 0))])
  assert.deepEqual([...packer.values.values()].map(String), [text.replace('#', '\ufffd')])
  assert.deepEqual(packer.restore(fragment!.records[0]!.decode()), batchWith(text.replace('#', '\ufffd')))
})

test('changed records may be read by turns', async () => {
  const packer = new MemoryStorage()
  const models = ['a', 'b'].map((letter) => batchWith(letter.repeat(6_000)))
  const [fragment] = await offloadTo(packer).process([fragmentOf(...models.map((model) => recordOf(model)))])
  for (const place of [0, 1, 1, 0]) {
    assert.deepEqual(packer.restore(fragment!.records[place]!.decode()), models[place])
  }
})

test('records without large values stay the same objects, in the same order, and the others keep place and bytes', async () => {
  const offload = offloadTo(new MemoryStorage())
  const small = recordOf(batchWith('s'), 1)
  const large = recordOf(batchWith('x'.repeat(9_000)), 2)
  const untouched = fragmentOf(small)
  const result = await offload.process([untouched, fragmentOf(small, large)])
  assert.equal(result[0], untouched)
  const [first, second] = result[1]!.records
  assert.equal(first, small)
  assert.notEqual(second, large)
  for (const name of [
    'kind',
    'topic',
    'partition',
    'offset',
    'receivedAtMs',
    'byteLength',
    'rowCount',
    'hasLargeValue',
    'bytes',
    'bodyStart',
    'schemaId',
  ] as const) {
    assert.equal(second?.[name], large[name], name)
  }
})

test('what rows take of a changed record is without the values that were moved, and it goes by bytes unless one was of all its rows', async () => {
  const [span] = [testSpan({ statusMessage: 'y'.repeat(9_000) })]
  const ofSpans = recordOf({ ...batchWith('short'), spans: [span!] })
  const shared = recordOf({
    ...batchWith('x'.repeat(9_000)),
    spans: [testSpan({})],
  })
  assert.deepEqual([ofSpans.hasLargeValue, shared.hasLargeValue, ofSpans.day === NO_DAY], [true, true, false])
  const [fragment] = await offloadTo(new MemoryStorage()).process([fragmentOf(ofSpans, shared)])
  const [first, second] = fragment!.records
  assert.deepEqual([first!.day, second!.day], [ofSpans.day, NO_DAY])
  assert.equal(first!.repeatedBytes, ofSpans.repeatedBytes)
  assert.ok(second!.repeatedBytes < shared.repeatedBytes - 8_900)
  for (const record of [first!, second!]) assert.ok(record.contentEnd - record.contentStart < 400)
})

test('without an object store values stay inline, and one warning says what to set', async () => {
  const warnings: string[] = []
  const logger = { ...silentLogger, warn: (_: unknown, message: string) => warnings.push(message) }
  const offload = new Offload({ packer: undefined, recordTypes: () => spansWriter.type, logger })
  const fragments = [fragmentOf(recordOf(batchWith('x'.repeat(9_000))))]
  assert.equal(await offload.process(fragments), fragments)
  assert.equal(await offload.process(fragments), fragments)
  assert.equal(warnings.length, 1)
  assert.match(warnings[0] ?? '', /SIDEREAL_OBJECT_STORE/)
})

test('a payload that cannot be stored rejects the step: nothing goes on without it', async () => {
  const packer: PayloadStorage = {
    add: () => Promise.reject(new Error('aborted')),
    flush: async () => undefined,
  }
  const offload = offloadTo(packer)
  const fragment = fragmentOf(recordOf(batchWith('x'.repeat(9_000))), recordOf(batchWith('y'.repeat(9_000))))
  await assert.rejects(offload.process([fragment]), /aborted/)
})
