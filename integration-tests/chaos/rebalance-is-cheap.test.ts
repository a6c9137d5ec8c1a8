import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createKafka } from '../../src/kafka/client.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { endWell, FreshPipeline } from '../invariants/pipeline-for-tests.ts'
import { freshName } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import type { CliProcess } from '../worker/worker-for-tests.ts'
import { parseMetrics } from './metrics.ts'

const PARTITIONS = 12
const RECORDS = 2_000
/** No trace closes while the test runs: all that was read is unsettled, and whoever reads anew reads all of it. */
const NEVER_MS = '3600000'
const servers = await useServers('kafka', 'registry', 'clickhouse', 'seaweedfs')

interface Share {
  readonly partitions: ReadonlySet<number>
  readonly consumed: number
  /** All of them have been read to their ends. */
  readonly isAtEnd: boolean
}

async function shareOf(url: string): Promise<Share> {
  const samples = parseMetrics(await (await fetch(`${url}/metrics`)).text())
  const partitions = [...samples.keys()].flatMap((name) => {
    const partition = /^sidereal_lag_records\{partition="(\d+)"\}$/.exec(name)?.[1]
    return partition === undefined ? [] : [Number(partition)]
  })
  return {
    partitions: new Set(partitions),
    consumed: samples.get('sidereal_records_consumed_total') ?? Number.NaN,
    isAtEnd: samples.get('sidereal_lag_seconds_max') === 0 && samples.get('sidereal_ready') === 1,
  }
}

test('when a worker joins or leaves, the others read the partitions that they gain, and nothing of those that they keep', async () => {
  const pipeline = await FreshPipeline.open(servers, {
    SIDEREAL_TOPIC_PARTITIONS: String(PARTITIONS),
    SIDEREAL_QUIET_MS: NEVER_MS,
    SIDEREAL_IDLE_MS: NEVER_MS,
    SIDEREAL_MAX_AGE_MS: NEVER_MS,
    // On a busy machine a member must not be given up meanwhile: it would have to begin anew, and rightly so.
    SIDEREAL_SESSION_TIMEOUT_MS: '60000',
  })
  const kafka = createKafka(
    { brokers: servers.brokers },
    { clientId: freshName('client'), logger: silentLogger },
  )
  const admin = kafka.admin()
  await admin.connect()
  const recordsOf = async () =>
    new Map(
      (await admin.fetchTopicOffsets(pipeline.topic)).map(({ partition, high }) => [partition, Number(high)]),
    )
  const start = async (): Promise<{ worker: CliProcess; url: string }> => {
    const worker = pipeline.startWorker()
    return { worker, url: await worker.metricsUrl() }
  }
  try {
    const first = await start()
    const second = await start()
    const load = pipeline.startLoad(1_500, '--payload-share', '0')
    await pipeline.until('enough is sent', async () => {
      return [...(await recordsOf()).values()].reduce((sum, count) => sum + count, 0) > RECORDS
    })
    await load.stop()
    const records = await recordsOf()
    const recordsIn = (partitions: Iterable<number>): number =>
      [...partitions].reduce((sum, partition) => sum + (records.get(partition) ?? 0), 0)

    /** Waits until these share all partitions, then holds what each has read since against what it gained. */
    const settleAmong = async (
      members: readonly { url: string; before: Share | undefined }[],
    ): Promise<Share[]> => {
      let shares: Share[] = []
      await pipeline.until('all partitions are shared out and read', async () => {
        shares = await Promise.all(members.map(({ url }) => shareOf(url)))
        const even = PARTITIONS / members.length
        return shares.every(({ partitions, consumed, isAtEnd }, place) => {
          const { before } = members[place]!
          const gained = [...partitions].filter((partition) => before?.partitions.has(partition) !== true)
          return (
            isAtEnd && partitions.size === even && consumed - (before?.consumed ?? 0) >= recordsIn(gained)
          )
        })
      })
      return shares
    }
    const assertReadOnlyGains = (before: Share, after: Share): void => {
      const gained = [...after.partitions].filter((partition) => !before.partitions.has(partition))
      assert.equal(after.consumed - before.consumed, recordsIn(gained), `gained ${gained}`)
    }

    const before = await settleAmong([
      { url: first.url, before: undefined },
      { url: second.url, before: undefined },
    ])
    const third = await start()
    const joined = await settleAmong([
      { url: first.url, before: before[0] },
      { url: second.url, before: before[1] },
      { url: third.url, before: undefined },
    ])
    const kept = joined.slice(0, 2).flatMap(({ partitions }, place) => {
      return [...partitions].filter((partition) => before[place]!.partitions.has(partition))
    })
    assert.ok(kept.length >= PARTITIONS / 2, `${kept.length} partitions stayed where they were`)
    assertReadOnlyGains(before[0]!, joined[0]!)
    assertReadOnlyGains(before[1]!, joined[1]!)

    await endWell(third.worker)
    const left = await settleAmong([
      { url: first.url, before: joined[0] },
      { url: second.url, before: joined[1] },
    ])
    assertReadOnlyGains(joined[0]!, left[0]!)
    assertReadOnlyGains(joined[1]!, left[1]!)
    process.stderr.write(
      `${kept.length} of ${PARTITIONS} partitions kept at the join, ${recordsIn(kept)} open records in them, none read again\n`,
    )
  } finally {
    await admin.disconnect()
  }
})
