import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { useServers } from '../support/servers.ts'
import { type Env, freshInstallation, runCli, startCli, WorkerProcess } from './cli-for-tests.ts'

const servers = await useServers('kafka', 'registry', 'clickhouse')
const folder = mkdtempSync(join(tmpdir(), 'sidereal-kill-'))
const env: Env = {
  ...(await freshInstallation(servers)),
  SIDEREAL_OBJECT_STORE: `file://${join(folder, 'payloads')}`,
  // As in a StatefulSet, so that a restart takes its predecessor's place at once.
  SIDEREAL_INSTANCE_ID: 'worker-0',
}
let worker: WorkerProcess | undefined

const CLEAN = '0 lost · 0 duplicated · 0 altered · 0 truncated · 0 extra'

before(async () => {
  const setup = await runCli(env, 'setup')
  assert.equal(setup.code, 0, setup.stdout + setup.stderr)
  worker = new WorkerProcess(env)
})

after(async () => {
  await worker?.stop()
  rmSync(folder, { recursive: true, force: true })
})

async function verify(ledger: string): Promise<void> {
  const result = await runCli(env, 'verify', '--ledger', ledger, '--timeout', '120')
  assert.equal(result.stdout.trimEnd().split('\n').at(-1), CLEAN, result.stdout + result.stderr + worker?.log)
  assert.equal(result.code, 0)
}

/** Sends that the ledger says Kafka has acknowledged. */
function acknowledgedSends(ledger: string): number {
  try {
    return readFileSync(ledger, 'utf8').split('"acknowledged"').length - 1
  } catch {
    // It is not written yet.
    return 0
  }
}

async function until(isTrue: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 60_000; !isTrue(); await sleep(20)) {
    assert.ok(Date.now() < deadline, 'the condition was not met within a minute')
  }
}

test('a worker that is killed twice in the middle of a load loses and doubles nothing', async () => {
  const ledger = join(folder, 'worker-killed.jsonl')
  const load = startCli(env, 'load', '--ledger', ledger, '--traces', '1500', '--rate', '2500', '--seed', '5')
  const ended = once(load, 'close')
  for (const sends of [20, 60]) {
    await until(() => acknowledgedSends(ledger) >= sends || load.exitCode !== null)
    worker?.kill()
    worker = new WorkerProcess(env)
  }
  await ended
  assert.equal(load.exitCode, 0)
  await verify(ledger)
})

test('a load that is killed leaves a ledger that is true', async () => {
  const ledger = join(folder, 'load-killed.jsonl')
  const load = startCli(
    env,
    'load',
    '--ledger',
    ledger,
    '--traces',
    '100000',
    '--seed',
    '6',
    '--rate',
    '5000',
  )
  const ended = once(load, 'close')
  await until(() => acknowledgedSends(ledger) >= 15)
  load.kill('SIGKILL')
  await ended
  await verify(ledger)
})
