import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { bundledSchema } from '../../src/codec/bundled-schemas.ts'
import { RecordWriter } from '../../src/codec/record-writer.ts'
import { buildRegistryApp } from '../../src/local/registry/registry-app.ts'
import { SchemaStore } from '../../src/local/registry/schema-store.ts'
import type { SpanBatch } from '../../src/model/span.ts'
import { testBatch, testSpan } from '../../src/sinks/fragments.testing.ts'
import { freshName } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { metric, until } from '../worker/worker-for-tests.ts'
import { endWell, FreshPipeline } from './pipeline-for-tests.ts'
import { RecordSender, spanLine, writeContentLedger } from './records-for-tests.ts'

const servers = await useServers()
/** Attempts at the record come once a minute in the end, and "no such schema" is believed for half a minute. */
const PATIENCE_MS = 180_000

/** Traces of one span each. */
function traces(count: number, fields: Partial<SpanBatch> = {}): SpanBatch[] {
  return Array.from({ length: count }, () =>
    testBatch({ sid: freshName('cap'), spans: [testSpan()], ...fields }),
  )
}

/** What stands in the dead-letter topic, each record once. */
async function deadLettersOf(pipeline: FreshPipeline): Promise<{ partition: number; offset: number }[]> {
  const { code, output } = await pipeline.run(['dead-letters', 'list', '--json', '--limit', '1000'])
  assert.equal(code, 0, output)
  return output
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
}

async function ready(url: string): Promise<{ status: number; text: string }> {
  const response = await fetch(`${url}/readyz`)
  return { status: response.status, text: await response.text() }
}

/** Waits until the partition stands still, and holds what `/readyz`, `/metrics` and the log say of it. */
async function untilStopped(
  url: string,
  log: () => string,
  expected: { partition: number; offset: number; reason: string },
): Promise<void> {
  const { partition, offset, reason } = expected
  await until('the partition stands still', async () => (await metric(url, stopped(partition))) === 1)
  const { status, text } = await ready(url)
  assert.equal(status, 503)
  assert.match(
    text,
    new RegExp(
      `SIDEREAL_DEAD_LETTER_CAP: partition ${partition} stands still at offset ${offset} \\(${reason}\\)`,
    ),
  )
  await until(
    'its lag grows',
    async () => (await metric(url, `sidereal_lag_records{partition="${partition}"}`)) > 0,
  )
  const lines = log()
    .split('\n')
    .filter((line) => line.includes('SIDEREAL_DEAD_LETTER_CAP'))
    .map((line): Record<string, unknown> => JSON.parse(line))
  assert.equal(lines.length, 1, 'one log line')
  assert.deepEqual(
    [lines[0]?.['partition'], lines[0]?.['offset'], lines[0]?.['reason']],
    [partition, offset, reason],
  )
}

const stopped = (partition: number): string => `sidereal_partition_stopped{partition="${partition}"}`

