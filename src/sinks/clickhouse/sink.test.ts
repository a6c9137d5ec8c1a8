import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Fragment } from '../../model/fragment.ts'
import type { ClickHouse } from '../../storage/clickhouse/client.ts'
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
import { ClickHouseSink } from './sink.ts'

const KIB = 1024
const signal = new AbortController().signal

/** A fake: a real server does not tell how many bytes were held for it at a time. */
class CountingServer {
  readonly database = 'sidereal'
  readonly rows = new Map<string, number>()
  maxHeldBytes = 0
  #heldBytes = 0

  async insertNative(table: string, _columns: readonly string[], chunks: readonly Buffer[]): Promise<void> {
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    this.#heldBytes += bytes
    this.maxHeldBytes = Math.max(this.maxHeldBytes, this.#heldBytes)
    await new Promise(setImmediate)
    this.#heldBytes -= bytes
    const name = table.slice(table.lastIndexOf('.') + 1)
    this.rows.set(name, (this.rows.get(name) ?? 0) + rowsOf(chunks[0]!))
  }
}

/** A block begins with the numbers of its columns and rows. */
function rowsOf(block: Buffer): number {
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = block[at++]!
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value
    }
  }
  varint()
  return varint()
}

function sinkOf(server: CountingServer, maxRowBytes: number): ClickHouseSink {
  return new ClickHouseSink({
    client: server as unknown as ClickHouse,
    recordTypes: testRecordType,
    maxRowBytes,
  })
}

/** A trace of some records, each of `rows` spans or nodes that say `repeatedKib` again. */
function repeating(
  sid: string,
  { records, rows, repeatedKib }: Record<'records' | 'rows' | 'repeatedKib', number>,
): Fragment {
  const attributes = Array.from({ length: repeatedKib }, (_, place) => ({
    key: `process.command_args.${place}`,
    value: 'x'.repeat(KIB),
  }))
  const resource = { attributes, droppedAttributesCount: 0, schemaUrl: '', entityRefs: [] }
  const chatId = 'c'.repeat(repeatedKib * KIB)
  return testFragment(
    Array.from({ length: records }, (_, offset) => {
      const spans = Array.from({ length: rows }, (_, place) =>
        testSpan({ spanId: testSpanId(offset * rows + place) }),
      )
      const trace = Array.from({ length: rows }, () => testNode())
      return testRecord(
        offset % 3 === 2 ? testLog({ sid, chatId, trace }) : testBatch({ sid, resource, spans }),
        { offset },
      )
    }),
  )
}

test('what a write holds of rows at a time is bounded, however large the resource or chat id that each row of a record says again', async () => {
  const maxRowBytes = 2_048 * KIB
  for (const shape of [
    { records: 60, rows: 12, repeatedKib: 20 },
    { records: 6, rows: 300, repeatedKib: 60 },
  ]) {
    const server = new CountingServer()
    const fragment = repeating('sid-1', shape)
    const { refused } = await sinkOf(server, maxRowBytes).write([fragment], signal)
    assert.deepEqual(refused, [])
    const { records, rows } = shape
    assert.deepEqual(
      [server.rows.get('spans'), server.rows.get('node_logs'), server.rows.get('node_trace_logs')],
      [(records * rows * 2) / 3, (records * rows) / 3, records / 3],
    )
    assert.ok(server.maxHeldBytes < 1.5 * maxRowBytes, `${server.maxHeldBytes} bytes were held`)
  }
})

test('a record whose rows would be many thousand times its size is refused with the reason, and the others are stored', async () => {
  const server = new CountingServer()
  const absurd = repeating('absurd', { records: 1, rows: 20_000, repeatedKib: 40 })
  const good = repeating('good', { records: 3, rows: 4, repeatedKib: 1 })
  const { refused } = await sinkOf(server, 64 * 1024 * KIB).write([absurd, good], signal)
  assert.deepEqual(
    refused.map(({ record }) => record),
    absurd.records,
  )
  assert.match(refused[0]?.reason ?? '', /each of its 20000 rows would say 4\d{4} bytes of resource/)
  assert.deepEqual([server.rows.get('spans'), server.rows.get('trace_fragments')], [8, 1])
})
