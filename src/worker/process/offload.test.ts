import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyNodeTraceLog, anySpanBatch } from '../../codec/arbitraries.testing.ts'
import { KeyValueList } from '../../model/any-value.ts'
import type { Fragment, FragmentRecord } from '../../model/fragment.ts'
import type { NodeTraceLog } from '../../model/node-trace-log.ts'
import { PayloadReference } from '../../model/payload-reference.ts'
import type { SpanBatch } from '../../model/span.ts'
import { silentLogger } from '../../telemetry/logger.ts'
import { mapStrings } from './map-strings.ts'
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

  /** The record with each reference replaced by the value that it stands for. */
  restore<T extends SpanBatch | NodeTraceLog>(record: T): T {
    return structuredRestore(
      record,
      (ref) => this.values.get(ref.sha256)?.toString() ?? assert.fail('not stored'),
    )
  }
}

function structuredRestore<T>(value: T, read: (ref: PayloadReference) => unknown): T {
  const walk = (item: unknown): unknown => {
    if (item instanceof PayloadReference) return item.key === 'pack' ? read(item) : item
    if (item instanceof KeyValueList) return new KeyValueList(walk(item.entries) as KeyValueList['entries'])
    if (Array.isArray(item)) return item.map(walk)
    if (item === null || typeof item !== 'object' || item instanceof Uint8Array) return item
    return Object.fromEntries(Object.entries(item).map(([key, inner]) => [key, walk(inner)]))
  }
  return walk(value) as T
}

function textOf(record: SpanBatch | NodeTraceLog): string {
  return JSON.stringify(record, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value))
}

function recordOf(model: SpanBatch | NodeTraceLog, offset = 0): FragmentRecord {
  const bytes = Buffer.from('as consumed')
  return {
    kind: 'spans' in model ? 'spans' : 'log',
    topic: 'topic',
    partition: 3,
    offset,
    receivedAtMs: 1_700_000_000_000,
    byteLength: bytes.length,
    rowCount: 1,
    repeatedBytes: 3,
    hasLargeValue: true,
    bytes,
    bodyStart: 5,
    day: -1,
    isChanged: false,
    memory: bytes,
    memoryStart: 0,
    schemaId: 7,
    decode: () => model,
  }
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

function batchWith(value: string): SpanBatch {
  return {
    ...EMPTY_BATCH!,
    sid: 'sid-1',
    appId: 'app-1',
    resource: { attributes: [{ key: 'r', value }], droppedAttributesCount: 0, schemaUrl: '', entityRefs: [] },
    spans: [],
  }
}

async function offloaded(model: SpanBatch | NodeTraceLog, limitBytes?: number) {
  const packer = new MemoryStorage()
  const offload = new Offload({
    packer,
    logger: silentLogger,
    ...(limitBytes === undefined ? {} : { limitBytes }),
  })
  const [fragment] = await offload.process([fragmentOf(recordOf(model))])
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

test('any record: nothing over the limit is left inline, and with the payloads put back it is the same', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(anySpanBatch, anyNodeTraceLog),
      fc.constantFrom(0, 5, 100),
      async (record, limit) => {
        const before = structuredClone(
          JSON.stringify(record, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value)),
        )
        const { packer, model } = await offloaded(record, limit)
        mapStrings(model, (text) => {
          assert.ok(Buffer.byteLength(text) <= limit)
          return text
        })
        assert.deepEqual(packer.restore(model), record)
        assert.equal(textOf(record), before, 'the original was changed')
      },
    ),
    { numRuns: 200 },
  )
})

test('records without large values stay the same objects, in the same order, and the others keep place and bytes', async () => {
  const packer = new MemoryStorage()
  const offload = new Offload({ packer, logger: silentLogger })
  const small = { ...recordOf(batchWith('s'), 1), hasLargeValue: false }
  const large = recordOf(batchWith('x'.repeat(9_000)), 2)
  const marked = recordOf(batchWith('only its name was large'), 3)
  const untouched = fragmentOf(small)
  const onlyMarked = fragmentOf(marked)
  const result = await offload.process([untouched, fragmentOf(small, large, marked), onlyMarked])
  assert.equal(result[0], untouched)
  assert.equal(result[2], onlyMarked)
  const [first, second, third] = result[1]!.records
  assert.equal(first, small)
  assert.equal(third, marked)
  for (const name of [
    'kind',
    'topic',
    'partition',
    'offset',
    'receivedAtMs',
    'byteLength',
    'rowCount',
    'day',
    'bytes',
    'bodyStart',
    'memory',
    'memoryStart',
    'schemaId',
  ] as const) {
    assert.equal(second?.[name], large[name], name)
  }
  assert.deepEqual([small.isChanged, second?.isChanged, third?.isChanged], [false, true, false])
})

test('what each row of a record says again is counted without the values that were moved', async () => {
  const model = batchWith('x'.repeat(9_000))
  const record = { ...recordOf(model), repeatedBytes: 10_000 }
  const offload = new Offload({ packer: new MemoryStorage(), logger: silentLogger })
  const [moved] = await offload.process([fragmentOf(record)])
  assert.equal(moved?.records[0]?.repeatedBytes, 10_000 - 9_000 + 512)

  const [span] = fc.sample(anySpanBatch, { seed: 5 }).flatMap((batch) => batch.spans)
  const ofSpans = { ...batchWith('short'), spans: [{ ...span!, statusMessage: 'y'.repeat(9_000) }] }
  const [kept] = await offload.process([fragmentOf({ ...recordOf(ofSpans), repeatedBytes: 10_000 })])
  assert.deepEqual([kept?.records[0]?.isChanged, kept?.records[0]?.repeatedBytes], [true, 10_000])
})

test('without an object store values stay inline, and one warning says what to set', async () => {
  const warnings: string[] = []
  const logger = { ...silentLogger, warn: (_: unknown, message: string) => warnings.push(message) }
  const offload = new Offload({ packer: undefined, logger })
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
  const offload = new Offload({ packer, logger: silentLogger })
  const fragment = fragmentOf(recordOf(batchWith('x'.repeat(9_000))), recordOf(batchWith('y'.repeat(9_000))))
  await assert.rejects(offload.process([fragment]), /aborted/)
})