describe('too many dead letters', () => {
  test('of a schema that is registered late stop their partition alone; it goes on by itself when the schema is there, and replay brings the rest', async () => {
    // A registry of its own, so that the id of the next schema is known.
    const app = buildRegistryApp(new SchemaStore())
    const registryUrl = await app.listen({ host: '127.0.0.1', port: 0 })
    const pipeline = await FreshPipeline.open(servers, {
      SIDEREAL_REGISTRY_URL: registryUrl,
      SIDEREAL_TOPIC_PARTITIONS: '2',
      SIDEREAL_DEAD_LETTER_MAX_CONSECUTIVE: '5',
    })
    const sender = await RecordSender.open({ ...servers, registryUrl }, pipeline.topic)
    try {
      const lateId = 3
      const writer = new RecordWriter()
      const [early, late, after, others] = [traces(2), traces(12), traces(3), traces(4)]
      const encoded = (batch: SpanBatch) => sender.spanBatch(batch)
      const recordsOf = (batches: SpanBatch[], partition: number, encode = encoded) =>
        batches.map((batch) => ({ key: Buffer.from(batch.sid), value: encode(batch), partition }))
      const worker = pipeline.startWorker()
      const url = await worker.metricsUrl()
      await sender.send(recordsOf(early, 0))
      await sender.send(recordsOf(late, 0, (batch) => writer.encodeSpanBatch(batch, lateId)))
      await sender.send(recordsOf(after, 0))
      await untilStopped(url, () => worker.stdout, { partition: 0, offset: 7, reason: 'schema_unknown' })
      await sender.send(recordsOf(others, 1))
      await pipeline.untilStored(others.length)
      assert.equal(await metric(url, stopped(1)), 0)
      assert.equal((await deadLettersOf(pipeline)).length, 5, 'as many as the cap lets through')

      // The same fields under another name of a type, so that it is a schema of its own.
      const schema = JSON.parse(bundledSchema('sidereal.SpanBatch').json)
      const id = await sender.registry.register(freshName('late'), JSON.stringify({ ...schema, doc: 'late' }))
      assert.equal(id, lateId)
      await until('the partition goes on', async () => (await metric(url, stopped(0))) === 0, PATIENCE_MS)
      const without5 = early.length + late.length - 5 + after.length + others.length
      await pipeline.untilStored(without5)
      assert.equal((await deadLettersOf(pipeline)).length, 5)
      assert.equal((await ready(url)).status, 200)

      const replay = await pipeline.run(['dead-letters', 'replay', '--reason', 'schema_unknown', '--yes'])
      assert.match(replay.output, /^5 records .* were sent to/m)
      const ledger = pipeline.newFile('content.jsonl')
      const lines = [...early, ...late, ...after, ...others].flatMap((batch) =>
        batch.spans.map((span) => spanLine(batch, span)),
      )
      writeContentLedger(ledger, lines)
      await pipeline.verifyClean([ledger])
      await endWell(worker)
    } finally {
      await sender.close()
      await app.close()
    }
  })

  test('that can never be read stay where they are until a restart without limits makes dead letters of them; nothing is lost or skipped', async () => {
    const pipeline = await FreshPipeline.open(servers, { SIDEREAL_TOPIC_PARTITIONS: '1' })
    const sender = await RecordSender.open(servers, pipeline.topic)
    try {
      const good = traces(3)
      const bad = Array.from({ length: 40 }, () => ({
        key: Buffer.from('sid'),
        value: Buffer.from('{"json": true}'),
        partition: 0,
      }))
      const sent = await sender.send(bad)
      await sender.send(
        good.map((batch) => ({ key: Buffer.from(batch.sid), value: sender.spanBatch(batch), partition: 0 })),
      )
      const capped = pipeline.startWorker({ SIDEREAL_DEAD_LETTER_MAX_CONSECUTIVE: '8' })
      const url = await capped.metricsUrl()
      await untilStopped(url, () => capped.stdout, { partition: 0, offset: 8, reason: 'bad_frame' })
      await endWell(capped)
      assert.equal((await deadLettersOf(pipeline)).length, 8)
      assert.equal(await pipeline.storedSpans(), 0)

      const uncapped = pipeline.startWorker({
        SIDEREAL_DEAD_LETTER_MAX_CONSECUTIVE: '0',
        SIDEREAL_DEAD_LETTER_MAX_RATIO: '0',
      })
      await pipeline.untilStored(good.length)
      const letters = await deadLettersOf(pipeline)
      const places = letters.map(({ partition, offset }) => `${partition}/${offset}`).sort()
      assert.deepEqual(places, sent.map(({ partition, offset }) => `${partition}/${offset}`).sort())
      await endWell(uncapped)
    } finally {
      await sender.close()
    }
  })

  test('of rows that ClickHouse refuses stop their partition alone; when the constraint is gone, all that waited is stored without a dead letter', async () => {
    const pipeline = await FreshPipeline.open(servers, {
      SIDEREAL_TOPIC_PARTITIONS: '2',
      SIDEREAL_DEAD_LETTER_MAX_CONSECUTIVE: '3',
    })
    const sender = await RecordSender.open(servers, pipeline.topic)
    try {
      await pipeline.clickHouse.command(
        "ALTER TABLE spans ADD CONSTRAINT no_such_app CHECK app_id != 'refused'",
      )
      const [refused, later, others] = [traces(10, { appId: 'refused' }), traces(2), traces(5)]
      const send = (batches: SpanBatch[], partition: number) =>
        sender.send(
          batches.map((batch) => ({
            key: Buffer.from(batch.sid),
            value: sender.spanBatch(batch),
            partition,
          })),
        )
      const worker = pipeline.startWorker()
      const url = await worker.metricsUrl()
      await send(refused, 0)
      await until('the partition stands still', async () => (await metric(url, stopped(0))) === 1)
      await send(later, 0)
      await send(others, 1)
      await pipeline.untilStored(others.length)
      const { status, text } = await ready(url)
      assert.equal(status, 503)
      assert.match(text, /SIDEREAL_DEAD_LETTER_CAP: partition 0 stands still at offset \d+ \(refused\)/)
      assert.equal((await deadLettersOf(pipeline)).length, 3)
      assert.equal(await pipeline.storedSpans(), others.length, 'no further record of the partition is taken')

      await pipeline.clickHouse.command('ALTER TABLE spans DROP CONSTRAINT no_such_app')
      await until('the partition goes on', async () => (await metric(url, stopped(0))) === 0, PATIENCE_MS)
      await pipeline.untilStored(refused.length - 3 + later.length + others.length)
      assert.equal((await deadLettersOf(pipeline)).length, 3)
      const replay = await pipeline.run(['dead-letters', 'replay', '--yes'])
      assert.match(replay.output, /^3 records .* were sent to/m)
      const ledger = pipeline.newFile('content.jsonl')
      const lines = [...refused, ...later, ...others].flatMap((batch) =>
        batch.spans.map((span) => spanLine(batch, span)),
      )
      writeContentLedger(ledger, lines)
      await pipeline.verifyClean([ledger])
      await endWell(worker)
    } finally {
      await sender.close()
    }
  })
})
