import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { freshTopic } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import type { PartOfService } from './many-processes.ts'
import { readNames } from './topic-names.ts'

const servers = await useServers('kafka', 'registry')
const SCRIPT = fileURLToPath(new URL('many-processes.ts', import.meta.url))

for (const kind of ['threads', 'cluster'] as const) {
  test(`a service in ${kind} with one configuration and one spool folder: SIDs are distinct, and all that each part made is in Kafka`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), `sidereal-${kind}-`))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const topic = await freshTopic(servers, { partitions: 3 })
    const { stdout } = await promisify(execFile)(process.execPath, [SCRIPT, kind], {
      env: {
        ...process.env,
        ...servers.env,
        SERVICE_NAME: kind,
        SIDEREAL_TOPIC: topic,
        SIDEREAL_PRODUCER_SPOOL_DIR: folder,
      },
      timeout: 60_000,
    })
    const parts = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as PartOfService)
    // The main thread or the primary process is one of them.
    assert.equal(parts.length, 4)
    const sids = parts.flatMap((part) => part.sids)
    assert.equal(new Set(sids).size, sids.length)
    const { spans, logs, total } = await readNames(servers, topic)
    for (const { name, sids: made, isSafe } of parts) {
      assert.equal(isSafe, true)
      for (let i = 0; i < made.length; i++) {
        assert.ok(spans.has(`${name}-${i}`), `${name}-${i}`)
        assert.ok(logs.has(`${name}-log-${i}`), `${name}-log-${i}`)
      }
    }
    assert.equal(total, 2 * sids.length)
    assert.deepEqual(
      readdirSync(folder, { recursive: true }).filter((file) => String(file).endsWith('.spool')),
      [],
    )
  })
}
