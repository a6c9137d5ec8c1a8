import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import kafkajs from 'kafkajs'
import { parsePayloadReference } from '../../src/model/payload-reference-text.ts'
import { type ClickHouse, openClickHouse } from '../../src/storage/clickhouse/client.ts'
import { useServers } from '../support/servers.ts'
import { type CliResult, type Env, freshInstallation, runCli, WorkerProcess } from './cli-for-tests.ts'

const servers = await useServers('kafka', 'registry', 'clickhouse')
const folder = mkdtempSync(join(tmpdir(), 'sidereal-verify-'))
const payloads = join(folder, 'payloads')
const ledger = join(folder, 'ledger.jsonl')
const env: Env = { ...(await freshInstallation(servers)), SIDEREAL_OBJECT_STORE: `file://${payloads}` }
const client = openClickHouse({
  url: servers.clickhouseUrl,
  database: env['SIDEREAL_CLICKHOUSE_DATABASE'] ?? '',
  username: env['SIDEREAL_CLICKHOUSE_USERNAME'],
  password: env['SIDEREAL_CLICKHOUSE_PASSWORD'],
  requestTimeoutMs: 60_000,
})
let worker: WorkerProcess | undefined

const CLEAN = { lost: 0, duplicated: 0, altered: 0, truncated: 0, extra: 0 }

before(async () => {
  const setup = await runCli(env, 'setup')
  assert.equal(setup.code, 0, setup.stdout + setup.stderr)
  const args = [
    '--traces',
    '80',
    '--payload-share',
    '0.3',
    '--open-share',
    '0.1',
    '--odd-time-share',
    '0.2',
    '--seed',
    '42',
  ]
  const load = await runCli(env, 'load', '--ledger', ledger, ...args)
  assert.equal(load.code, 0, load.stderr)
})

after(async () => {
  await worker?.stop()
  await client.close()
  rmSync(folder, { recursive: true, force: true })
})

async function verify(...args: string[]): Promise<{ counts: typeof CLEAN; result: CliResult }> {
  const result = await runCli(env, 'verify', '--ledger', ledger, '--timeout', '90', ...args)
  const line = result.stdout.trimEnd().split('\n').at(-1) ?? ''
  const match = /^(\d+) lost · (\d+) duplicated · (\d+) altered · (\d+) truncated · (\d+) extra$/.exec(line)
  assert.ok(match !== null, `no verdict: ${result.stdout}${result.stderr}`)
  const [lost = 0, duplicated = 0, altered = 0, truncated = 0, extra = 0] = match.slice(1).map(Number)
  return { counts: { lost, duplicated, altered, truncated, extra }, result }
}

async function expectCounts(expected: Partial<typeof CLEAN>): Promise<void> {
  const { counts, result } = await verify()
  const wanted = { ...CLEAN, ...expected }
  assert.deepEqual(counts, wanted, result.stdout)
  assert.equal(result.code, Object.values(wanted).every((count) => count === 0) ? 0 : 1)
}

/** Runs a statement that changes rows, to its end. */
function change(sql: string): Promise<void> {
  return client.command(`${sql} SETTINGS mutations_sync = 2`)
}

async function oneOf<Row>(sql: string): Promise<Row> {
  const [row] = await client.query<Row>(sql)
  assert.ok(row !== undefined, `no row for the test: ${sql}`)
  return row
}

/** Rows of a table that meet a condition are gone while `check` runs. */
async function without(
  db: ClickHouse,
  table: string,
  condition: string,
  check: () => Promise<void>,
): Promise<void> {
  await db.command('DROP TABLE IF EXISTS saved')
  await db.command(
    `CREATE TABLE saved ENGINE = MergeTree ORDER BY tuple() AS SELECT * FROM ${table} WHERE ${condition}`,
  )
  const [saved] = await db.query<{ rows: string }>('SELECT count() AS rows FROM saved')
  assert.equal(saved?.rows, '1', `${table} WHERE ${condition}`)
  await change(`ALTER TABLE ${table} DELETE WHERE ${condition}`)
  try {
    await check()
  } finally {
    await db.command(`INSERT INTO ${table} SELECT * FROM saved`)
  }
}

