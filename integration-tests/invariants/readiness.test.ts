import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { CheckedProducer } from '../../src/kafka/checked-producer.ts'
import { createKafka } from '../../src/kafka/client.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { useServers } from '../support/servers.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../worker/worker-for-tests.ts'
import { endWell, FreshPipeline } from './pipeline-for-tests.ts'

const servers = await useServers()
const [store, registry] = [new TcpProxy(servers.s3Endpoint), new TcpProxy(servers.registryUrl)]
const changes = {
  SIDEREAL_S3_ENDPOINT: await store.start(),
  SIDEREAL_REGISTRY_URL: await registry.start(),
}
after(() => Promise.all([store.close(), registry.close()]))

test('a worker whose work waits for the object store or the registry says so in /readyz, stays alive, and is ready again when they are back', async () => {
  const pipeline = await FreshPipeline.open(servers, changes)
  const worker = pipeline.startWorker()
  const url = await worker.metricsUrl()
  const readiness = async (): Promise<{ status: number; problems: string }> => {
    const response = await fetch(`${url}/readyz`)
    const body = (await response.json()) as { problems: string[] }
    return { status: response.status, problems: body.problems.join('\n') }
  }
  const untilReady = () =>
    pipeline.until('the worker is ready', async () => (await readiness()).status === 200)
  const untilBlamed = (server: RegExp) =>
    until(
      `the worker blames ${server}`,
      async () => {
        const { status, problems } = await readiness()
        return status === 503 && server.test(problems)
      },
      180_000,
    )
  await untilReady()

  store.set('refusing')
  const ledger = pipeline.newFile('load.jsonl')
  const load = await pipeline.run(['load', '--ledger', ledger, '--traces', '20', '--payload-share', '1'])
  assert.equal(load.code, 0, load.output)
  await untilBlamed(/work waits for the object store s3:\/\//)
  assert.equal((await fetch(`${url}/healthz`)).status, 200)
  store.set('open')
  await untilReady()
  await pipeline.verifyClean([ledger])

  registry.set('refusing')
  const producer = new CheckedProducer({
    kafka: createKafka({ brokers: servers.brokers }, { clientId: 'test', logger: silentLogger }),
    brokers: servers.brokers,
    logger: silentLogger,
  })
  await producer.send(pipeline.topic, [
    { key: Buffer.from('sid'), value: Buffer.from('00000fffff00', 'hex') },
  ])
  await producer.close()
  await untilBlamed(/work waits for the schema registry at http/)
  registry.set('open')
  await untilReady()
  await endWell(worker)
})
