import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ROOT_CONTEXT } from '@opentelemetry/api'
import { COMPRESSIONS, type Compression } from '../../src/kafka/codecs.ts'
import { TracingService, tracingConfigFromEnv } from '../../src/producer/index.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { runJava } from '../kafka/kafka-for-tests.ts'
import { freshTopic } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'

const servers = await useServers('kafka', 'registry')
const SPANS = 400

interface LogDirs {
  readonly brokers: readonly {
    readonly logDirs: readonly {
      readonly partitions: readonly { readonly partition: string; readonly size: number }[]
    }[]
  }[]
}

/** Bytes of a topic on the disk of its brokers, as Kafka's own tool says it. */
async function bytesOf(topic: string): Promise<number> {
  const output = await runJava('org.apache.kafka.tools.LogDirsCommand', [
    ...['--bootstrap-server', servers.brokers.join(','), '--describe', '--topic-list', topic],
  ])
  const answer = JSON.parse(output.slice(output.indexOf('{'))) as LogDirs
  const partitions = answer.brokers.flatMap(({ logDirs }) => logDirs.flatMap((dir) => dir.partitions))
  return partitions.reduce((sum, { size }) => sum + size, 0)
}

/** Sends the same spans each time, compressed as the environment says, and gives the bytes in the topic. */
async function bytesSent(compression: Compression | undefined): Promise<number> {
  const topic = await freshTopic(servers, { partitions: 1 })
  const service = new TracingService({
    ...tracingConfigFromEnv({
      ...servers.env,
      SERVICE_NAME: 'compressing',
      SIDEREAL_TOPIC: topic,
      ...(compression === undefined ? {} : { SIDEREAL_PRODUCER_COMPRESSION: compression }),
    }),
    logger: silentLogger,
  })
  for (let i = 0; i < SPANS; i++)
    service.tracer.startSpan('work', { attributes: { text: 'the same '.repeat(50) } }, ROOT_CONTEXT).end()
  assert.equal(await service.flush(30_000), true)
  assert.equal(service.stats().spans.sent, SPANS)
  await service.shutdown()
  return await bytesOf(topic)
}

test('what the topic holds is compressed as the configuration says, by default with zstd', async () => {
  const bytes = {} as Record<Compression, number>
  for (const compression of COMPRESSIONS) bytes[compression] = await bytesSent(compression)
  assert.ok(bytes.none > SPANS * 450, `${bytes.none} bytes`)
  for (const compression of COMPRESSIONS.filter((name) => name !== 'none'))
    assert.ok(
      bytes[compression] < bytes.none / 4,
      `${compression}: ${bytes[compression]} of ${bytes.none} bytes`,
    )
  const byDefault = await bytesSent(undefined)
  // Ids and times differ from run to run.
  assert.ok(Math.abs(byDefault - bytes.zstd) < bytes.zstd * 0.05, `${byDefault} beside ${bytes.zstd} bytes`)
  assert.ok(bytes.zstd < bytes.gzip, JSON.stringify(bytes))
})
