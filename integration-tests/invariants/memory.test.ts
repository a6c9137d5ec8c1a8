import assert from 'node:assert/strict'
import { test } from 'node:test'
import { processUsage } from '../support/process-usage.ts'
import { useServers } from '../support/servers.ts'
import { type CliProcess, metric } from '../worker/worker-for-tests.ts'
import { compressibleText, randomText, sendPayloads } from './payload-records.ts'
import { endWell, FreshPipeline } from './pipeline-for-tests.ts'
import { RecordSender, writeContentLedger } from './records-for-tests.ts'

// Small forms of the cases of `npm run memory`.

const MIB = 1024 * 1024
const MAX_MEMORY_MIB = 400
const LIMIT = { SIDEREAL_MAX_MEMORY: String(MAX_MEMORY_MIB * MIB) }
const BATCH_BYTES = 32 * MIB
const servers = await useServers()

/** What the kernel says of the whole process, at its worst moment so far. */
function assertWithinLimit(worker: CliProcess): void {
  const { peakRssMb } = processUsage(worker.pid)
  assert.ok(peakRssMb <= MAX_MEMORY_MIB, `${peakRssMb} MiB resident with a limit of ${MAX_MEMORY_MIB} MiB`)
}

async function untilSettled(pipeline: FreshPipeline, url: string, records: number): Promise<void> {
  await pipeline.until(`${records} records are settled`, async () => {
    return (await metric(url, 'sidereal_records_settled_total')) >= records
  })
}

test('a backlog of 1 MB values stays within the memory limit, packed to a hundredth or not at all', async () => {
  const pipeline = await FreshPipeline.open(servers, LIMIT)
  const sender = await RecordSender.open(servers, pipeline.topic, {
    maxBatchBytes: BATCH_BYTES,
    maxRequestBytes: 8 * BATCH_BYTES,
  })
  const kinds = [
    { text: compressibleText, count: 240, seed: 1 },
    { text: randomText, count: 60, seed: 2 },
  ]
  const lines: object[] = []
  for (const kind of kinds)
    lines.push(...(await sendPayloads(sender, { ...kind, bytesPerSend: 6 * BATCH_BYTES })))
  await sender.close()
  const ledger = pipeline.newFile('payloads.jsonl')
  writeContentLedger(ledger, lines)

  const worker = pipeline.startWorker()
  const url = await worker.metricsUrl()
  await untilSettled(pipeline, url, lines.length)
  assertWithinLimit(worker)
  assert.equal(await metric(url, 'sidereal_position_jumps_total'), 0, 'what was left came again in its place')
  assert.equal(await metric(url, 'sidereal_rebalances_total'), 1, 'it stayed a member of its group')
  await pipeline.verifyClean([ledger])
  await endWell(worker)
})

test('more open traces than memory, and a huge one: the oldest are closed early, and the tables are what was sent', async () => {
  const pipeline = await FreshPipeline.open(servers, LIMIT)
  const ledgers: string[] = []
  for (const shape of [
    ['--traces', '90000', '--spans-per-trace', '1', '--no-logs'],
    ['--traces', '1', '--spans-per-trace', '12000'],
  ]) {
    const ledger = pipeline.newFile('load.jsonl')
    const load = await pipeline.run(['load', '--payload-share', '0', '--ledger', ledger, ...shape])
    assert.equal(load.code, 0, load.output)
    ledgers.push(ledger)
  }
  const hours = { SIDEREAL_QUIET_MS: '3600000', SIDEREAL_IDLE_MS: '3600000', SIDEREAL_MAX_AGE_MS: '7200000' }
  const worker = pipeline.startWorker(hours)
  const url = await worker.metricsUrl()
  await pipeline.until('everything is read', async () => {
    return (await metric(url, 'sidereal_records_consumed_total')) >= 93_000
  })
  const early = await metric(url, 'sidereal_fragments_closed_total{reason="memory_pressure"}')
  assert.ok(early > 0, 'the open traces had more than their share')
  assertWithinLimit(worker)
  await endWell(worker)

  const next = pipeline.startWorker()
  await pipeline.untilStored(90_000 + 12_000)
  // Comparing each of the small traces would take minutes; they are one span each, so their number says it all.
  assert.equal(await pipeline.storedSpans(), 90_000 + 12_000)
  await pipeline.verifyClean(ledgers.slice(1))
  assertWithinLimit(next)
  await endWell(next)
})