test('without a worker, verify gives up after its time and names what is open', async () => {
  const result = await runCli(env, 'verify', '--ledger', ledger, '--timeout', '1')
  assert.equal(result.code, 1)
  assert.match(result.stderr, /SIDEREAL_VERIFY_TIMEOUT.*partition \d at 0 of \d+/)
})

describe('after the worker has settled everything', () => {
  before(async () => {
    worker = new WorkerProcess(env)
    const { counts, result } = await verify()
    assert.deepEqual(counts, CLEAN, result.stdout + worker.log)
    assert.equal(result.code, 0)
    assert.match(result.stdout, /^80 traces, \d{4} rows as sent, [1-9]\d* payloads fetched$/m)
  })

  test('a span that is deleted is one lost row', async () => {
    const { sid, span_id } = await oneOf<{ sid: string; span_id: string }>(
      'SELECT sid, span_id FROM spans ORDER BY span_id LIMIT 1',
    )
    await without(client, 'spans', `sid = '${sid}' AND span_id = '${span_id}'`, () =>
      expectCounts({ lost: 1 }),
    )
    await expectCounts({})
  })

  test('a node that is deleted is one lost row', async () => {
    const { sid, place } = await oneOf<{ sid: string; place: number }>(
      'SELECT sid, place FROM node_logs_exact WHERE revision = 0 ORDER BY sid LIMIT 1',
    )
    await client.command('OPTIMIZE TABLE node_logs FINAL')
    await without(client, 'node_logs', `sid = '${sid}' AND place = ${place}`, () => expectCounts({ lost: 1 }))
  })

  test('a span that stands there twice, once under another day, is one duplicate', async () => {
    const { sid, span_id } = await oneOf<{ sid: string; span_id: string }>(
      'SELECT sid, span_id FROM spans ORDER BY span_id DESC LIMIT 1',
    )
    const which = `sid = '${sid}' AND span_id = '${span_id}'`
    await client.command(
      `INSERT INTO spans SELECT * REPLACE(start_time + toIntervalDay(3) AS start_time, end_time + toIntervalDay(3) AS end_time) FROM spans WHERE ${which}`,
    )
    await expectCounts({ duplicated: 1 })
    await change(`ALTER TABLE spans DELETE WHERE ${which} AND start_time > now() + toIntervalDay(2)`)
    await expectCounts({})
  })

  test('a row that is written a second time unchanged counts once', async () => {
    await client.command(
      'INSERT INTO spans SELECT * FROM spans WHERE sid IN (SELECT sid FROM spans ORDER BY sid LIMIT 10)',
    )
    await client.command('INSERT INTO trace_fragments SELECT * FROM trace_fragments')
    await expectCounts({})
  })

  test('an attribute that changed its type is one altered row', async () => {
    const { sid, span_id, types } = await oneOf<{ sid: string; span_id: string; types: string }>(
      "SELECT sid, span_id, attribute_types AS types FROM spans_exact WHERE startsWith(attribute_types, 'si') ORDER BY span_id LIMIT 1",
    )
    const which = `sid = '${sid}' AND span_id = '${span_id}'`
    await change(
      `ALTER TABLE spans UPDATE attribute_types = concat('ss', substring(attribute_types, 3)) WHERE ${which}`,
    )
    await expectCounts({ altered: 1 })
    await change(`ALTER TABLE spans UPDATE attribute_types = '${types}' WHERE ${which}`)
    await expectCounts({})
  })

  test('a payload whose bytes are lost is one altered row', async () => {
    const { reference } = await oneOf<{ reference: string }>(
      'SELECT mapValues(payload_refs)[1] AS reference FROM spans_exact WHERE length(mapKeys(payload_refs)) > 0 ORDER BY sid LIMIT 1',
    )
    const { key, offset, length } = parsePayloadReference(reference)
    const path = join(payloads, key ?? '')
    const pack = readFileSync(path)
    writeFileSync(
      path,
      Buffer.concat([pack.subarray(0, offset), Buffer.alloc(length), pack.subarray(offset + length)]),
    )
    await expectCounts({ altered: 1 })
    writeFileSync(path, pack)
    await expectCounts({})
  })

  test('a fragment that is cut, or gone, is one truncated trace', async () => {
    await client.command('OPTIMIZE TABLE trace_fragments FINAL')
    const { sid } = await oneOf<{ sid: string }>(
      'SELECT sid FROM trace_fragments GROUP BY sid HAVING count() = 1 ORDER BY sid LIMIT 1',
    )
    await without(client, 'trace_fragments', `sid = '${sid}'`, async () => {
      await expectCounts({ truncated: 1 })
      await client.command(
        'INSERT INTO trace_fragments SELECT * REPLACE(arrayPopBack(span_keys) AS span_keys) FROM saved',
      )
      await expectCounts({ truncated: 1 })
      await change(`ALTER TABLE trace_fragments DELETE WHERE sid = '${sid}'`)
    })
    await expectCounts({})
  })

  test('rows that nobody sent are extra, under a SID of the ledger or under another of its kind', async () => {
    const { sid } = await oneOf<{ sid: string }>('SELECT sid FROM spans ORDER BY sid LIMIT 1')
    const row = `(SELECT * FROM spans_exact WHERE sid = '${sid}' LIMIT 1)`
    await client.command(`INSERT INTO spans SELECT * REPLACE('00000000000000ff' AS span_id) FROM ${row}`)
    await client.command(`INSERT INTO spans SELECT * REPLACE(concat(sid, 'x') AS sid) FROM ${row}`)
    await expectCounts({ extra: 2 })
    await change(`ALTER TABLE spans DELETE WHERE span_id = '00000000000000ff' OR endsWith(sid, 'x')`)
    await expectCounts({})
  })

  test('what was sent but not acknowledged may be there or not', async () => {
    const whole = readFileSync(ledger, 'utf8')
    const lines = whole.split('\n').filter((line) => !line.includes('"acknowledged"'))
    const { sid, span_id, name } = await oneOf<{ sid: string; span_id: string; name: string }>(
      'SELECT sid, span_id, name FROM spans ORDER BY span_id LIMIT 1',
    )
    const which = `sid = '${sid}' AND span_id = '${span_id}'`
    try {
      writeFileSync(ledger, lines.join('\n'))
      await expectCounts({})
      // Its fragment still counts it, so the trace disagrees; but the row itself is not missed.
      await without(client, 'spans', which, () => expectCounts({ truncated: 1 }))
      await change(`ALTER TABLE spans UPDATE name = 'changed' WHERE ${which}`)
      await expectCounts({ altered: 1 })
      await change(`ALTER TABLE spans UPDATE name = '${name}' WHERE ${which}`)
    } finally {
      writeFileSync(ledger, whole)
    }
  })

  test('rows whose record is a dead letter are listed apart, with partition, offset and reason', async () => {
    const contentLedger = join(folder, 'content.jsonl')
    const lines = [
      { type: 'content', version: 1 },
      { type: 'span', sid: 'sid-of-garbage', traceId: 'ab'.repeat(16), spanId: 'cd'.repeat(8) },
    ]
    writeFileSync(contentLedger, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
    await produce('sid-of-garbage', 'this is no record')
    const result = await runCli(env, 'verify', '--ledger', contentLedger, '--timeout', '90')
    assert.match(
      result.stdout,
      /^dead letter: partition \d+, offset \d+: \w+, bad_frame$/m,
      result.stdout + result.stderr,
    )
    assert.match(result.stdout, /^0 lost · 0 duplicated · 0 altered · 0 truncated · 0 extra$/m)
    assert.equal(result.code, 1)
    await expectCounts({})
  })
})

async function produce(key: string, value: string): Promise<void> {
  const kafka = new kafkajs.Kafka({
    brokers: servers.brokers,
    clientId: 'sidereal-test',
    logLevel: kafkajs.logLevel.NOTHING,
  })
  const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
  await producer.connect()
  try {
    await producer.send({ topic: env['SIDEREAL_TOPIC'] ?? '', messages: [{ key, value }] })
  } finally {
    await producer.disconnect()
  }
}
