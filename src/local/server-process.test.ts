import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SiderealError } from '../model/errors.ts'
import { identifyProcess, isSameProcess } from './process-identity.ts'
import { ServerProcess, type ServerProcessOptions, stopProcess } from './server-process.ts'

const folder = mkdtempSync(join(tmpdir(), 'sidereal-server-'))
after(() => rmSync(folder, { recursive: true, force: true }))

let logs = 0

function shell(script: string, options: Partial<ServerProcessOptions> = {}): ServerProcess {
  logs += 1
  const logFile = join(folder, `${logs}.log`)
  return new ServerProcess({ name: 'Test', command: '/bin/sh', args: ['-c', script], logFile, ...options })
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000
  while (!condition()) {
    assert.ok(Date.now() < deadline, 'the condition did not come true in time')
    await sleep(20)
  }
}

function identityOf(server: ServerProcess) {
  assert.ok(server.identity)
  return server.identity
}

test('a server that ends while it is awaited is reported with its code and the end of its log', async () => {
  const crashes: SiderealError[] = []
  const server = shell('echo the disk is on fire >&2; exit 3', { onCrash: (error) => crashes.push(error) })
  await server.start()
  await assert.rejects(
    server.waitUntil(async () => false, 20_000),
    /Test ended with code 3\. The end of its log .*\n {2}the disk is on fire/,
  )
  assert.equal(crashes.length, 1)
  assert.equal(crashes[0]?.code, 'SIDEREAL_LOCAL_STACK')
})

test('a program that is not there is reported, not thrown at nobody', async () => {
  const server = shell('', { command: join(folder, 'no-such-program') })
  await server.start()
  await assert.rejects(
    server.waitUntil(async () => false, 20_000),
    /ended with code 127/,
  )
})

test('close stops a server in order and is no crash', async () => {
  const crashes: SiderealError[] = []
  const logFile = join(folder, 'in-order.log')
  const script = 'trap "echo good bye; exit 0" TERM; echo up; while :; do sleep 0.05; done'
  const server = shell(script, { logFile, onCrash: (error) => crashes.push(error) })
  await server.start()
  await server.waitUntil(async () => readFileSync(logFile, 'utf8').includes('up'), 20_000)
  const identity = identityOf(server)
  await server.close()
  assert.equal(isSameProcess(identity), false)
  assert.match(readFileSync(logFile, 'utf8'), /good bye/)
  assert.deepEqual(crashes, [])
})

test('a server that will not stop is killed after its grace', async () => {
  const logFile = join(folder, 'deaf.log')
  const server = shell('trap "" TERM; echo up; while :; do sleep 0.05; done', { logFile, stopGraceMs: 200 })
  await server.start()
  await server.waitUntil(async () => readFileSync(logFile, 'utf8').includes('up'), 20_000)
  const identity = identityOf(server)
  await server.close()
  assert.equal(isSameProcess(identity), false)
})

test('a killed server can be started again', async () => {
  const server = shell('exec sleep 600')
  await server.start()
  const first = identityOf(server)
  await server.kill()
  assert.equal(isSameProcess(first), false)
  await server.start()
  assert.equal(server.isRunning, true)
  await server.close()
})

/** Runs a process that starts a server and prints its pid, then does what `end` says. */
async function parentThat(end: string): Promise<{ serverPid: number; parent: ReturnType<typeof spawn> }> {
  const module = JSON.stringify(new URL('./server-process.ts', import.meta.url).href)
  const script = `
    const { ServerProcess } = await import(${module})
    const server = new ServerProcess({ name: 'Test', command: 'sleep', args: ['600'], logFile: ${JSON.stringify(join(folder, 'child.log'))} })
    await server.start()
    console.log(server.identity.pid)
    ${end}`
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  assert.ok(parent.stdout)
  const line = await new Promise<string>((resolve) =>
    parent.stdout?.once('data', (data: Buffer) => resolve(String(data))),
  )
  return { serverPid: Number(line), parent }
}

test('kill -9 of the parent ends its servers', async () => {
  const { serverPid, parent } = await parentThat('setInterval(() => {}, 1000)')
  const identity = identifyProcess(serverPid)
  assert.ok(identity)
  parent.kill('SIGKILL')
  await until(() => !isSameProcess(identity))
})

test('a parent that ends without closing does not leave its servers', async () => {
  const { serverPid, parent } = await parentThat('')
  if (parent.exitCode === null) await new Promise((resolve) => parent.once('exit', resolve))
  await until(() => identifyProcess(serverPid) === undefined)
})

test('a released server goes on without its parent, and stopProcess ends exactly it', async () => {
  const { serverPid, parent } = await parentThat('await server.release()')
  if (parent.stdout) await text(parent.stdout)
  const identity = identifyProcess(serverPid)
  assert.ok(identity)
  assert.equal(await stopProcess({ ...identity, startedAt: 'another time' }, 1_000), false)
  assert.equal(isSameProcess(identity), true)
  assert.equal(await stopProcess(identity, 5_000), true)
  assert.equal(isSameProcess(identity), false)
})
