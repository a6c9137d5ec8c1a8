import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createKafka } from '../../src/kafka/client.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { freshName } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { endWell, FreshPipeline } from './pipeline-for-tests.ts'

const servers = await useServers()
const TRACES = 250

interface Listed {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly reason: string
  readonly stage: string
  readonly sid: string
  readonly errorMessage: string
  readonly firstReceivedAt: string
  readonly letters: number
}

/** Everything that the exact views and `traces` show, but for the object that a payload lies in: a replay packs it again. */
async function shown(pipeline: FreshPipeline): Promise<Record<string, string[]>> {
  const views = {
    spans: 'SELECT * EXCEPT (payload_refs) FROM spans_exact',
    logs: 'SELECT * EXCEPT (payload_refs) FROM node_trace_logs_exact',
    nodes: 'SELECT * EXCEPT (payload_refs) FROM node_logs_exact',
    lookup: 'SELECT * FROM id_lookup_exact',
    traces: 'SELECT * FROM traces',
  }
  const rows = Object.entries(views).map(async ([view, sql]) => {
    const found = await pipeline.clickHouse.query<object>(sql)
    return [view, found.map((row) => JSON.stringify(row))] as const
  })
  return Object.fromEntries(await Promise.all(rows))
}

async function endOffsets(topic: string): Promise<number> {
  const kafka = createKafka(
    { brokers: servers.brokers },
    { clientId: freshName('client'), logger: silentLogger },
  )
  const admin = kafka.admin()
  await admin.connect()
  try {
    return (await admin.fetchTopicOffsets(topic)).reduce((sum, { high }) => sum + Number(high), 0)
  } finally {
    await admin.disconnect()
  }
}

describe('rows that ClickHouse refuses', () => {
  test('their records become dead letters, all others are stored; when the constraint is dropped replay brings them in, and a second replay changes nothing', async () => {
    const pipeline = await FreshPipeline.open(servers)
    // One span in 150, so one record in 40: by content, as an operator's constraint would.
    await pipeline.clickHouse.command(
      'ALTER TABLE spans ADD CONSTRAINT no_unlucky_spans CHECK cityHash64(span_id) % 150 != 7',
    )
    const worker = pipeline.startWorker()
    await worker.metricsUrl()
    const ledger = pipeline.newFile('load.jsonl')
    const load = await pipeline.run(['load', '--ledger', ledger, '--traces', String(TRACES), '--seed', '11'])
    assert.equal(load.code, 0, load.output)

    // verify names them, and finds nothing else wrong: fragments and traces leave the refused records out.
    const before = await pipeline.run(['verify', '--timeout', '120', '--ledger', ledger])
    assert.equal(before.code, 1, before.output)
    assert.match(before.output, /\n0 lost · 0 duplicated · 0 altered · 0 truncated · 0 extra\n/)
    assert.match(before.output, /\d+ rows are missing because their records are dead letters:/)
    assert.match(before.output, /dead letter: partition \d+, offset \d+: TASK_PUT, refused/)

    const listedAtMs = Date.now()
    const list = await pipeline.run(['dead-letters', 'list', '--json', '--limit', '1000'])
    assert.equal(list.code, 0, list.output)
    const letters = list.output
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line): Listed => JSON.parse(line))
    assert.ok(letters.length > 3 && letters.length < TRACES, `${letters.length} records were refused`)
    for (const letter of letters) {
      assert.deepEqual([letter.topic, letter.reason, letter.stage], [pipeline.topic, 'refused', 'TASK_PUT'])
      assert.match(
        letter.errorMessage,
        /VIOLATED_CONSTRAINT \(code 469\): constraint no_unlucky_spans of [\w.]+spans\.$/,
        'the code of the server, and no value of a row',
      )
    }

    await pipeline.clickHouse.command('ALTER TABLE spans DROP CONSTRAINT no_unlucky_spans')
    const sentBefore = await endOffsets(pipeline.topic)
    const dry = await pipeline.run(['dead-letters', 'replay', '--reason', 'refused'])
    assert.equal(dry.code, 0, dry.output)
    assert.match(
      dry.output,
      new RegExp(`^${letters.length} records .* would be sent to .*Nothing was sent`, 'm'),
    )
    assert.equal(await endOffsets(pipeline.topic), sentBefore, 'a dry run sends nothing')

    const replay = await pipeline.run(['dead-letters', 'replay', '--reason', 'refused', '--yes'])
    assert.equal(replay.code, 0, replay.output)
    assert.match(replay.output, new RegExp(`^${letters.length} records .* were sent to`, 'm'))
    assert.equal(await endOffsets(pipeline.topic), sentBefore + letters.length)
    await pipeline.verifyClean([ledger])

    const received = await pipeline.clickHouse.query<{ sid: string; times: string[] }>(
      `SELECT sid, arrayDistinct(groupArray(toString(toUnixTimestamp64Milli(received_at)))) AS times
       FROM spans_exact WHERE sid IN {sids:Array(String)} GROUP BY sid`,
      { sids: letters.map(({ sid }) => sid) },
    )
    const timesOf = new Map(received.map(({ sid, times }) => [sid, times]))
    for (const { sid, firstReceivedAt } of letters) {
      assert.ok(
        timesOf.get(sid)?.includes(String(Date.parse(firstReceivedAt))),
        `rows of ${sid} were received when Kafka first took their record`,
      )
      assert.ok(
        timesOf.get(sid)?.every((time) => Number(time) <= listedAtMs),
        `no row of ${sid} has the time of the replay`,
      )
    }

    const stored = await shown(pipeline)
    assert.ok(Object.values(stored).every((rows) => rows.length > 0))
    const again = await pipeline.run(['dead-letters', 'replay', '--yes'])
    assert.equal(again.code, 0, again.output)
    await pipeline.verifyClean([ledger])
    for (const [view, rows] of Object.entries(await shown(pipeline))) {
      const former = new Set(stored[view])
      const changed = rows.filter((row) => !former.has(row)).map((row) => row.slice(0, 200))
      assert.deepEqual(changed.slice(0, 3), [], `${changed.length} rows of ${view} have changed`)
      assert.equal(rows.length, former.size, view)
    }
    await endWell(worker)
  })
})
