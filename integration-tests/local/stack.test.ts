import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeTemporaryFolder } from '../../src/local/local-folders.ts'
import { bringUp, takeDown } from '../../src/local/local-stack.ts'
import { isUp, readLocalState, serverEntries } from '../../src/local/local-state.ts'
import { isSameProcess, type ProcessIdentity } from '../../src/local/process-identity.ts'
import { SERVER_NAMES, startStack } from '../../src/local/stack.ts'

const DEADLINE_MS = 30_000
const quiet = () => undefined

async function untilGone(processes: readonly ProcessIdentity[]): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS
  while (processes.some(isSameProcess)) {
    assert.ok(Date.now() < deadline, 'a server outlived the process that started it')
    await sleep(50)
  }
}

test('a parent that dies by kill -9 takes Kafka, ClickHouse, SeaweedFS and the registry along', async () => {
  const stackModule = JSON.stringify(new URL('../../src/local/stack.ts', import.meta.url).href)
  const script = `
    const { startStack } = await import(${stackModule})
    const stack = await startStack()
    console.log(JSON.stringify(Object.values(stack.servers).flatMap((server) => server.processes)))
    setInterval(() => {}, 1000)`
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  assert.ok(parent.stdout)
  const line = await once(createInterface(parent.stdout), 'line')
  const processes = JSON.parse(String(line[0])) as ProcessIdentity[]
  assert.equal(processes.length, SERVER_NAMES.length)
  assert.ok(processes.every(isSameProcess))
  parent.kill('SIGKILL')
  await untilGone(processes)
})

test('close leaves no process and no temporary data, and a crash names the server and its log', async () => {
  const crashes: string[] = []
  const stack = await startStack({
    servers: ['clickhouse', 'registry'],
    onCrash: (error) => crashes.push(error.message),
  })
  const processes = Object.values(stack.servers).flatMap((server) => server.processes)
  assert.equal(processes.length, 2)
  const [clickhouse] = stack.clickhouse?.processes ?? []
  assert.ok(clickhouse)
  process.kill(clickhouse.pid, 'SIGKILL')
  const deadline = Date.now() + DEADLINE_MS
  while (crashes.length === 0 && Date.now() < deadline) await sleep(20)
  assert.match(crashes.join('\n'), /^ClickHouse ended .*\. The end of its log \(.*clickhouse\.log\):/)
  await stack.close()
  await untilGone(processes)
  const log = /\((.*)\/logs\/clickhouse\.log\)/.exec(crashes.join(''))?.[1]
  assert.ok(log)
  assert.equal(existsSync(log), false)
})

test('"local up" keeps addresses and data over "local down", and finds a running stack', async () => {
  const folder = makeTemporaryFolder('up')
  const options = { servers: ['registry'], folder, onProgress: quiet } as const
  const first = await bringUp(options)
  const subjects = `${first.env['SIDEREAL_REGISTRY_URL']}/subjects`
  const headers = { 'content-type': 'application/json' }
  await fetch(`${subjects}/s/versions`, { method: 'POST', headers, body: '{"schema":"\\"string\\""}' })
  const again = await bringUp(options)
  assert.deepEqual(again, first)
  assert.deepEqual(await takeDown(quiet, folder), ['registry'])
  assert.deepEqual(await takeDown(quiet, folder), [])
  const down = readLocalState(folder)
  assert.ok(down !== undefined && serverEntries(down).every(([, server]) => !isUp(server)))
  const second = await bringUp(options)
  assert.deepEqual(second.env, first.env)
  assert.deepEqual(await (await fetch(subjects)).json(), ['s'])
  await takeDown(quiet, folder)
  rmSync(folder, { recursive: true })
})
