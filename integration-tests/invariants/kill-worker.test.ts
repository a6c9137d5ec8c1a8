import { test } from 'node:test'
import { useServers } from '../support/servers.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { metric } from '../worker/worker-for-tests.ts'
import { endWell, FreshPipeline } from './pipeline-for-tests.ts'

/** So much waits for ClickHouse that several commits have been made meanwhile: none of them may know of it. */
const WAITING_BYTES = 3_000_000
const servers = await useServers()

test('kill -9 of the worker in the middle of a load, twice: after a restart the tables are what was sent', async () => {
  const pipeline = await FreshPipeline.open(servers)
  const proxy = new TcpProxy(servers.clickhouseUrl)
  const env = { SIDEREAL_CLICKHOUSE_URL: await proxy.start() }
  try {
    const first = pipeline.startWorker(env)
    const url = await first.metricsUrl()
    // Traces with payloads, and traces that stay open for long: so that what is settled lies above what is not.
    const load = pipeline.startLoad(800, '--payload-share', '0.1', '--open-share', '0.05')
    await pipeline.untilStored(1_000)
    proxy.set('hanging')
    await pipeline.until(
      'batches wait for ClickHouse',
      async () => (await metric(url, 'sidereal_undelivered_bytes')) > WAITING_BYTES,
    )
    await first.kill('SIGKILL')
    proxy.set('open')

    const second = pipeline.startWorker(env)
    await second.metricsUrl()
    await pipeline.untilStored(6_000)
    await second.kill('SIGKILL')

    const third = pipeline.startWorker(env)
    await third.metricsUrl()
    await load.stop()
    await pipeline.verifyClean([load.ledger])
    await endWell(third)
  } finally {
    await proxy.close()
  }
})
