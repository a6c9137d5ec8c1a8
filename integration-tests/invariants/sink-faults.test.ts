import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { ClickHouse } from '../../src/storage/clickhouse/client.ts'
import { freshDatabase } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { metric, until } from '../worker/worker-for-tests.ts'
import { endWell, FreshPipeline } from './pipeline-for-tests.ts'

const servers = await useServers()
/** A server that is not ready says so after half a minute of failures, and attempts are up to 10 s apart. */
const PATIENCE_MS = 120_000

/** Settings that the server takes for every request of a client with this URL. */
const withSettings = (settings: Readonly<Record<string, string | number>>): string => {
  const url = new URL(servers.clickhouseUrl)
  for (const [name, value] of Object.entries(settings)) url.searchParams.set(`ch_${name}`, String(value))
  return url.href
}

const ERRORS = 'sidereal_sink_errors_total{sink="clickhouse",code="SIDEREAL_CLICKHOUSE_FAILED"}'

/** With progress in its headers the server answers before it is done. */
const INSERT = {
  send_progress_in_http_headers: 1,
  http_headers_progress_interval_ms: 1,
  max_insert_block_size: 1,
  input_format_parallel_parsing: 0,
  wait_end_of_query: 1,
}

interface StateFault {
  /** As ClickHouse calls it. */
  readonly error: string
  readonly begin: readonly string[]
  readonly end: readonly string[]
}

const STATE_FAULTS: readonly StateFault[] = [
  {
    error: 'TOO_MANY_PARTS',
    begin: ['ALTER TABLE spans MODIFY SETTING parts_to_delay_insert = 1, parts_to_throw_insert = 1'],
    end: ['ALTER TABLE spans RESET SETTING parts_to_delay_insert, parts_to_throw_insert'],
  },
  {
    error: 'NO_SUCH_COLUMN_IN_TABLE',
    // Another table in its place: ClickHouse may lose what it takes while a column is renamed.
    begin: [
      'CREATE TABLE drifted AS spans',
      'ALTER TABLE drifted DROP COLUMN status_message',
      'EXCHANGE TABLES spans AND drifted',
    ],
    end: ['EXCHANGE TABLES spans AND drifted', 'DROP TABLE drifted'],
  },
  {
    error: 'UNKNOWN_TABLE',
    begin: ['RENAME TABLE node_logs TO node_logs_away'],
    end: ['RENAME TABLE node_logs_away TO node_logs'],
  },
]

