import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SchemaRegistry as KafkajsRegistry, SchemaType } from '@kafkajs/confluent-schema-registry'
import fc from 'fast-check'
import { anyNodeTraceLog, anySpanBatch } from '../../src/codec/arbitraries.testing.ts'
import { avscType, int64TypeHook } from '../../src/codec/avsc-oracle.testing.ts'
import { BUNDLED_SCHEMA_NAMES, bundledSchema } from '../../src/codec/bundled-schemas.ts'
import { RecordWriter } from '../../src/codec/record-writer.ts'
import { SchemaRegistry, subjectFor } from '../../src/codec/schema-registry.ts'
import { BODY_START, readFrame } from '../../src/codec/wire.ts'
import { freshName } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'

const servers = await useServers('registry')
const open = () =>
  new SchemaRegistry({ url: servers.registryUrl, timeoutMs: 10_000, payloadLimitBytes: 5120 })
const topic = freshName('topic')

test('a registered schema has one id, which any other client finds again', async () => {
  for (const name of BUNDLED_SCHEMA_NAMES) {
    const { json } = bundledSchema(name)
    const id = await open().register(subjectFor(topic, name), json)
    assert.equal(await open().register(subjectFor(topic, name), json), id)
    const type = await open().fetch(id)
    assert.equal(type.name, name)
    assert.equal(type.schemaId, id)
  }
})

test('an incompatible schema is refused, and an id that nobody registered is unknown', async () => {
  const subject = subjectFor(topic, freshName('sidereal.Other'))
  const schema = (type: string) =>
    JSON.stringify({ type: 'record', name: 'Other', fields: [{ name: 'a', type }] })
  await open().register(subject, schema('string'))
  await assert.rejects(open().register(subject, schema('long')), { code: 'SIDEREAL_SCHEMA_INCOMPATIBLE' })
  await assert.rejects(open().fetch(2 ** 30), { code: 'SIDEREAL_SCHEMA_UNKNOWN' })
})

test('the Confluent client of kafkajs reads what the record writer wrote', async () => {
  const registry = open()
  const writer = new RecordWriter()
  const other = new KafkajsRegistry(
    { host: servers.registryUrl },
    { [SchemaType.AVRO]: { typeHook: int64TypeHook, wrapUnions: 'always' } },
  )
  const batch = bundledSchema('sidereal.SpanBatch').json
  const log = bundledSchema('sidereal.NodeTraceLog').json
  const batchId = await registry.register(subjectFor(topic, 'sidereal.SpanBatch'), batch)
  const logId = await registry.register(subjectFor(topic, 'sidereal.NodeTraceLog'), log)
  const isSame = async (framed: Buffer, id: number, schema: string) => {
    assert.equal(readFrame(framed), id)
    const decoded: unknown = await other.decode(framed)
    assert.ok(avscType(schema).toBuffer(decoded).equals(framed.subarray(BODY_START)))
  }
  await fc.assert(
    fc.asyncProperty(anySpanBatch, anyNodeTraceLog, async (someBatch, someLog) => {
      await isSame(writer.encodeSpanBatch(someBatch, batchId), batchId, batch)
      await isSame(writer.encodeNodeTraceLog(someLog, logId), logId, log)
    }),
    { numRuns: 30 },
  )
})
