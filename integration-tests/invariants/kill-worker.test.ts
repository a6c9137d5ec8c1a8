import { test } from 'node:test'
import { useServers } from '../support/servers.ts'
import { endWell, FreshPipeline } from './pipeline-for-tests.ts'

const servers = await useServers()

test('kill -9 of the worker in the middle of a load, twice: after a restart the tables are what was sent', async () => {
  const pipeline = await FreshPipeline.open(servers)
  const first = pipeline.startWorker()
  await first.metricsUrl()
  // Traces with payloads, and traces that stay open for long: so that what is settled lies above what is not.
  const load = pipeline.startLoad(800, '--payload-share', '0.1', '--open-share', '0.05')
  await pipeline.untilStored(1_000)
  await first.kill('SIGKILL')

  const second = pipeline.startWorker()
  await second.metricsUrl()
  await pipeline.untilStored(6_000)
  await second.kill('SIGKILL')

  const third = pipeline.startWorker()
  await third.metricsUrl()
  await load.stop()
  await pipeline.verifyClean([load.ledger])
  await endWell(third)
})
