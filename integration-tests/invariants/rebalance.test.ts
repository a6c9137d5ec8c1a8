import { test } from 'node:test'
import { useServers } from '../support/servers.ts'
import { metric } from '../worker/worker-for-tests.ts'
import { endWell, FreshPipeline } from './pipeline-for-tests.ts'

const PARTITIONS = 6
const servers = await useServers()

const assigned = (...urls: readonly string[]) =>
  Promise.all(urls.map((url) => metric(url, 'sidereal_assigned_partitions')))

test('two workers, a third joins and one leaves in the middle of a load: the tables are what was sent', async () => {
  const pipeline = await FreshPipeline.open(servers, { SIDEREAL_TOPIC_PARTITIONS: String(PARTITIONS) })
  const first = pipeline.startWorker()
  const second = pipeline.startWorker()
  const firstUrl = await first.metricsUrl()
  const secondUrl = await second.metricsUrl()
  await pipeline.until('both share the partitions', async () =>
    (await assigned(firstUrl, secondUrl)).every((count) => count === PARTITIONS / 2),
  )
  const load = pipeline.startLoad(800, '--payload-share', '0.1', '--open-share', '0.05')
  await pipeline.untilStored(1_500)

  const third = pipeline.startWorker()
  const thirdUrl = await third.metricsUrl()
  await pipeline.until('all three share the partitions', async () =>
    (await assigned(firstUrl, secondUrl, thirdUrl)).every((count) => count === PARTITIONS / 3),
  )
  await pipeline.untilStored((await pipeline.storedSpans()) + 1_500)

  await endWell(first)
  await pipeline.until('the two that stay share the partitions', async () =>
    (await assigned(secondUrl, thirdUrl)).every((count) => count === PARTITIONS / 2),
  )
  await pipeline.untilStored((await pipeline.storedSpans()) + 1_500)

  await load.stop()
  await pipeline.verifyClean([load.ledger])
  await endWell(second)
  await endWell(third)
})
