import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryShares } from '../../src/worker/memory-shares.ts'
import { useServers } from '../support/servers.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { metric } from '../worker/worker-for-tests.ts'
import { endWell, FreshPipeline } from './pipeline-for-tests.ts'

const MIB = 1024 * 1024
const MAX_MEMORY = 256 * MIB
/** What V8 and the allocator keep of memory that the worker has let go. */
const RESIDENT_MARGIN = 192 * MIB
const AWAY_MS = 10_000
const servers = await useServers()

test('ClickHouse away in the middle of a load: reading waits within its memory, and the tables are what was sent', async () => {
  const pipeline = await FreshPipeline.open(servers)
  const proxy = new TcpProxy(servers.clickhouseUrl)
  try {
    const worker = pipeline.startWorker({
      SIDEREAL_CLICKHOUSE_URL: await proxy.start(),
      SIDEREAL_MAX_MEMORY: String(MAX_MEMORY),
    })
    const url = await worker.metricsUrl()
    const peak = { resident: 0, undelivered: 0 }
    const look = async (): Promise<boolean> => {
      const [resident, undelivered, paused] = await Promise.all(
        [
          'process_resident_memory_bytes',
          'sidereal_undelivered_bytes',
          'sidereal_paused{reason="undelivered"}',
        ].map((name) => metric(url, name)),
      )
      peak.resident = Math.max(peak.resident, resident ?? Number.NaN)
      peak.undelivered = Math.max(peak.undelivered, undelivered ?? Number.NaN)
      return paused === 1
    }
    // Values of up to 200 KB in some traces: the share of memory is full before the server is back.
    const load = pipeline.startLoad(1_500, '--payload-share', '0.2')
    await pipeline.untilStored(2_000)

    proxy.set('refusing')
    const backAtMs = performance.now() + AWAY_MS
    await pipeline.until('reading has paused', look)
    const stored = await pipeline.storedSpans()
    await pipeline.until('the time is over', async () => {
      await look()
      return performance.now() >= backAtMs
    })
    assert.equal(await pipeline.storedSpans(), stored, 'nothing was stored meanwhile')
    assert.equal((await fetch(`${url}/healthz`)).status, 200, 'an outage is no reason for a restart')

    proxy.set('open')
    await load.stop()
    await pipeline.until('everything is settled', async () => {
      await look()
      return (await metric(url, 'sidereal_watermark_age_seconds_max')) === 0
    })
    await pipeline.verifyClean([load.ledger])
    await endWell(worker)

    // What is open when reading pauses may still be closed.
    const { undeliveredBytes, openBytes } = memoryShares(MAX_MEMORY)
    const figures = JSON.stringify(peak)
    assert.ok(peak.undelivered <= undeliveredBytes + openBytes, figures)
    assert.ok(peak.resident <= MAX_MEMORY + RESIDENT_MARGIN, figures)
  } finally {
    await proxy.close()
  }
})