describe('a sink says no', { concurrency: 2 }, () => {
  test('ClickHouse, in every state that blames no row: all waits, /readyz says so and /healthz does not, nothing becomes a dead letter, and in the end the tables are what was sent', async () => {
    const pipeline = await FreshPipeline.open(servers)
    const load = pipeline.startLoad(200)
    const readOnly = pipeline.startWorker({ SIDEREAL_CLICKHOUSE_URL: withSettings({ readonly: 2 }) })
    const readOnlyUrl = await readOnly.metricsUrl()
    await pipeline.until('it is refused', async () => (await metric(readOnlyUrl, ERRORS)) >= 2)
    assert.match(readOnly.stdout, /READONLY \(code 164\)/)
    assert.equal(await pipeline.storedSpans(), 0)
    await endWell(readOnly)

    const worker = pipeline.startWorker()
    const url = await worker.metricsUrl()
    await pipeline.untilStored(500)
    const errors = async () => (await metric(url, ERRORS)) || 0
    for (const { error, begin, end } of STATE_FAULTS) {
      const before = await errors()
      for (const statement of begin) await pipeline.clickHouse.command(statement)
      await until(`writes fail by ${error}`, async () => (await errors()) >= before + 2, PATIENCE_MS)
      if (error === 'TOO_MANY_PARTS') {
        assert.match(worker.stdout, /TOO_MANY_PARTS \(code 252\)/)
        const ready = async () => await fetch(`${url}/readyz`)
        await until('it is not ready', async () => (await ready()).status === 503, PATIENCE_MS)
        assert.match(await (await ready()).text(), /required sink clickhouse fails for \d+ s/)
        assert.equal((await fetch(`${url}/healthz`)).status, 200)
      }
      for (const statement of end) await pipeline.clickHouse.command(statement)
      const stored = await pipeline.storedSpans()
      await pipeline.untilStored(stored + 100)
    }
    await load.stop()
    await pipeline.verifyClean([load.ledger])
    assert.equal((await fetch(`${url}/readyz`)).status, 200)
    const letters = await pipeline.run(['dead-letters', 'list', '--json'])
    assert.doesNotMatch(letters.output, /^\{/m)
    await endWell(worker)
  })

  test('ClickHouse, after it has answered 200: the exception in the body is the answer', async () => {
    const database = await freshDatabase(servers)
    const connection = {
      database,
      username: servers.env['SIDEREAL_CLICKHOUSE_USERNAME'],
      password: servers.env['SIDEREAL_CLICKHOUSE_PASSWORD'],
      requestTimeoutMs: 60_000,
    }
    const plain = new ClickHouse({ ...connection, url: servers.clickhouseUrl })
    const hasty = new ClickHouse({ ...connection, url: withSettings(INSERT) })
    try {
      await plain.command('CREATE TABLE numbers (n UInt64) ENGINE = MergeTree ORDER BY n')
      await plain.command('ALTER TABLE numbers ADD CONSTRAINT few CHECK sleepEachRow(0.2) = 0 AND n < 5')
      const blocks = Array.from({ length: 8 }, (_, n) => nativeBlock(BigInt(n)))
      // First by hand: this server does say 200.
      const url = new URL(withSettings(INSERT))
      url.search = url.search.replaceAll('ch_', '')
      url.searchParams.set('database', database)
      url.searchParams.set('query', 'INSERT INTO numbers (n) FORMAT Native')
      const ask = () =>
        fetch(url, {
          method: 'POST',
          body: Buffer.concat(blocks),
          headers: {
            'X-ClickHouse-User': connection.username ?? 'default',
            'X-ClickHouse-Key': connection.password ?? '',
          },
        })
      let answer = await ask()
      // On a busy machine the progress may come too late for the headers of one answer.
      for (let further = 0; further < 9 && answer.status !== 200; further++) {
        await answer.body?.cancel()
        answer = await ask()
      }
      assert.equal(answer.status, 200)
      assert.match(await answer.text(), /^Code: 469\. DB::Exception/)
      await assert.rejects(hasty.insertNative('numbers', ['n'], blocks), { code: 'SIDEREAL_ROW_REFUSED' })
    } finally {
      await plain.close()
      await hasty.close()
    }
  })

  test('a directory in place of an object store is full: payloads wait, and when there is room the tables are what was sent', async (context) => {
    const folder = mkdtempSync(join(tmpdir(), 'sidereal-full-'))
    const mount = (options: string) =>
      execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder], { stdio: 'pipe' })
    try {
      mount('size=128k')
    } catch (error) {
      rmdirSync(folder)
      context.skip(
        `a file system of its own cannot be mounted here: ${error instanceof Error ? error.message : error}`,
      )
      return
    }
    context.after(() => {
      execFileSync('umount', [folder])
      rmdirSync(folder)
    })
    const pipeline = await FreshPipeline.open(servers, { SIDEREAL_OBJECT_STORE: pathToFileURL(folder).href })
    const worker = pipeline.startWorker()
    const url = await worker.metricsUrl()
    const ledger = pipeline.newFile('load.jsonl')
    const load = await pipeline.run(['load', '--ledger', ledger, '--traces', '150', '--payload-share', '0.8'])
    assert.equal(load.code, 0, load.output)
    await pipeline.until('the directory is full', () =>
      /SIDEREAL_OBJECT_STORE_UNAVAILABLE.*ENOSPC/.test(worker.stdout),
    )
    assert.ok((await pipeline.storedSpans()) < 150 * 12)
    assert.equal((await fetch(`${url}/healthz`)).status, 200)
    mount('remount,size=256m')
    await pipeline.verifyClean([ledger])
    await endWell(worker)
  })
})

/** One column `n UInt64` of one row. */
function nativeBlock(value: bigint): Buffer {
  const text = (word: string) => Buffer.from([word.length, ...Buffer.from(word)])
  const number = Buffer.alloc(8)
  number.writeBigUInt64LE(value)
  return Buffer.concat([Buffer.from([1, 1]), text('n'), text('UInt64'), number])
}
